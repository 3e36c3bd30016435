// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* limit: as many connections as a worker may have, of all workers or of one. */
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/obey.h"
#include "harness/show.h"
#include "harness/world.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void start_limited(pid_t pids[WORKERS], const char *policy, const char *limit)
{
	workers_start(pids);
	attach(policy);
	lbctl_ok("set", "web", limit, NULL);
}

static void expect_quiet_live(int64_t a, int64_t b, int64_t c, int64_t d)
{
	wait_until(live_sum() == a + b + c + d, QUIET_MS);
	expect_live(a, b, c, d);
}

static void end_all(void)
{
	while (nr_open)
		reset_one(nr_open - 1);
	wait_until(live_sum() == 0, QUIET_MS);
}

/*
 * 1. 20 fill all four
 * 2. four more: all are at it, so all take part, in turn. Each has drawn and walked in vain
 * 3. two of worker 2's end: it takes the next one, and no other does
 * 4. without the limit: each in turn
 */
static void test_limit_under_rr(void **state)
{
	const uint64_t tries = 1 + LB_DRAWS + WORKERS;
	struct counters before, after;
	pid_t pids[WORKERS];

	(void)state;
	start_limited(pids, "rr", "limit=5");
	counters_read("web", &before);
	open_many(20);
	expect_quiet_live(5, 5, 5, 5);
	counters_expect("web", &before, .cursor = 20, .selected = { 5, 5, 5, 5 });
	counters_read("web", &before);
	open_many(4);
	expect_quiet_live(6, 6, 6, 6);
	counters_expect("web", &before, .cursor = 4 * (1 + LB_DRAWS), .all_limited = 4,
			.redraws = 4 * LB_DRAWS, .selected = { 1, 1, 1, 1 },
			.skipped = { tries, tries, tries, tries });
	reset_one(6);
	reset_one(2);
	expect_quiet_live(6, 6, 4, 6);
	open_many(1);
	expect_quiet_live(6, 6, 5, 6);
	counters_read("web", &after);
	assert_int_equal(after.all_limited, before.all_limited + 4);
	lbctl_ok("set", "web", "limit=0", NULL);
	counters_read("web", &before);
	open_many(4);
	counters_expect("web", &before, .cursor = 4, .selected = { 1, 1, 1, 1 });
}

/*
 * 1. 20 fill all four; worker 1 hangs, and one of the next four waits there
 * 2. when it is found stalled, all others are at their limit: they get what comes, in turn
 */
static void test_limit_beside_a_stall(void **state)
{
	pid_t pids[WORKERS];
	int64_t stuck;
	char stall[32];

	(void)state;
	start_limited(pids, "rr", "limit=5");
	open_many(20);
	expect_quiet_live(5, 5, 5, 5);
	kill(pids[1], SIGSTOP);
	open_many(4);
	expect_quiet_live(6, 6, 6, 6);
	snprintf(stall, sizeof(stall), "stall_ms=%llu", (unsigned long long)scaled_ms(200));
	lbctl_ok("set", "web", stall, NULL);
	/* the first of these sees who waits there, and nothing moves */
	open_many(4);
	usleep(scaled_ms(500) * 1000);
	stuck = stats[1].live;
	open_many(8);
	wait_until(live_sum() == 36, QUIET_MS);
	assert_int_equal(stats[1].live, stuck);
	kill(pids[1], SIGCONT);
}

/* Under any other policy no worker has more, and the last ones are placed and counted. */
static void test_limit_under_each_policy(void **state)
{
	static const char *const policies[] = { "random", "hash", "least-conn", "least-load" };
	struct counters before, after;
	pid_t pids[WORKERS];

	(void)state;
	start_limited(pids, "rr", "limit=10");
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		lbctl_ok("set-policy", "web", policies[i], NULL);
		counters_read("web", &before);
		open_many(40);
		expect_quiet_live(10, 10, 10, 10);
		counters_read("web", &after);
		assert_int_equal(after.all_limited, before.all_limited);
		open_many(8);
		wait_until(live_sum() == 48, QUIET_MS);
		counters_read("web", &after);
		assert_int_equal(after.all_limited, before.all_limited + 8);
		assert_int_equal(counters_selected(&after), counters_selected(&before) + 48);
		end_all();
	}
}

