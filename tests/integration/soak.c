// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * All at once and at random: reload, scale, policy, drain, rescue, the death of workers and of the
 * keeper in the midst of them, and what a process of the workers' user does, under two kinds of
 * clients. Nothing is lost but what a killed worker had accepted, and nothing grows. From
 * LB_TEST_SEED (environment; it is printed), for LB_TEST_SOAK seconds.
 */
#include "harness/attacks.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/keepalive.h"
#include "harness/load.h"
#include "harness/maps.h"
#include "harness/pins.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/show.h"
#include "harness/world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORKERS 4
#define LEAST_WORKERS 3
#define MOST_WORKERS 7
#define SOAK_S 30
#define LONGEST_STOP_MS 400
#define SETTLE_MS 12000 /* workers that drain have gone */
#define IDLE_S 4
#define IDLE_US_PER_S 1000 /* of the CPU */
#define LOG_LINES 60	   /* for one action, with all that it leads to */

static struct run run;
static struct keepalive kept;
static struct show show;

static unsigned int between(unsigned int least, unsigned int most)
{
	return least + rand() % (most - least + 1);
}

/* --- what happens --- */

static unsigned int workers = WORKERS; /* as was asked for last */

static int worker_now(void)
{
	return rand() % LEAST_WORKERS;
}

static pid_t pid_now(void)
{
	int worker = worker_now();

	return show_try("web", &show) && show.nr_workers > (size_t)worker ?
		       show.worker[worker].pid :
		       0;
}

static void kill_worker(void)
{
	pid_t pid = pid_now();

	if (pid > 0)
		kill(pid, SIGKILL);
}

static void kill_keeper(void)
{
	run_kill(&run);
	run_start_again(&run);
	run_expect_keeper(&run);
}

static void stop_worker(void)
{
	pid_t pid = pid_now();

	if (pid <= 0 || kill(pid, SIGSTOP))
		return;
	usleep(between(1, LONGEST_STOP_MS) * 1000);
	kill(pid, SIGCONT);
}

static const char *number(unsigned int value)
{
	static char text[12];

	snprintf(text, sizeof(text), "%u", value);
	return text;
}

static void begin_reload(struct job *job)
{
	lbctl_start(job, "reload", "web", NULL);
}

static void begin_restart(struct job *job)
{
	lbctl_start(job, "restart", "web", number(worker_now()), NULL);
}

static void begin_scale(struct job *job)
{
	workers = between(LEAST_WORKERS, MOST_WORKERS);
	lbctl_start(job, "scale", "web", number(workers), NULL);
}

static void begin_policy(struct job *job)
{
	static const char *const policies[] = { "rr",	      "random",	    "hash",
						"least-conn", "least-load", "least-latency",
						"kernel" };

	lbctl_start(job, "set-policy", "web", policies[rand() % ARRAY_SIZE(policies)], NULL);
}

static void begin_drain(struct job *job)
{
	lbctl_start(job, "drain", "web", number(worker_now()), NULL);
}

static void begin_resume(struct job *job)
{
	lbctl_start(job, "resume", "web", "all", NULL);
}

static const struct {
	const char *name;
	void (*begin)(struct job *job);
} verbs[] = {
	{ "reload", begin_reload }, { "restart", begin_restart }, { "scale", begin_scale },
	{ "policy", begin_policy }, { "drain", begin_drain },	  { "resume", begin_resume },
};

static void rescue_by_hand(void)
{
	struct output output;
	pid_t pid = pid_now();

	if (pid > 0)
		kill(pid, SIGSTOP);
	lbctl_run(&output, "rescue", "web", number(worker_now()), NULL);
	output_free(&output);
	if (pid > 0)
		kill(pid, SIGCONT);
}

static void attack_by(void (*how)(void))
{
	pid_t pid = attack(how);

	usleep(between(1, 300) * 1000);
	end_attack(pid);
}

