// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl explain of real servers: what was done to one is found, with what helps, and nothing else;
 * once the remedy is carried out it is gone.
 */
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/explains.h"
#include "harness/maps.h"
#include "harness/measured.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/world.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WORKERS 4
#define BAD HARNESS_DIR "/bad"

static struct run run;
static struct demo demos[WORKERS];

/* Worker 1 takes 20 ms for a request, the others 1: least-latency. */
static void slow_worker(const char *latency, const char *seconds)
{
	run_start(&run, "web", "-n", "4", "--policy", "rr", "--", run_demo(), "-q", "-n", "1",
		  "--listen", "127.0.0.1:8080", "--sleep-us", "1000", "--slow", "1:20000", NULL);
	run_expect_up(&run, WORKERS);
	lbctl_ok("set", "web", latency, NULL);
	traffic_start(1, "/");
	sleep(1);
	explain_carry_out(explain_expect(seconds, "slow", 1, "lbctl set-policy web least-latency"));
	sleep(1);
	explain_nothing(seconds);
	traffic_stop();
	run_stop(&run);
}

static void test_slow_worker(void **state)
{
	(void)state;
	needs_latency();
	slow_worker("latency=on", "3");
}

/* By the pace of least-latency, which is always there. */
static void test_slow_worker_unmeasured(void **state)
{
	(void)state;
	slow_worker("latency=off", "5");
}

/*
 * 1. worker 0 has been alone, and has 40 connections; rr gives it as many more as the others
 * 2. least-conn gives it none: what it has, only its end can change
 * 3. until the others have as many
 */
static void test_kept_connections(void **state)
{
	(void)state;
	needs(late_count);
	demo_start(&demos[0], 0, "--listen", ":8080", NULL);
	keep(40);
	for (int i = 1; i < WORKERS; i++)
		demo_start(&demos[i], i, "--listen", ":8080", NULL);
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", NULL);
	wait_until(live_of_all() == 40, RUN_MS);
	explain_carry_out(explain_expect("1", "kept", 0, "lbctl set-policy web least-conn"));
	json_decref(explain_expect("1", "kept", 0, "no setting helps: a reload of the server"));
	keep(120);
	wait_until(live_of_all() == 160, RUN_MS);
	explain_nothing("1");
	keep_none();
}

/*
 * 1. a stopped worker; what waits there can go to others
 * 2. that is all that a setting can do
 * 3. it goes on, and is believed once it has accepted the next one
 */
static void test_worker_hangs(void **state)
{
	(void)state;
	demo_start_many(demos, WORKERS, ":8080");
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", NULL);
	kill(demos[1].pid, SIGSTOP);
	keep(8);
	sleep(2);
	explain_carry_out(explain_expect("1", "hangs", 1, "lbctl rescue web 1"));
	json_decref(explain_expect("1", "hangs", 1, "is to go on, or to end"));
	kill(demos[1].pid, SIGCONT);
	sleep(1);
	keep(8);
	wait_until(live_of_all() == 16, RUN_MS);
	explain_nothing("1");
	keep_none();
}

static void test_all_at_their_limit(void **state)
{
	(void)state;
	needs(late_count);
	explain_run(&run, "2", "least-conn", NULL, NULL);
	lbctl_ok("set", "web", "limit=3", "hold_ms=0", NULL);
	keep(6);
	wait_until(live_of_all() == 6, RUN_MS);
	explain_carry_out(explain_expect("1", "limited", -1, "lbctl scale web +1"));
	run_expect_up(&run, 3);
	explain_nothing("1");
	keep_none();
	run_stop(&run);
}

/* Worker 1 ends by itself after 0.3 s, until the program is mended. */
static void test_restart_loop(void **state)
{
	char program[512];

	(void)state;
	snprintf(program, sizeof(program),
		 "[ $LBCTL_WORKER = 1 ] && [ -e " BAD
		 " ] && exec timeout 0.3 %s -q --listen :8080; "
		 "exec %s -q --listen :8080",
		 run_demo(), run_demo());
	file_write(BAD, "");
	run_start(&run, "web", "-n", "3", "--policy", "rr", "--restart-delay", "50", "--", "sh",
		  "-c", program, NULL);
	run_expect_events(&run, 4, "exit", "{s:i}", "worker", 1);
	json_decref(
		explain_expect("3", "restarts", 1, "no setting helps: the program ends by itself"));
	unlink(BAD);
	sleep(1);
	run_expect_up(&run, 3);
	explain_nothing("2");
	run_stop(&run);
}

static void test_hash_with_one_client(void **state)
{
	(void)state;
	explain_run(&run, "4", "hash", "--sleep-us", "1000");
	traffic_start(1, "/");
	explain_carry_out(
		explain_expect("2", "few-clients", -2, "lbctl set-policy web least-conn"));
	explain_nothing("2");
	traffic_stop();
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_slow_worker),	      runs_test(test_slow_worker_unmeasured),
		runs_test(test_kept_connections),     runs_test(test_worker_hangs),
		runs_test(test_all_at_their_limit),   runs_test(test_restart_loop),
		runs_test(test_hash_with_one_client),
	};

	(void)argc;
	stalls_count = true;
	return runs_run(argv[0], tests);
}
