// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What waits at a worker is moved to the others by hand, whatever the worker does meanwhile, and
 * whenever lbctl is killed.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/maps.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/rescue.h"

#define WORKERS 4

static struct demo demos[WORKERS];
static struct clients clients;
static struct show show;

static bool takes_part(int worker)
{
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	return clients_of(&clients, worker) > 0;
}

/* Workers 0 .. 2 as they should be; worker 3 runs and accepts nothing until SIGUSR1. */
static void start_by_hand(void)
{
	demo_start_many(demos, WORKERS - 1, ":8080");
	demo_start(&demos[3], 3, "--listen", ":8080", "--no-accept", NULL);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	lbctl_ok("set", "web", "stall_ms=0", NULL);
}

/*
 * 1. 10 of 40 wait at a worker that runs: moved by hand, to the last
 * 2. nothing waits: nothing happens
 * 3. held until it accepts: a connection a second, and more once it has accepted one
 */
static void test_by_hand(void **state)
{
	(void)state;
	needs(migrate);
	start_by_hand();
	clients_begin(&clients, (struct client_plan){ .connections = 40, .at_once = 40 });
	clients_collect(&clients, 10);
	lbctl_expect(0, "web: 10 waiting connections of worker 3 migrated to others", "rescue", "3",
		     NULL);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 40);
	assert_int_equal(clients_of(&clients, 3), 0);
	lbctl_expect(0, "web: 0 waiting connections", "rescue", "web", "3", NULL);
	lbctl_expect(3, "no worker 9", "rescue", "web", "9", NULL);
	lbctl_expect(2, "not a worker", "rescue", "web", "all", NULL);
	show_read("web", &show);
	assert_string_equal(show.worker[3].state, "stalled");
	kill(demos[3].pid, SIGUSR1);
	wait_until(takes_part(3), RUN_MS);
	wait_until((show_read("web", &show), !strcmp(show.worker[3].state, "up")), RUN_MS);
	assert_int_equal(takes_part(3), 1);
}

/*
 * Worker 3 was rescued more than a second ago, so its next connection is a probe: one that has
 * waited already, at worker 2, is not taken for that.
 */
static void test_what_waited_is_no_probe(void **state)
{
	(void)state;
	needs(migrate);
	demo_start_many(demos, 2, ":8080");
	for (int i = 2; i < WORKERS; i++)
		demo_start(&demos[i], i, "--listen", ":8080", "--no-accept", NULL);
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", NULL);
	lbctl_ok("set", "web", "stall_ms=0", NULL);
	lbctl_ok("drain", "web", "2", NULL);
	clients_begin(&clients, (struct client_plan){ .connections = 12, .at_once = 12 });
	clients_collect(&clients, 4);
	lbctl_ok("rescue", "web", "3", NULL);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 12);
	lbctl_ok("resume", "web", "2", NULL);
	lbctl_ok("drain", "web", "3", NULL);
	clients_begin(&clients, (struct client_plan){ .connections = 12, .at_once = 12 });
	clients_collect(&clients, 4);
	/* LB_PROBE_NS */
	usleep(1100000);
	lbctl_ok("resume", "web", "3", NULL);
	lbctl_ok("rescue", "web", "2", NULL);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 12);
}

/* All others hang as well: there is nobody to move to, and nothing is touched. */
static void test_nobody_else(void **state)
{
	(void)state;
	needs(migrate);
	start_by_hand();
	clients_begin(&clients, (struct client_plan){ .connections = 40, .at_once = 40 });
	clients_collect(&clients, 10);
	for (int i = 0; i < WORKERS - 1; i++)
		lbctl_ok("drain", "web", (const char *[]){ "0", "1", "2" }[i], NULL);
	lbctl_expect(1, "no other worker accepts", "rescue", "3", NULL);
	kill(demos[3].pid, SIGUSR1);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 40);
	assert_int_equal(clients_of(&clients, 3), 10);
}

