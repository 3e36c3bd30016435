// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How the keeper decides on starts: times, counts, states, and whom a new keeper finds. */
#include <errno.h>
#include <signal.h>

#include "reconcile_world.h"

#define WORKERS 3
#define SEC 1000000ULL

static struct world world;

static void test_backoff(void **state)
{
	static const uint64_t want_ms[] = { 100,  200,	400,   800,   1600,
					    3200, 6400, 10000, 10000, 10000 };
	struct plan_options options = world_options;

	(void)state;
	options.max_restarts = ARRAY_SIZE(want_ms);
	world_come_up(&world, &options, 2);
	world.habit.dies_us = 3 * WORLD_MS;
	world.faultless = false;
	world_role(&world, 0, ROLE_CURRENT)->ends_us = world.now_us;
	world.stop_after = 1;
	for (size_t i = 0; i < ARRAY_SIZE(want_ms);) {
		world.last_backoff_us = 0;
		world_run(&world);
		if (world.last_backoff_us)
			check("ms", "back-off", world.last_backoff_us / 1000, want_ms[i++]);
	}
	world.stop_after = UINT32_MAX;
	world_run(&world);
	check("gave up", "after as many restarts", world.told[WHY_GAVE_UP], 1);
	check("state", "worker 0", world.workers[0].at[ROLE_CURRENT].state, LIFE_FAILED);
	check("state", "worker 1", world.workers[1].at[ROLE_CURRENT].state, LIFE_ONLINE);
	world.habit.dies_us = PLAN_NEVER;
	plan_restart(&world.plan, 0, 1);
	world_run(&world);
	check("finish", "restart of one that was given up", world.finish, WHY_DONE);
	world_expect_promised(&world, "restart of one that was given up");
}

