// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl run under wrk, one connection per request, 64 at a time: reload, scale, policies, programs
 * that no longer start, workers that are killed. The demo worker ends gracefully on SIGTERM.
 */
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/load.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/show.h"
#include "harness/world.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/probe.h"

#define WORKERS 4
#define URL "http://127.0.0.1:8080/"
#define NO_MORE HARNESS_DIR "/no-more"

static struct run run;
static struct show show;

/* Every worker has another process than before; pids are the new ones then. */
static void expect_all_new(pid_t *pids)
{
	pid_t now[WORKERS];

	run_pids(&run, now, WORKERS);
	for (int i = 0; i < WORKERS; i++) {
		if (now[i] == pids[i] || process_lives(pids[i]))
			fail_msg("worker %d: pid %d before and %d now", i, pids[i], now[i]);
		pids[i] = now[i];
	}
}

static void reload_three_times(void)
{
	pid_t pids[WORKERS];

	run_pids(&run, pids, WORKERS);
	for (int i = 0; i < 3; i++) {
		lbctl_ok("reload", "web", NULL);
		expect_all_new(pids);
	}
}

static void scale_up_and_down(void)
{
	static const struct {
		const char *text;
		size_t n;
	} steps[] = { { "8", 8 }, { "2", 2 }, { "4", 4 } };
	pid_t pids[8];

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		lbctl_ok("scale", "web", steps[i].text, NULL);
		run_pids(&run, pids, steps[i].n);
	}
}

static void switch_policies(void)
{
	static const char *const policies[] = { "random", "least-load", "rr" };

	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		lbctl_ok("set-policy", "web", policies[i], NULL);
		show_read("web", &show);
		assert_string_equal(show.policy, policies[i]);
	}
}

/*
 * 1. wrk runs: three reloads, scale 4 -> 8 -> 2 -> 4, three policies, a reload with another policy
 * 2. not one request failed; nothing fell back to the kernel; nothing is left
 */
static void change_everything(void)
{
	struct wrk wrk;
	struct job job;

	wrk_start(&job, URL, "64", WRK_UNTIL_STOPPED);
	reload_three_times();
	scale_up_and_down();
	switch_policies();
	lbctl_ok("set-policy", "web", "random", NULL);
	lbctl_ok("reload", "web", NULL);
	show_read("web", &show);
	assert_string_equal(show.policy, "random");
	assert_int_equal(show.fallback, 0);
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	print_message("%lu requests\n", wrk.requests);
	run_expect_no_failure(&run, &wrk);
	run_stop(&run);
}

static void test_changes_under_load(void **state)
{
	(void)state;
	run_start_shared(&run, WORKERS);
	change_everything();
}

static void test_changes_under_load_with_listen(void **state)
{
	(void)state;
	run_start_with_listen(&run, WORKERS, ":8080");
	change_everything();
}

static json_int_t seq_of(size_t n, const char *type)
{
	return json_integer_value(json_object_get(run_event(&run, n, type, NULL), "seq"));
}

/* In the n-th reload, the most new processes that were there before an old one left for them. */
static uint32_t most_on_their_way(size_t n)
{
	uint32_t most = 0;

	for (size_t i = 0; i < WORKERS; i++) {
		json_int_t start = seq_of((n + 1) * WORKERS + i, "start");
		uint32_t on_their_way = i + 1;

		for (size_t old = 0; old < WORKERS; old++)
			on_their_way -= seq_of(n * WORKERS + old, "drain") < start;
		most = on_their_way > most ? on_their_way : most;
	}
	return most;
}

/*
 * 1. wrk runs, and a reload is asked for so many at a time: so many new processes are on their way
 *    at once, and no more
 * 2. not one request failed; a number that is none is refused, and nothing begins
 */
