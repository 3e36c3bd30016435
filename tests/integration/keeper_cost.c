// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a keeper costs, in system calls, as strace sees them: a start, a crash, and nothing at all.
 * Its children count until they become another program.
 */
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 4
#define TRACE HARNESS_DIR "/trace"
#define MOST_PROCESSES 4096

static struct run run;

/* --- strace --- */

static pid_t tracer;

/* All that the process and its children do from now on; `calls` is an expression of strace. */
static void trace_begin(pid_t pid, const char *calls)
{
	char number[16], path[64], *status;
	bool attached = false;

	snprintf(number, sizeof(number), "%d", pid);
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	unlink(TRACE);
	tracer = fork();
	assert_true(tracer >= 0);
	if (!tracer) {
		execlp("strace", "strace", "-qq", "-f", "-o", TRACE, "-e", calls, "-p", number,
		       NULL);
		_exit(127);
	}
	while (!attached) {
		if (waitpid(tracer, NULL, WNOHANG) == tracer)
			fail_msg("strace has ended");
		status = file_read(path);
		attached = !strstr(status, "TracerPid:\t0\n");
		free(status);
		harness_nap();
	}
}

static void trace_end(void)
{
	assert_int_equal(kill(tracer, SIGTERM), 0);
	assert_int_equal(waitpid(tracer, NULL, 0), tracer);
}

struct count {
	char name[32];
	unsigned int calls;
};

struct counts {
	unsigned int all, n;
	struct count by_name[128];
};

static void count_call(struct counts *counts, const char *name, size_t len)
{
	struct count *at = counts->by_name;

	while (at < counts->by_name + counts->n && (strncmp(at->name, name, len) || at->name[len]))
		at++;
	assert_true(at < counts->by_name + ARRAY_SIZE(counts->by_name) && len < sizeof(at->name));
	if (at == counts->by_name + counts->n) {
		memcpy(at->name, name, len);
		counts->n++;
	}
	at->calls++;
	counts->all++;
}

/* Whose process has become another program; its calls are not the keeper's. */
static bool is_foreign(pid_t keeper, pid_t pid, const char *call)
{
	static pid_t foreign[MOST_PROCESSES];
	static size_t n;

	if (!pid)
		n = 0;
	for (size_t i = 0; i < n; i++) {
		if (foreign[i] == pid)
			return true;
	}
	if (pid != keeper && call && !strncmp(call, "execve(", 7)) {
		assert_true(n < MOST_PROCESSES);
		foreign[n++] = pid;
	}
	return false;
}

/* A line is "PID name(...", or how a call or a process ended, or a signal. */
static void trace_count(pid_t keeper, struct counts *counts)
{
	char *text = file_read(TRACE), *rest = text, *line, *call;

	memset(counts, 0, sizeof(*counts));
	is_foreign(keeper, 0, NULL);
	while ((line = strsep(&rest, "\n"))) {
		size_t len;
		pid_t pid = strtol(line, &call, 10);

		call += strspn(call, " ");
		len = strspn(call, "abcdefghijklmnopqrstuvwxyz0123456789_");
		if (!pid || !len || call[len] != '(' || is_foreign(keeper, pid, call))
			continue;
		count_call(counts, call, len);
	}
	free(text);
}

static unsigned int calls_of(const struct counts *counts, const char *name)
{
	for (size_t i = 0; i < counts->n; i++) {
		if (!strcmp(counts->by_name[i].name, name))
			return counts->by_name[i].calls;
	}
	return 0;
}

static int compare_counts(const void *a, const void *b)
{
	const struct count *x = a, *y = b;

	return x->calls < y->calls ? 1 : -1;
}

static void show_counts(struct counts *counts)
{
	qsort(counts->by_name, counts->n, sizeof(counts->by_name[0]), compare_counts);
	for (size_t i = 0; i < counts->n; i++)
		print_message("%6u %s\n", counts->by_name[i].calls, counts->by_name[i].name);
}

/* --- a crash --- */

/* With a tick among it, that none of the tries may be without. */
#define MOST_CALLS 330
#define MOST_BPF 60
#define TRIES 5

static void crash_once(struct counts *counts, unsigned int times)
{
	uint64_t end_ns = now_ns() + scaled_ms(RUN_MS) * 1000000;
	pid_t pids[WORKERS];

	run_pids(&run, pids, WORKERS);
	trace_begin(run.pid, "trace=all");
	kill(pids[1], SIGKILL);
	/* to be heard costs the keeper nothing; whoever asks what it missed is told everything */
	while (run_events(&run, "online", "{s:i}", "worker", 1) < times && now_ns() < end_ns)
		harness_nap();
	trace_end();
	run_expect_events(&run, times, "online", "{s:i}", "worker", 1);
	trace_count(run.pid, counts);
	print_message("%u system calls, %u bpf\n", counts->all, calls_of(counts, "bpf"));
	assert_true(counts->all > 20);
}