/* --restart-delay: what it begins with, and where it ends. */
static void test_backoff_begins_as_asked(void **state)
{
	static const struct {
		const char *name;
		uint64_t delay_ms, want_ms[3];
	} rows[] = {
		{ "at once", 0, { 0, 0, 0 } },
		{ "soon", 10, { 10, 20, 40 } },
		{ "as by default", 100, { 100, 200, 400 } },
		{ "up to 10 s", 4000, { 4000, 8000, 10000 } },
		{ "10 s", 10000, { 10000, 10000, 10000 } },
		{ "longer", 60000, { 60000, 60000, 60000 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct plan_options options = world_options;

		options.restart_delay_us = rows[i].delay_ms * WORLD_MS;
		world_come_up(&world, &options, 2);
		world.faultless = false;
		for (size_t n = 0; n < ARRAY_SIZE(rows[i].want_ms); n++) {
			world.last_backoff_us = 1;
			world_role(&world, 0, ROLE_CURRENT)->ends_us = world.now_us;
			world_run(&world);
			check("ms", rows[i].name, world.last_backoff_us / 1000, rows[i].want_ms[n]);
		}
		world_expect_promised(&world, rows[i].name);
	}
}

/* The last one that served, and for long, is started again at once. */
static void test_no_wait_when_nobody_serves(void **state)
{
	(void)state;
	world_come_up(&world, &world_options, 1);
	world.faultless = false;
	world_run_until(&world, world.now_us + 2 * PLAN_STEADY_US);
	world_role(&world, 0, ROLE_CURRENT)->ends_us = world.now_us;
	world.last_backoff_us = 1;
	world_run(&world);
	check("us", "back-off", world.last_backoff_us, 0);
	world_expect_promised(&world, "again");
	world_role(&world, 0, ROLE_CURRENT)->ends_us = world.now_us;
	world_run(&world);
	check("us", "back-off", world.last_backoff_us, 2 * PLAN_FIRST_BACKOFF_US);
}

/* While none ever came up the first start is given up soon. */
static void test_first_start_gives_up_soon(void **state)
{
	(void)state;
	world_begin(&world, &world_options, WORKERS);
	world.habit.dies_us = 3 * WORLD_MS;
	world_run(&world);
	check("ended", "all die", world.ended, 1);
	check("starts", "all die", world.starts, WORKERS * (1 + PLAN_FIRST_RESTARTS));
	check("status", "all die", world.plan.end_status, 1);
	check("told", "all die", world.told[WHY_ALL_FAILED], 1);
}

/* A command that is not there is tried once, and by a service that has run, again. */
static void test_command_is_missing(void **state)
{
	(void)state;
	world_begin(&world, &world_options, WORKERS);
	world.habit.start_error = -ENOENT;
	world_run(&world);
	check("ended", "no such command", world.ended, 1);
	check("starts", "no such command", world.starts, WORKERS);
	check("error", "no such command", world.plan.end_error, -ENOENT);

	world_come_up(&world, &world_options, WORKERS);
	world.faultless = false;
	world.next_habit = world.habit;
	world.next_habit.start_error = -ENOENT;
	world.nexts = 1;
	plan_reload(&world.plan, 1, 1);
	world_run(&world);
	check("finish", "it is gone at the reload", world.finish, WHY_NO_START);
	check("old", "it is gone at the reload", world.last_finish.old, WORKERS);
	world_expect_promised(&world, "it is gone at the reload");
}

static void test_one_that_is_not_ready_goes_on(void **state)
{
	(void)state;
	world_begin(&world, &world_options, 2);
	world.next_habit = world.habit;
	world.next_habit.in_us = 15 * SEC;
	world.nexts = 1;
	plan_scale(&world.plan, 2, 1);
	world_run_until(&world, world.now_us + 11 * SEC);
	check("finish", "not ready", world.finish, WHY_NOT_READY);
	check("told", "not ready", world.told[WHY_NOT_READY], 1);
	/* nobody waits for it any more */
	plan_scale(&world.plan, 2, 1);
	world_run_until(&world, world.now_us + SEC);
	check("finished", "another operation", world.finished, 2);
	world_run(&world);
	world_expect_promised(&world, "in the end");
}

/* One that ends with such a status is not started again, until somebody asks for that. */
static void test_stop_exit_codes(void **state)
{
	static const struct {
		const char *name;
		int status;
		uint32_t starts;
		enum lifecycle state;
	} rows[] = {
		{ "one of them", 3, 0, LIFE_FINISHED },
		{ "the other", 0, 0, LIFE_FINISHED },
		{ "another", 1, 1, LIFE_ONLINE },
		{ "killed", -1, 1, LIFE_ONLINE },
	};
	struct plan_options options = world_options;

	(void)state;
	options.stop_exit_codes.bits[0] = 1 << 3 | 1 << 0;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		world_come_up(&world, &options, WORKERS);
		world.faultless = false;
		world_role(&world, 1, ROLE_CURRENT)->habit.status = rows[i].status;
		world_role(&world, 1, ROLE_CURRENT)->ends_us = world.now_us;
		world_run(&world);
		check("starts", rows[i].name, world.starts - WORKERS, rows[i].starts);
		check("state", rows[i].name, world.workers[1].at[ROLE_CURRENT].state,
		      rows[i].state);
		check("told", rows[i].name, world.told[WHY_FINISHED], !rows[i].starts);
		check("failures", rows[i].name, world.workers[1].failures, rows[i].starts);
		plan_scale(&world.plan, WORKERS, 1);
		world_run(&world);
		check("finish", "scale to the same", world.finish, WHY_DONE);
		check("state", "scale to the same", world.workers[1].at[ROLE_CURRENT].state,
		      rows[i].state);
		if (i % 2)
			plan_restart(&world.plan, 1, 1);
		else
			plan_reload(&world.plan, 1, 1);
		world_run(&world);
		check("finish", rows[i].name, world.finish, WHY_DONE);
		world_expect_promised(&world, rows[i].name);
	}
}

/* All end so, one after the other: the service ends, with status 0 unless some were given up. */
static void test_all_finish(void **state)
{
	static const struct {
		const char *name;
		int status; /* of the last one */
		enum plan_why why;
		int end_status;
	} rows[] = {
		{ "all finish", 3, WHY_ALL_FINISHED, 0 },
		{ "one is given up", 1, WHY_ALL_FAILED, 1 },
	};
	struct plan_options options = world_options;

	(void)state;
	options.stop_exit_codes.bits[0] = 1 << 3;
	options.max_restarts = 0;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		world_come_up(&world, &options, WORKERS);
		world.faultless = false;
		for (uint32_t w = 0; w < WORKERS; w++) {
			check("stop", rows[i].name, world.plan.stop, PLAN_GOES_ON);
			world_role(&world, w, ROLE_CURRENT)->habit.status =
				w + 1 < WORKERS ? 3 : rows[i].status;
			world_role(&world, w, ROLE_CURRENT)->ends_us = world.now_us;
			world_run(&world);
		}
		check("ended", rows[i].name, world.ended, 1);
		check("told", rows[i].name, world.told[rows[i].why], 1);
		check("status", rows[i].name, world.plan.end_status, rows[i].end_status);
		check("starts", rows[i].name, world.starts, WORKERS);
	}
}