/*
 * One process with two sockets: it is not held still, so nothing is moved while it runs; once
 * somebody has stopped it, it is.
 */
static void test_one_process_several_slots(void **state)
{
	(void)state;
	needs(migrate);
	demo_start(&demos[0], 0, "--listen", ":8080", "--listen", ":8080", "--no-accept", NULL);
	demo_start(&demos[1], 1, "--listen", ":8080", NULL);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	lbctl_ok("set", "web", "stall_ms=0", NULL);
	show_read("web", &show);
	assert_int_equal(show.nr_workers, 3);
	clients_begin(&clients, (struct client_plan){ .connections = 30, .at_once = 30 });
	clients_collect(&clients, 20);
	lbctl_expect(1, "serves several workers", "rescue", "web", "0", NULL);
	kill(demos[0].pid, SIGSTOP);
	wait_until(process_state(demos[0].pid) == 'T', RUN_MS);
	for (int i = 0; i < 2; i++) {
		int worker = 0;

		while (show.worker[worker].pid != demos[0].pid)
			worker++;
		show.worker[worker].pid = 0;
		lbctl_expect(0, " waiting connections of worker", "rescue", "web",
			     (const char *[]){ "0", "1", "2" }[worker], NULL);
	}
	clients_finish(&clients);
	assert_int_equal(clients.answered, 30);
	assert_int_equal(clients_of(&clients, 1), 30);
	wait_until(process_state(demos[0].pid) == 'T', RUN_MS);
}

/* Ends the process when its listener is ever seen not to listen. */
static void *stare(void *arg)
{
	int fd = *(int *)arg, listens = 1;
	socklen_t len = sizeof(listens);

	while (listens)
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len);
	_exit(1);
}

/* A worker with two threads that do nothing but look at their listener. */
static pid_t start_staring(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(8080) };
	const int on = 1;
	pthread_t other;
	pid_t pid = fork();
	int fd;

	assert_true(pid >= 0);
	if (pid)
		return pid;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 100) ||
	    pthread_create(&other, NULL, stare, &fd))
		_exit(2);
	stare(&fd);
	_exit(3);
}

static bool has_workers(size_t n)
{
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	show_read("web", &show);
	return show.nr_workers == n;
}

/* All threads of a worker are held still: none ever sees the listener shut down. */
static void test_worker_sees_nothing(void **state)
{
	enum rescue_result result;
	unsigned int moved = 0;
	pid_t staring;
	int status, slot = 3;

	(void)state;
	needs(migrate);
	demo_start_many(demos, WORKERS - 1, ":8080");
	assert_true(has_workers(WORKERS - 1));
	staring = start_staring();
	wait_until(has_workers(WORKERS), RUN_MS);
	lbctl_ok("set", "web", "stall_ms=0", NULL);
	for (int i = 0; moved < 20; i++) {
		assert_true(i < 200);
		clients_begin(&clients, (struct client_plan){ .connections = 4, .at_once = 4 });
		clients_collect(&clients, 1);
		assert_int_equal(waitpid(rescue_start("web", slot, 0, NULL), &status, 0) > 0, 1);
		result = rescue_end("web", status);
		/* on a machine that has others to run, threads may take their time to stop */
		if (result == RESCUE_NOT_STILL) {
			clients_abandon(&clients);
			continue;
		}
		if (result != RESCUE_DONE)
			fail_msg("rescue %d: %s", i, rescue_text(result));
		moved++;
		holds_end("web");
		clients_finish(&clients);
		assert_int_equal(clients.answered, 4);
	}
	assert_int_equal(waitpid(staring, &status, WNOHANG), 0);
}

/* --- lbctl killed in each step --- */

static const struct {
	const char *name;
	long number;
} steps[] = {
	{ "ptrace", SYS_ptrace },
	{ "pidfd_getfd", SYS_pidfd_getfd },
	{ "shutdown", SYS_shutdown },
	{ "listen", SYS_listen },
};