static bool is_steered(void)
{
	json_t *now = lbctl_json("show", "web", "--json", NULL);
	bool steered = json_is_true(
		json_object_get(json_array_get(json_object_get(now, "listeners"), 0), "steering"));

	json_decref(now);
	return steered;
}

/* What waits at the thief is moved when it ends, by our program: so that has to be back. */
static void thief(void)
{
	pid_t pid = attack(rand() % 2 ? steal_once : take_off_once);

	wait_until(is_steered(), RUN_MS);
	end_attack(pid);
}

static void attacker(void)
{
	static void (*const ways[])(void) = { spoil_request,  spoil_many_requests, spoil_notice,
					      flood_requests, flood_notices,	   stop_everybody,
					      ask_to_join };

	attack_by(ways[rand() % ARRAY_SIZE(ways)]);
}

static const struct {
	const char *name;
	void (*happen)(void);
} events[] = {
	{ "a worker is killed", kill_worker },
	{ "the keeper is killed", kill_keeper },
	{ "a worker stops", stop_worker },
	{ "rescue by hand", rescue_by_hand },
	{ "attack", attacker },
	{ "thief", thief },
};

static unsigned int times[ARRAY_SIZE(verbs) + ARRAY_SIZE(events)];

/* An event comes by itself, or in the midst of a verb, whose end is what it may be then. */
static void something(void)
{
	size_t verb = rand() % ARRAY_SIZE(verbs), event = rand() % ARRAY_SIZE(events);
	bool alone = rand() % 3 == 0, disturbed = !alone && rand() % 2;
	struct output output = { 0 };
	struct job job;

	if (!alone) {
		verbs[verb].begin(&job);
		times[verb]++;
	}
	if (disturbed)
		usleep(rand() % (300000 >> rand() % 6));
	if (alone || disturbed) {
		events[event].happen();
		times[ARRAY_SIZE(verbs) + event]++;
	}
	if (!alone) {
		job_wait(&job, &output);
		if (output.status && !disturbed)
			fail_msg("%s: status %d: %s", verbs[verb].name, output.status, output.err);
		output_free(&output);
	}
	usleep(rand() % 200000);
}

/* --- what must not grow --- */

struct sizes {
	unsigned long rss_kib, descriptors, pins, cgroups;
};