static void test_reload_in_parallel(void **state)
{
	static const struct {
		const char *parallel;
		uint32_t most;
	} rows[] = { { "1", 1 }, { "2", 2 }, { "26%", 2 }, { "1024", 4 }, { "100%", 4 } };
	static const char *const wrong[] = { "0", "1025", "0%", "101%", "-1", "x", "%", "" };
	pid_t pids[WORKERS];
	struct wrk wrk;
	struct job job;

	(void)state;
	run_start_shared(&run, WORKERS);
	run_pids(&run, pids, WORKERS);
	wrk_start(&job, URL, "64", WRK_UNTIL_STOPPED);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		lbctl_ok("reload", "web", "--parallel", rows[i].parallel, NULL);
		expect_all_new(pids);
		run_expect_events(&run, WORKERS * (i + 1), "drain", NULL);
		if (most_on_their_way(i) != rows[i].most)
			fail_msg("--parallel %s: %u at a time, want %u", rows[i].parallel,
				 most_on_their_way(i), rows[i].most);
	}
	run_expect_events(&run, 2, "begin", "{s:s, s:i}", "verb", "reload", "parallel", 2);
	lbctl_ok("restart", "web", "all", "--parallel", "50%", NULL);
	run_expect_events(&run, 3, "begin", "{s:s, s:i}", "verb", "reload", "parallel", 2);
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	run_expect_no_failure(&run, &wrk);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		lbctl_expect(2, "not a number of workers from 1 to 1024, nor a share", "reload",
			     "web", "--parallel", wrong[i], NULL);
	lbctl_expect(2, "lbctl restart web all", "restart", "web", "2", "--parallel", "2", NULL);
	run_expect_events(&run, ARRAY_SIZE(rows) + 1, "begin", NULL);
	run_stop(&run);
}

/*
 * 1. wrk is stopped with up to 64 connections open, some of which it has sent nothing on yet; all
 *    workers are replaced meanwhile
 * 2. it goes on after 1.5 s: not one request failed
 */
static void stop_the_clients(void)
{
	struct job traffic, reload;
	struct output output;
	struct wrk wrk;

	wrk_start(&traffic, URL, "64", WRK_UNTIL_STOPPED);
	for (int i = 0; i < 3; i++) {
		usleep(scaled_ms(100) * 1000);
		kill(traffic.pid, SIGSTOP);
		lbctl_start(&reload, "reload", "web", NULL);
		usleep(scaled_ms(1500) * 1000);
		kill(traffic.pid, SIGCONT);
		job_wait(&reload, &output);
		assert_int_equal(output.status, 0);
		output_free(&output);
	}
	wrk_stop(&traffic);
	wrk_wait(&traffic, &wrk);
	run_expect_no_failure(&run, &wrk);
	run_stop(&run);
}

static void test_clients_that_hesitate(void **state)
{
	(void)state;
	run_start_shared(&run, WORKERS);
	stop_the_clients();
}

static void test_clients_that_hesitate_with_listen(void **state)
{
	(void)state;
	run_start_with_listen(&run, WORKERS, ":8080");
	stop_the_clients();
}

/*
 * 1. wrk runs; from now on the program exits with 3: reload exits with 1 and says so
 * 2. all old workers serve, no request failed; repaired, a reload works
 */
static void fail_to_reload(void)
{
	pid_t before[WORKERS], after[WORKERS];
	struct wrk wrk;
	struct job job;

	run_pids(&run, before, WORKERS);
	wrk_start(&job, URL, "64", WRK_UNTIL_STOPPED);
	file_write(NO_MORE, "");
	lbctl_expect(1, "exited with status 3", "reload", "web", NULL);
	lbctl_expect(1, "exited with status 3", "restart", "web", "2", NULL);
	run_pids(&run, after, WORKERS);
	assert_memory_equal(before, after, sizeof(before));
	show_read("web", &show);
	assert_int_equal(show.nr_workers, WORKERS);
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	run_expect_no_failure(&run, &wrk);
	unlink(NO_MORE);
	lbctl_ok("reload", "web", NULL);
	expect_all_new(before);
	run_stop(&run);
}

static void test_reload_that_fails(void **state)
{
	char script[PATH_MAX + 128];

	(void)state;
	snprintf(script, sizeof(script),
		 "[ ! -e " NO_MORE " ] || exit 3; exec %s -q --no-reuseport --listen :8080",
		 run_demo());
	run_start(&run, "web", "-n", "4", "--", "sh", "-c", script, NULL);
	fail_to_reload();
}

static void test_reload_that_fails_with_listen(void **state)
{
	char script[PATH_MAX + 128];

	(void)state;
	snprintf(script, sizeof(script),
		 "[ ! -e " NO_MORE " ] || { sleep .2; exit 3; }; LISTEN_PID=$$ exec %s -q",
		 run_demo());
	run_start(&run, "web", "-n", "4", "--wait-ready", "--listen", ":8080", "--", "sh", "-c",
		  script, NULL);
	fail_to_reload();
}