/* With all at it, hash keeps its clients where they are and least-conn evens out. */
static void test_all_limited_by_policy(void **state)
{
	pid_t pids[WORKERS];
	int stays = 0;

	(void)state;
	start_limited(pids, "least-conn", "limit=1");
	open_many(40);
	wait_until(live_sum() == 40, QUIET_MS);
	for (int i = 0; i < WORKERS; i++)
		assert_in_range(stats[i].live, 4, 18);
	end_all();
	open_many(4);
	expect_quiet_live(1, 1, 1, 1);
	lbctl_ok("set-policy", "web", "hash", NULL);
	open_many(20);
	wait_until(live_sum() == 24, QUIET_MS);
	for (int i = 0; i < WORKERS; i++)
		stays += stats[i].live == 21;
	assert_int_equal(stays, 1);
}

static void expect_shown_limit(int want)
{
	json_t *view = lbctl_json("show", "web", "--json", NULL);

	assert_int_equal(json_integer_value(json_object_get(view, "limit")), want);
	json_decref(view);
}

/* A worker that comes later has the limit, too. */
static void test_limit_of_a_new_worker(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	start_limited(pids, "rr", "limit=3");
	expect_shown_limit(3);
	open_many(12);
	expect_quiet_live(3, 3, 3, 3);
	worker_start();
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	open_many(3);
	wait_until(live_sum() == 15, QUIET_MS);
	assert_int_equal(stats[4].live, 3);
	open_many(1);
	wait_until(live_sum() == 16, QUIET_MS);
	expect_live(4, 3, 3, 3);
}

static void expect_limit_of(uint32_t worker, uint32_t want)
{
	static struct show show;

	show_read("web", &show);
	assert_int_equal(show.worker[worker].limit, want);
}

/*
 * 1. one worker has a limit of its own: the others get what it may not have
 * 2. its next process, in a slot of its own, has that limit
 * 3. of two limits each holds for its worker; `set limit` is for all
 */
static void test_limit_of_one_worker(void **state)
{
	pid_t pids[WORKERS], next;
	json_t *json;

	(void)state;
	start_limited(pids, "rr", "limit=0");
	json = lbctl_json("set-limit", "web", "2", "3", "--json", NULL);
	assert_int_equal(json_integer_value(json_object_get(json, "limit")), 3);
	json_decref(json);
	expect_limit_of(2, 3);
	expect_limit_of(1, 0);
	expect_shown_limit(0);
	open_many(20);
	wait_until(live_sum() == 20, QUIET_MS);
	assert_int_equal(stats[2].live, 3);
	kill(pids[2], SIGUSR1);
	wait_until(listeners() == WORKERS - 1, QUIET_MS);
	next = worker_start();
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	expect_limit_of(2, 3);
	open_many(20);
	wait_until(live_sum() == 40, QUIET_MS);
	assert_int_equal(stats[2].live, 3);
	assert_int_equal(stats[4].live, 3);
	/* it has the clients' ends, too */
	worker_kill(next);
	end_all();
	lbctl_ok("set", "web", "limit=6", NULL);
	expect_limit_of(2, 6);
	lbctl_ok("set-limit", "web", "0", "1", NULL);
	open_many(13);
	wait_until(live_sum() == 13, QUIET_MS);
	expect_live(1, 6, 0, 6);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		obey_test(test_limit_under_rr),		 obey_test(test_limit_beside_a_stall),
		obey_test(test_limit_under_each_policy), obey_test(test_all_limited_by_policy),
		obey_test(test_limit_of_a_new_worker),	 obey_test(test_limit_of_one_worker),
	};

	(void)argc;
	return obey_run(argv[0], tests);
}