static unsigned long lines_of(const char *text)
{
	unsigned long n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static unsigned long cgroups_below(const char *path)
{
	struct output output;
	const char *const words[] = { "find", path, "-type", "d", NULL };
	unsigned long n;

	command_run(&output, words, COMMAND_MS);
	n = lines_of(output.out);
	output_free(&output);
	return n;
}

static struct sizes sizes_now(void)
{
	char fds[64], *pins = pins_list();
	struct sizes sizes;

	snprintf(fds, sizeof(fds), "/proc/%d/fd", run.pid);
	sizes = (struct sizes){
		.rss_kib = process_resident_kib(run.pid),
		.descriptors = count_entries(fds, false),
		.pins = lines_of(pins),
		.cgroups = cgroups_below(CGROUPS),
	};
	free(pins);
	return sizes;
}

static bool same_but_memory(const struct sizes *a, const struct sizes *b)
{
	return a->descriptors == b->descriptors && a->pins == b->pins && a->cgroups == b->cgroups;
}

/* As many workers as in the beginning, all up, and nobody who drains any more. */
static struct sizes settle(const struct sizes *want)
{
	uint64_t end_ns = now_ns() + scaled_ms(SETTLE_MS) * 1000000;
	struct sizes sizes;

	lbctl_ok("scale", "web", number(WORKERS), NULL);
	lbctl_ok("resume", "web", "all", NULL);
	lbctl_ok("set-policy", "web", "least-conn", NULL);
	run_expect_up(&run, WORKERS);
	do {
		usleep(100000);
		sizes = sizes_now();
	} while (want && !same_but_memory(want, &sizes) && now_ns() < end_ns);
	return sizes;
}

/* Nanoseconds of CPU time, by the scheduler. */
static unsigned long cpu_ns(void)
{
	unsigned long ns;
	char path[64], *text;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", run.pid);
	text = file_read(path);
	ns = strtoul(text, NULL, 10);
	free(text);
	return ns;
}

static unsigned long log_lines(void)
{
	char *text = file_read(run.log);
	unsigned long n = lines_of(text);

	free(text);
	return n;
}

static void expect_idle(void)
{
	unsigned long lines = log_lines(), before_ns, us_per_s;

	usleep(2000000); /* what was lately there is looked at a while still */
	before_ns = cpu_ns();
	usleep(IDLE_S * 1000000);
	us_per_s = (cpu_ns() - before_ns) / 1000 / IDLE_S;
	print_message("idle: %lu us of CPU time per second\n", us_per_s);
	assert_true(us_per_s < IDLE_US_PER_S);
	assert_int_equal(log_lines(), lines);
}

static unsigned long lost_by_workers(void)
{
	const size_t bytes = LB_ALL_SLOTS * sizeof(struct lb_stats);
	const struct lb_stats *stats = map_mmap("web", "lb_stats", bytes);
	unsigned long sum = 0;

	for (int slot = 0; slot < LB_MAX_SLOTS; slot++)
		sum += stats[slot].lost;
	munmap((void *)stats, bytes);
	return sum;
}

static void tell(const struct wrk *wrk, const struct sizes *before, const struct sizes *after)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		print_message("%s %u, ", verbs[i].name, times[i]);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		print_message("%s %u, ", events[i].name, times[ARRAY_SIZE(verbs) + i]);
	print_message("\n%lu connections of one request, %lu failed (%s); %lu kept ones with %lu "
		      "answers, %lu lost, %lu sent again; killed workers lost %lu\n",
		      wrk->requests, wrk->socket_errors + wrk->bad_answers, wrk->errors,
		      kept.connections, kept.answered, kept.lost, kept.again, lost_by_workers());
	print_message("before and after: %lu and %lu KiB, %lu and %lu descriptors, %lu and %lu "
		      "pins, %lu and %lu cgroups; %lu lines of log\n",
		      before->rss_kib, after->rss_kib, before->descriptors, after->descriptors,
		      before->pins, after->pins, before->cgroups, after->cgroups, log_lines());
}

static void soak(unsigned int seconds)
{
	uint64_t end_ns = now_ns() + seconds * 1000000000ULL;
	unsigned long actions = 0, lines = log_lines();
	struct sizes before = settle(NULL), after;
	struct job load;
	struct wrk wrk;

	keepalive_start();
	wrk_start(&load, "http://127.0.0.1:8080/", "8", seconds + WRK_UNTIL_STOPPED);
	for (; now_ns() < end_ns; actions++)
		something();
	keepalive_stop(&kept);
	wrk_stop(&load);
	wrk_wait(&load, &wrk);
	after = settle(&before);
	tell(&wrk, &before, &after);
	assert_true(wrk.requests > 0 && kept.answered > 0);
	assert_in_range(wrk.socket_errors + wrk.bad_answers + kept.lost, 0, lost_by_workers());
	assert_true(same_but_memory(&before, &after));
	assert_in_range(after.rss_kib, 0, before.rss_kib * 3 / 2 + 2048);
	assert_in_range(log_lines() - lines, 0, actions * LOG_LINES + 100);
	expect_idle();
}

static void test_all(void **state)
{
	unsigned int seed = load_asked("LB_TEST_SEED", 20261129);

	(void)state;
	needs(migrate);
	print_message("LB_TEST_SEED=%u\n", seed);
	srand(seed);
	run_start(&run, "web", "-n", "4", "--user", "nobody", "--max-restarts", "1000000",
		  "--restart-delay", "10", "--", run_demo(), "-q", "--no-reuseport", "--listen",
		  ":8080", NULL);
	run_expect_up(&run, WORKERS);
	soak(load_asked("LB_TEST_SOAK", SOAK_S));
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_all),
	};

	(void)argc;
	stalls_count = true;
	return runs_run(argv[0], tests);
}