static void test_watchdog(void **state)
{
	struct plan_options options = world_options;
	struct process *process;

	(void)state;
	options.watchdog_us = 2 * SEC;
	world_begin(&world, &options, 1);
	world_run_until(&world, world.now_us + SEC);
	process = &world.workers[0].at[ROLE_CURRENT];
	check("state", "at the beginning", process->state, LIFE_ONLINE);
	process->pinged_us = world.now_us;
	world_run_until(&world, world.now_us + 2 * SEC - 1);
	check("state", "in time", process->state, LIFE_ONLINE);
	world.faultless = false;
	world_run_until(&world, world.now_us + 1);
	check("state", "late", process->state, LIFE_TERMINATING);
	check("signal", "late", process->signal, SIGABRT);
	world_run_until(&world, world.now_us + SEC);
	check("failures", "an end that nobody asked for", world.workers[0].failures, 1);
	check("starts", "again", world.starts, 2);

	process->pinged_us = world.now_us;
	world_run_until(&world, world.now_us + SEC);
	/* the keeper was stopped for a minute */
	world.now_us += 60 * SEC;
	world_run_until(&world, world.now_us + 1);
	check("state", "after our own sleep", process->state, LIFE_ONLINE);
	process->said_hangs = true;
	world_run_until(&world, world.now_us + 1);
	check("signal", "WATCHDOG=trigger", process->signal, SIGABRT);
}

/* --- the states --- */

#define OF(state) (1U << LIFE_##state)
#define OF_RUNNING (OF(STARTING) | OF(READY) | OF(ONLINE) | OF(DRAINING) | OF(TERMINATING))