static bool is_step(long number)
{
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (steps[i].number == number)
			return true;
	}
	return false;
}

static pid_t start_traced(void)
{
	const char *lbctl = harness_build_path("lbctl");
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
			_exit(126);
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execl(lbctl, "lbctl", "rescue", "web", "3", NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	ptrace(PTRACE_SETOPTIONS, pid, NULL,
	       PTRACE_O_TRACEFORK | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	return pid;
}

static bool all_ended(pid_t first, pid_t second)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
		if (WIFSTOPPED(status))
			ptrace(PTRACE_CONT, pid, NULL, WSTOPSIG(status));
	}
	return !process_lives(first) && (second <= 0 || !process_lives(second));
}

/*
 * Runs `rescue` and kills it when its working process enters or leaves a system call of a step for
 * the nth time; with_parent: the command as well, so that nobody is left to mend it. Returns false
 * if it came to its end before.
 */
static bool kill_at(unsigned int nth, bool with_parent)
{
	pid_t command = start_traced(), pid;
	unsigned long worker = 0; /* as the kernel writes it */
	struct user_regs_struct regs;
	unsigned int seen = 0;
	int status;

	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		if (pid == command && !WIFSTOPPED(status))
			break;
		if (!WIFSTOPPED(status))
			continue;
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_FORK << 8))
			ptrace(PTRACE_GETEVENTMSG, pid, NULL, &worker);
		if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			ptrace(PTRACE_GETREGS, pid, NULL, &regs);
			if (is_step(regs.orig_rax) && seen++ == nth) {
				if (with_parent)
					kill(command, SIGKILL);
				kill(pid, SIGKILL);
				wait_until(all_ended(command, worker), RUN_MS);
				return true;
			}
		}
		ptrace(pid == command ? PTRACE_CONT : PTRACE_SYSCALL, pid, NULL,
		       WSTOPSIG(status) == SIGSTOP || status >> 16 || (WSTOPSIG(status) & 0x80) ?
			       0 :
			       WSTOPSIG(status));
	}
	return false;
}

/*
 * 1. a connection waits at worker 3; `rescue` is killed, alone or with the process that works
 * 2. the next command finds a service of four; worker 3 runs, and answers once it accepts
 * 3. nothing was lost, and round-robin is exact
 */
static void test_killed_in_each_step(void **state)
{
	static const unsigned int each[] = { 5, 5, 5, 5 };
	/* odd, so that half of the kills are of both processes */
	const unsigned int stride = full_load(3, 1);
	unsigned int point = 0;

	(void)state;
	needs(migrate);
	start_by_hand();
	for (bool more = true; more; point += stride) {
		clients_begin(&clients, (struct client_plan){ .connections = 4, .at_once = 4 });
		clients_collect(&clients, 1);
		more = kill_at(point / 2, point % 2);
		lbctl_ok("set", "web", "stale_ms=1000", NULL);
		kill(demos[3].pid, SIGUSR1);
		clients_finish(&clients);
		if (clients.answered != 4)
			fail_msg("point %u: %u of 4 answered", point, clients.answered);
		wait_until(takes_part(3), RUN_MS);
		wait_until((show_read("web", &show), !strcmp(show.worker[3].state, "up")), RUN_MS);
		clients_run(&clients, (struct client_plan){ .connections = 20 });
		clients_expect(&clients, WORKERS, each);
		show_read("web", &show);
		assert_int_equal(show.nr_workers, WORKERS);
		assert_int_equal(show.unregistered, 0);
		kill(demos[3].pid, SIGUSR1);
	}
	print_message("killed at each %u. of %u points\n", stride, point - 1);
	assert_true(point > 20);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_by_hand),
		runs_test(test_what_waited_is_no_probe),
		runs_test(test_nobody_else),
		runs_test(test_one_process_several_slots),
		runs_test(test_worker_sees_nothing),
		runs_test(test_killed_in_each_step),
	};

	(void)argc;
	stalls_count = true;
	return runs_run(argv[0], tests);
}