/* A new version that starts but never gets ready is ended; the old ones go on. */
static void test_reload_that_is_never_ready(void **state)
{
	pid_t before[WORKERS], after[WORKERS];
	char script[PATH_MAX + 128];

	(void)state;
	snprintf(script, sizeof(script),
		 "[ ! -e " NO_MORE " ] || exec sleep 100; exec %s -q --no-reuseport --listen :8080",
		 run_demo());
	run_start(&run, "web", "-n", "4", "--ready-timeout", "700", "--", "sh", "-c", script, NULL);
	run_pids(&run, before, WORKERS);
	file_write(NO_MORE, "");
	lbctl_expect(1, "still run the old version", "reload", "web", NULL);
	run_pids(&run, after, WORKERS);
	assert_memory_equal(before, after, sizeof(before));
	unlink(NO_MORE);
	run_stop(&run);
}

/*
 * 1. a new version is too late, and does not heed that it is to end: once it listens, nobody comes
 * 2. so nobody is lost when it is killed; a scale's new worker is no different
 */
static void test_late_ones_get_nothing(void **state)
{
	char script[PATH_MAX + 128];
	struct wrk wrk;
	struct job job;

	(void)state;
	snprintf(script, sizeof(script),
		 "[ ! -e " NO_MORE " ] || { trap '' TERM; sleep 2; };"
		 " exec %s -q --no-reuseport --listen :8080 --sleep-us 2000",
		 run_demo());
	run_start(&run, "web", "-n", "4", "--policy", "rr", "--ready-timeout", "1000",
		  "--kill-timeout", "3000", "--", "sh", "-c", script, NULL);
	run_expect_up(&run, WORKERS);
	file_write(NO_MORE, "");
	wrk_start(&job, URL, "16", WRK_UNTIL_STOPPED);
	lbctl_expect(1, "4 of 4 workers still run the old version", "reload", "web", NULL);
	run_expect_events(&run, 1, "exit", "{s:s}", "signal", "SIGKILL");
	lbctl_expect(1, "is not listening", "scale", "web", "5", NULL);
	lbctl_ok("scale", "web", "4", NULL);
	run_expect_events(&run, 2, "exit", "{s:s}", "signal", "SIGKILL");
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	run_expect_no_failure(&run, &wrk);
	run_stop(&run);
}

/*
 * 1. a new version dies 150 ms after it listens: nobody has given his place up for it, no request
 *    failed, and that is said
 * 2. one that dies later stops what is going on, and is the only one of its kind
 */
static void test_reload_to_one_that_dies(void **state)
{
	static const char program[] = "require('http').createServer((request, answer) =>"
				      " answer.end('hello')).listen(8080);\n";
	pid_t before[WORKERS], after[WORKERS];
	char broken[sizeof(program) + 96];
	struct wrk wrk;
	struct job job;

	(void)state;
	file_write(HARNESS_DIR "/app.js", program);
	/* so long that no busy machine makes it too short */
	run_start(&run, "web", "-n", "4", "--ready-after", "10000", "--", "node",
		  HARNESS_DIR "/app.js", NULL);
	run_pids(&run, before, WORKERS);
	wrk_start(&job, URL, "16", WRK_UNTIL_STOPPED);
	snprintf(broken, sizeof(broken), "%ssetTimeout(() => process.exit(7), 150);\n", program);
	file_write(HARNESS_DIR "/app.js", broken);
	lbctl_expect(1, "4 of 4 workers still run the old version", "reload", "web", NULL);
	lbctl_expect(1, "worker 2 goes on with its old process", "restart", "web", "2", NULL);
	run_pids(&run, after, WORKERS);
	assert_memory_equal(before, after, sizeof(before));
	snprintf(broken, sizeof(broken),
		 "%sif (process.env.LBCTL_WORKER == 5) setTimeout(() => process.exit(7), 150);\n",
		 program);
	file_write(HARNESS_DIR "/app.js", broken);
	lbctl_expect(1, "worker 5 exited with status 7", "scale", "web", "7", NULL);
	lbctl_ok("scale", "web", "4", NULL);
	run_pids(&run, after, WORKERS);
	assert_memory_equal(before, after, sizeof(before));
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	assert_int_equal(wrk.bad_answers, 0);
	run_expect_events(&run, 3, "exit", "{s:b, s:i}", "unasked", 1, "status", 7);
	run_stop(&run);
}