/* Each event leads to one state, whatever was before, and means nothing in all other states. */
static void test_states(void **state)
{
	static const struct {
		const char *name;
		enum life_event event;
		unsigned int from;
		enum lifecycle to;
	} rows[] = {
		{ "start", LIFE_START, OF(NONE) | OF(BACKING_OFF) | OF(FAILED) | OF(FINISHED),
		  LIFE_STARTING },
		{ "is ready", LIFE_IS_READY, OF(STARTING), LIFE_READY },
		{ "is in", LIFE_IS_IN, OF(READY), LIFE_ONLINE },
		{ "leave", LIFE_LEAVE, OF(STARTING) | OF(READY) | OF(ONLINE), LIFE_DRAINING },
		{ "terminate", LIFE_TERMINATE, OF_RUNNING & ~OF(TERMINATING), LIFE_TERMINATING },
		{ "end", LIFE_END, OF_RUNNING | OF(BACKING_OFF) | OF(FAILED) | OF(FINISHED),
		  LIFE_NONE },
		{ "retry", LIFE_RETRY, OF_RUNNING, LIFE_BACKING_OFF },
		{ "give up", LIFE_GIVE_UP, OF_RUNNING, LIFE_FAILED },
		{ "finish", LIFE_FINISH, OF_RUNNING, LIFE_FINISHED },
	};

	(void)state;
	assert_int_equal(ARRAY_SIZE(rows), LIFE_EVENTS);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int from = 0; from < LIFE_STATES; from++) {
			int want = rows[i].from & (1U << from) ? (int)rows[i].to : -1;

			check(rows[i].name, lifecycle_name(from),
			      lifecycle_next(from, rows[i].event), want);
		}
	}
	for (int from = 0; from < LIFE_STATES; from++) {
		check("runs", lifecycle_name(from), lifecycle_runs(from),
		      !!(OF_RUNNING & (1U << from)));
		check("parse", lifecycle_name(from), lifecycle_parse(lifecycle_name(from)), from);
	}
	check("parse", "another word", lifecycle_parse("asleep"), -1);
}

/* --- a new keeper --- */

static void test_take_over(void **state)
{
	static const struct {
		const char *name;
		enum lifecycle first, second; /* of generations 1 and 2 */
		enum lifecycle current, next, leaving;
		uint32_t of_current;
	} rows[] = {
		{ "one online", LIFE_ONLINE, LIFE_NONE, LIFE_READY, LIFE_NONE, LIFE_NONE, 1 },
		{ "one starting", LIFE_STARTING, LIFE_NONE, LIFE_STARTING, LIFE_NONE, LIFE_NONE,
		  1 },
		{ "a successor", LIFE_ONLINE, LIFE_STARTING, LIFE_READY, LIFE_STARTING, LIFE_NONE,
		  1 },
		{ "a successor that is online", LIFE_ONLINE, LIFE_ONLINE, LIFE_READY, LIFE_READY,
		  LIFE_NONE, 1 },
		{ "one leaves", LIFE_DRAINING, LIFE_ONLINE, LIFE_READY, LIFE_NONE, LIFE_DRAINING,
		  2 },
		{ "one was told to", LIFE_TERMINATING, LIFE_READY, LIFE_READY, LIFE_NONE,
		  LIFE_TERMINATING, 2 },
		{ "both leave", LIFE_TERMINATING, LIFE_DRAINING, LIFE_NONE, LIFE_NONE,
		  LIFE_TERMINATING, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int backwards = 0; backwards < 2; backwards++) {
			enum lifecycle first = backwards ? rows[i].second : rows[i].first;
			enum lifecycle second = backwards ? rows[i].first : rows[i].second;
			const struct worker *worker = &world.workers[0];

			if (backwards && rows[i].of_current == 0)
				continue;
			world_begin(&world, &world_options, 1);
			if (first != LIFE_NONE)
				plan_take_over(&world.plan, 0, 1 + backwards, first, 1);
			if (second != LIFE_NONE)
				plan_take_over(&world.plan, 0, 2 - backwards, second, 1);
			check("current", rows[i].name, worker->at[ROLE_CURRENT].state,
			      rows[i].current);
			check("next", rows[i].name, worker->at[ROLE_NEXT].state, rows[i].next);
			check("leaving", rows[i].name, worker->at[ROLE_LEAVING].state,
			      rows[i].leaving);
			check("whose", rows[i].name, worker->at[ROLE_CURRENT].generation,
			      rows[i].of_current);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_backoff_begins_as_asked),
		cmocka_unit_test(test_no_wait_when_nobody_serves),
		cmocka_unit_test(test_first_start_gives_up_soon),
		cmocka_unit_test(test_command_is_missing),
		cmocka_unit_test(test_one_that_is_not_ready_goes_on),
		cmocka_unit_test(test_stop_exit_codes),
		cmocka_unit_test(test_all_finish),
		cmocka_unit_test(test_watchdog),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_take_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