/*
 * What a worker's crash and restart cost: nothing that grows with what happened before. On a busy
 * machine it takes longer, and more is to be done meanwhile: one try of some has to be without.
 */
static void crash(void)
{
	struct counts counts;
	bool enough = false;

	for (unsigned int i = 0; i < TRIES && !enough; i++) {
		crash_once(&counts, 2 + i);
		enough = counts.all <= MOST_CALLS && calls_of(&counts, "bpf") <= MOST_BPF;
	}
	if (!enough) {
		show_counts(&counts);
		fail_msg("%u system calls, %u bpf", counts.all, calls_of(&counts, "bpf"));
	}
	run_stop(&run);
}

static void test_crash(void **state)
{
	(void)state;
	run_start_shared(&run, WORKERS);
	crash();
}

static void test_crash_with_listen(void **state)
{
	(void)state;
	run_start_with_listen(&run, WORKERS, ":8080");
	crash();
}

/* --- nothing --- */

#define IDLE_S 10
#define MOST_WAKES 15 /* about one a second */

/* Those that only look, with a timeout of 0, are none. */
static unsigned int count_waits(void)
{
	char *text = file_read(TRACE), *rest = text, *line;
	unsigned int waits = 0;

	while ((line = strsep(&rest, "\n")))
		waits += strstr(line, " epoll_") && !strstr(line, ", 0) ");
	free(text);
	return waits;
}

static void idle(void)
{
	unsigned int wakes;

	trace_begin(run.pid, "trace=epoll_wait,epoll_pwait,epoll_pwait2");
	sleep(IDLE_S);
	trace_end();
	wakes = count_waits();
	print_message("%u wakes in %d s\n", wakes, IDLE_S);
	assert_true(wakes > 0);
	if (wakes > MOST_WAKES)
		fail_msg("%u wakes in %d s", wakes, IDLE_S);
	run_stop(&run);
}

static void test_idle(void **state)
{
	(void)state;
	run_start_shared(&run, WORKERS);
	idle();
}

static void test_idle_with_listen(void **state)
{
	(void)state;
	run_start_with_listen(&run, WORKERS, ":8080");
	idle();
}

/* Once a second it looks at its workers as well, and that is all. */
static void test_idle_with_max_memory(void **state)
{
	(void)state;
	run_start(&run, "web", "-n", "4", "--max-memory", "1G", "--", run_demo(), "-q",
		  "--no-reuseport", "--listen", ":8080", NULL);
	run_expect_up(&run, WORKERS);
	idle();
}

/* --- a start --- */

static void stop_first(void)
{
	raise(SIGSTOP);
}

/* All are up; how often the keeper has looked at a socket for that. It has as many children. */
static unsigned int looks_at_start(unsigned int workers)
{
	struct counts counts;
	char number[16];

	snprintf(number, sizeof(number), "%u", workers);
	run_prepare = stop_first;
	run_start(&run, "web", "-n", number, "--listen", ":8080", "--", run_demo(), "-q", NULL);
	wait_until(process_state(run.pid) == 'T', RUN_MS);
	trace_begin(run.pid, "trace=execve,getsockopt,clone3");
	kill(run.pid, SIGCONT);
	run_expect_up(&run, workers);
	trace_end();
	trace_count(run.pid, &counts);
	run_stop(&run);
	print_message("%u workers: getsockopt %u times, clone3 %u\n", workers,
		      calls_of(&counts, "getsockopt"), calls_of(&counts, "clone3"));
	/* one for each, and one that makes the sockets of many */
	assert_in_range(calls_of(&counts, "clone3"), workers, workers + workers / 8);
	return calls_of(&counts, "getsockopt");
}

/* With each worker a few more, and not as many more as there are workers. */
static void test_start_grows_with_the_workers(void **state)
{
	const unsigned int few = full_load(16, 128);
	unsigned int of_few, of_many;

	(void)state;
	of_few = looks_at_start(few);
	of_many = looks_at_start(8 * few);
	assert_true(of_many < 16 * of_few);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_crash),
		runs_test(test_crash_with_listen),
		runs_test(test_idle),
		runs_test(test_idle_with_listen),
		runs_test(test_idle_with_max_memory),
		runs_test(test_start_grows_with_the_workers),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