/*
 * 1. worker 4 and up end at once: scale to 5 fails and says so; the four go on
 * 2. what comes after is not held up by it
 */
static void test_scale_that_fails(void **state)
{
	pid_t before[WORKERS], after[WORKERS];
	char script[PATH_MAX + 128];

	(void)state;
	snprintf(script, sizeof(script),
		 "[ $LBCTL_WORKER -lt 4 ] || exit 3; exec %s -q --no-reuseport --listen :8080",
		 run_demo());
	run_start(&run, "web", "-n", "4", "--max-restarts", "1", "--", "sh", "-c", script, NULL);
	run_pids(&run, before, WORKERS);
	lbctl_expect(1, "", "scale", "web", "5", NULL);
	lbctl_ok("scale", "web", "4", NULL);
	run_pids(&run, after, WORKERS);
	assert_memory_equal(before, after, sizeof(before));
	run_stop(&run);
}

/* By what lbctl says of each end; fails the test unless it said so `ends` times. */
static unsigned long accepted_and_lost(unsigned int ends)
{
	char *log, *rest, *line, *at;
	unsigned long lost, sum = 0;

	run_expect_events(&run, ends, "exit", "{s:s}", "signal", "SIGKILL");
	log = rest = file_read(run.log);
	while ((line = strsep(&rest, "\n"))) {
		at = strstr(line, "killed by SIGKILL: ");
		if (at && sscanf(at, "killed by SIGKILL: %lu accepted connection", &lost) == 1)
			sum += lost;
		else if (at)
			fail_msg("nothing is said of connections: %s", line);
	}
	free(log);
	return sum;
}

/*
 * 1. wrk runs; one worker after the other is killed with -9, LB_TEST_KILLS (environment) in all
 * 2. what fails is at most what lbctl says they had accepted: nothing that waited; all are up again
 * Where nothing can be moved what was in a handshake is lost as well: its share of the clients.
 */
static void kill_each(void)
{
	const unsigned int in_handshakes = probe_features()->migrate ? 0 : 64 / WORKERS;
	int kills = load_asked("LB_TEST_KILLS", WORKERS);
	unsigned long lost;
	pid_t pids[WORKERS];
	struct wrk wrk;
	struct job job;

	wrk_start(&job, URL, "64", WRK_UNTIL_STOPPED);
	for (int i = 0; i < kills; i++) {
		run_pids(&run, pids, WORKERS);
		kill(pids[i % WORKERS], SIGKILL);
		wait_until(!process_lives(pids[i % WORKERS]), RUN_MS);
	}
	run_pids(&run, pids, WORKERS);
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	lost = accepted_and_lost(kills);
	print_message("%lu requests, %lu failed, %lu were accepted by who was killed\n",
		      wrk.requests, wrk.socket_errors, lost);
	assert_int_equal(wrk.bad_answers, 0);
	/*
	 * The last segment of a handshake may find its listener open, and closed when the
	 * connection is to be queued: the kernel resets it (tcp_check_req(),
	 * inet_csk_complete_hashdance(), inet_child_forget()). In 72 kills with tcp:tcp_send_reset
	 * traced there were two of these, and two more failures than told.
	 */
	assert_in_range(wrk.socket_errors, 0, lost + kills * (1 + in_handshakes));
	run_stop(&run);
}

static void test_killed_workers(void **state)
{
	(void)state;
	run_start_shared(&run, WORKERS);
	kill_each();
}

static void test_killed_workers_with_listen(void **state)
{
	(void)state;
	run_start_with_listen(&run, WORKERS, ":8080");
	kill_each();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_changes_under_load),
		runs_test(test_changes_under_load_with_listen),
		runs_test(test_reload_in_parallel),
		runs_test(test_clients_that_hesitate),
		runs_test(test_clients_that_hesitate_with_listen),
		runs_test(test_reload_that_fails),
		runs_test(test_reload_that_fails_with_listen),
		runs_test(test_reload_that_is_never_ready),
		runs_test(test_late_ones_get_nothing),
		runs_test(test_reload_to_one_that_dies),
		runs_test(test_scale_that_fails),
		runs_test(test_killed_workers),
		runs_test(test_killed_workers_with_listen),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
