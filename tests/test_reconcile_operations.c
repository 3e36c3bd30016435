// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the keeper decides when a reload, a restart or a scale does not go well, or is called off.
 */
#include <stdio.h>

#include "reconcile_world.h"

#define WORKERS 3
#define SEC 1000000ULL

static struct world world;

/* The second of three fails: one has the new version, and two keep the old one. */
static void test_reload_counts_the_old(void **state)
{
	(void)state;
	world_come_up(&world, &world_options, WORKERS);
	plan_reload(&world.plan, 1, 1);
	while (world.starts < WORKERS + 1) {
		world.stop_after = 1;
		world_run(&world);
	}
	world.faultless = false;
	world.stop_after = UINT32_MAX;
	world.next_habit = world.habit;
	world.next_habit.dies_us = 2 * WORLD_MS;
	world.nexts = 1;
	world_run(&world);
	check("finish", "second fails", world.finish, WHY_ENDED);
	check("worker", "second fails", world.last_finish.worker, 1);
	check("old", "second fails", world.last_finish.old, 2);
	check("starts", "second fails", world.starts, WORKERS + 2);
	world_expect_promised(&world, "second fails");
}

/* A new process that ends just after it came online ends the reload, too. */
static void test_new_version_dies_online(void **state)
{
	(void)state;
	world_come_up(&world, &world_options, WORKERS);
	world.faultless = false;
	world.next_habit = world.habit;
	world.next_habit.dies_us = 12 * WORLD_MS;
	world.nexts = 1;
	plan_reload(&world.plan, 1, 1);
	world_run(&world);
	check("finish", "dies online", world.finish, WHY_ENDED);
	check("old", "dies online", world.last_finish.old, 2);
	world_expect_promised(&world, "dies online");
}

/* Nobody leaves before the new one has been online for ready_after_us. */
static void test_new_version_dies_a_moment_later(void **state)
{
	struct plan_options options = world_options;

	(void)state;
	options.ready_after_us = 300 * WORLD_MS;
	world_come_up(&world, &options, WORKERS);
	world.faultless = false;
	world.habit.dies_us = 150 * WORLD_MS;
	plan_reload(&world.plan, 1, 1);
	world_run(&world);
	check("finish", "dies after 150 ms", world.finish, WHY_ENDED);
	check("old", "dies after 150 ms", world.last_finish.old, WORKERS);
	check("renewed", "dies after 150 ms", world.last_finish.renewed, 0);
	check("starts", "dies after 150 ms", world.starts, WORKERS + 1);
	world_expect_promised(&world, "dies after 150 ms");
}

/* The first has the new version when it dies: who is on the way does not come, all others stay. */
static void test_new_version_dies_much_later(void **state)
{
	struct plan_options options = world_options;

	(void)state;
	options.ready_after_us = 300 * WORLD_MS;
	world_come_up(&world, &options, WORKERS);
	world.faultless = false;
	world.next_habit = world.habit;
	world.next_habit.dies_us = 500 * WORLD_MS;
	world.nexts = 1;
	plan_reload(&world.plan, 1, 1);
	world_run_until(&world, world.now_us + 499 * WORLD_MS);
	check("next", "in time", world.workers[1].at[ROLE_NEXT].state, LIFE_ONLINE);
	world_run(&world);
	check("finish", "dies after 500 ms", world.finish, WHY_ENDED);
	check("worker", "dies after 500 ms", world.last_finish.worker, 0);
	check("old", "dies after 500 ms", world.last_finish.old, WORKERS - 1);
	check("renewed", "dies after 500 ms", world.last_finish.renewed, 0);
	check("starts", "two new ones, and the first again", world.starts, WORKERS + 3);
	check("version", "of the second", world.workers[1].at[ROLE_CURRENT].version, 0);
	world_expect_promised(&world, "dies after 500 ms");
}

/* And the operation does not end before. */
static void test_last_one_dies_a_moment_later(void **state)
{
	static const struct {
		const char *name;
		uint64_t dies_us;
		enum plan_why why;
	} rows[] = {
		{ "within the time", 200 * WORLD_MS, WHY_ENDED },
		{ "after it", 400 * WORLD_MS, WHY_DONE },
	};
	struct plan_options options = world_options;

	(void)state;
	options.ready_after_us = 300 * WORLD_MS;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		world_come_up(&world, &options, WORKERS);
		world.faultless = false;
		world.next_habit = world.habit;
		world.next_habit.dies_us = rows[i].dies_us;
		world.nexts = 1;
		plan_scale(&world.plan, WORKERS + 1, 1);
		world_run(&world);
		check("finish", rows[i].name, world.finish, rows[i].why);
		world_expect_promised(&world, rows[i].name);
	}
}

/* One that does not ping is ended while it waits for its place, too. */
static void test_watchdog_of_a_successor(void **state)
{
	struct plan_options options = world_options;

	(void)state;
	options.ready_after_us = 3 * SEC;
	world_come_up(&world, &options, 1);
	world.plan.options.watchdog_us = 2 * SEC;
	world.workers[0].at[ROLE_CURRENT].pinged_us = world.now_us + 3600 * SEC;
	world.faultless = false;
	plan_reload(&world.plan, 1, 1);
	world_run_until(&world, world.now_us + 5 * SEC);
	check("finish", "a successor hangs", world.finish, WHY_ENDED);
	check("old", "a successor hangs", world.last_finish.old, 1);
	check("version", "a successor hangs", world.workers[0].at[ROLE_CURRENT].version, 0);
}

/* What serves stays, what was to come does not. */
static void test_cancel(void **state)
{
	static const struct {
		const char *name;
		enum plan_verb verb;
		uint32_t n;
		uint64_t after_us, in_us;
		uint32_t wanted, renewed;
	} rows[] = {
		{ "reload, at once", PLAN_RELOAD, 0, 1, 1, 3, 0 },
		{ "reload, one is never ready", PLAN_RELOAD, 0, SEC, PLAN_NEVER, 3, 0 },
		{ "reload, one is steady", PLAN_RELOAD, 0, 450 * WORLD_MS, 1, 3, 1 },
		{ "restart", PLAN_RESTART, 1, 100 * WORLD_MS, 1, 3, 0 },
		{ "scale up, at once", PLAN_SCALE, 5, 1, 1, 3, 0 },
		{ "scale up, never ready", PLAN_SCALE, 5, SEC, PLAN_NEVER, 3, 0 },
		{ "scale up, all are online", PLAN_SCALE, 5, 100 * WORLD_MS, 1, 5, 0 },
		{ "scale down", PLAN_SCALE, 1, 1, 1, 1, 0 },
	};
	struct plan_options options = world_options;

	(void)state;
	options.ready_after_us = 300 * WORLD_MS;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t renewed = 0;

		world_come_up(&world, &options, WORKERS);
		world.habit.in_us = rows[i].in_us;
		if (rows[i].verb == PLAN_RELOAD)
			plan_reload(&world.plan, 1, 1);
		else if (rows[i].verb == PLAN_RESTART)
			plan_restart(&world.plan, rows[i].n, 1);
		else
			plan_scale(&world.plan, rows[i].n, 1);
		world_run_until(&world, world.now_us + rows[i].after_us);
		check("verb", rows[i].name, plan_cancel(&world.plan).verb, rows[i].verb);
		check("again", rows[i].name, plan_cancel(&world.plan).verb, PLAN_NO_VERB);
		world_run(&world);
		check("wanted", rows[i].name, world.plan.wanted, rows[i].wanted);
		check("finished", rows[i].name, world.finished, 0);
		world_expect_promised(&world, rows[i].name);
		for (uint32_t w = 0; w < rows[i].wanted; w++)
			renewed += world.workers[w].at[ROLE_CURRENT].version > 0;
		check("renewed", rows[i].name, renewed, rows[i].renewed);
	}
}

/*
 * A new process ends with a status of --stop-exit-codes: that fails the operation as any other end,
 * and an old one in whose place it was to be goes on.
 */
static void test_new_version_finishes(void **state)
{
	static const struct {
		const char *name;
		enum plan_verb verb;
		uint64_t dies_us;
		uint32_t worker, lost;
		enum lifecycle state;
	} rows[] = {
		{ "reload, before it is ready", PLAN_RELOAD, 2 * WORLD_MS, 0, 0, LIFE_ONLINE },
		{ "reload, before it is steady", PLAN_RELOAD, 100 * WORLD_MS, 0, 0, LIFE_ONLINE },
		{ "reload, steady", PLAN_RELOAD, 500 * WORLD_MS, 0, 1, LIFE_FINISHED },
		{ "scale", PLAN_SCALE, 2 * WORLD_MS, WORKERS, 0, LIFE_FINISHED },
	};
	struct plan_options options = world_options;

	(void)state;
	options.ready_after_us = 300 * WORLD_MS;
	options.stop_exit_codes.bits[0] = 1 << 3;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		world_come_up(&world, &options, WORKERS);
		world.faultless = false;
		world.next_habit = world.habit;
		world.next_habit.dies_us = rows[i].dies_us;
		world.next_habit.status = 3;
		world.nexts = 1;
		if (rows[i].verb == PLAN_SCALE)
			plan_scale(&world.plan, WORKERS + 1, 1);
		else
			plan_reload(&world.plan, 1, 1);
		world_run(&world);
		check("finished", rows[i].name, world.finished, 1);
		check("finish", rows[i].name, world.finish, WHY_ENDED);
		check("old", rows[i].name, world.last_finish.old,
		      WORKERS - rows[i].lost - (rows[i].verb == PLAN_SCALE ? WORKERS : 0));
		check("state", rows[i].name, world.workers[rows[i].worker].at[ROLE_CURRENT].state,
		      rows[i].state);
		check("told", rows[i].name, world.told[WHY_FINISHED],
		      rows[i].state == LIFE_FINISHED);
	}
}

/* An old one finishes while its successor is on its way: that one gets its place. */
static void test_old_one_finishes_in_a_reload(void **state)
{
	struct plan_options options = world_options;

	(void)state;
	options.ready_after_us = 300 * WORLD_MS;
	options.stop_exit_codes.bits[0] = 1 << 3;
	world_come_up(&world, &options, WORKERS);
	world.faultless = false;
	world_role(&world, 0, ROLE_CURRENT)->habit.status = 3;
	world_role(&world, 0, ROLE_CURRENT)->ends_us = world.now_us + 2 * WORLD_MS;
	plan_reload(&world.plan, 1, 1);
	world_run(&world);
	check("finish", "reload", world.finish, WHY_DONE);
	check("told", "reload", world.told[WHY_FINISHED], 0);
	check("starts", "reload", world.starts, 2 * WORKERS);
	world_expect_promised(&world, "reload");
}

/* One that was called off ends when another operation is going on: that is no failure of it. */
static void test_reload_after_a_cancel(void **state)
{
	(void)state;
	world_come_up(&world, &world_options, WORKERS);
	world.next_habit = world.habit;
	world.next_habit.in_us = PLAN_NEVER;
	world.nexts = 1;
	plan_reload(&world.plan, 1, 1);
	world_run_until(&world, world.now_us + SEC);
	plan_cancel(&world.plan);
	plan_reload(&world.plan, 1, 2);
	world_run(&world);
	check("finish", "the second", world.finish, WHY_DONE);
	world_expect_promised(&world, "the second");
}

/*
 * 1. reload of processes that have a port for themselves: each ends before the next one begins, one
 *    worker at a time; 2. the second new one dies, and is tried again: the reload failed; 3. the
 *    first is late, and goes on
 */
static void test_ports_for_one_process(void **state)
{
	(void)state;
	world_begin(&world, &world_options, WORKERS);
	world.habit.alone = true;
	world_run(&world);
	plan_reload(&world.plan, 1, 1);
	while (world.plan.operation.verb != PLAN_NO_VERB) {
		world.stop_after = 1;
		world_run(&world);
		assert_true(world_serving(&world) >= WORKERS - 1);
	}
	world.stop_after = UINT32_MAX;
	check("finish", "alone", world.finish, WHY_DONE);
	check("starts", "alone", world.starts, 2 * WORKERS);
	world_run(&world);
	world_expect_promised(&world, "alone");
	plan_reload(&world.plan, 1, 1);
	while (world.starts < 2 * WORKERS + 1) {
		world.stop_after = 1;
		world_run(&world);
	}
	world.faultless = false;
	world.stop_after = UINT32_MAX;
	world.next_habit = world.habit;
	world.next_habit.dies_us = 2 * WORLD_MS;
	world.nexts = 1;
	world_run(&world);
	check("finish", "alone, second dies", world.finish, WHY_ENDED);
	check("worker", "alone, second dies", world.last_finish.worker, 1);
	check("old", "alone, second dies", world.last_finish.old, 1);
	check("starts", "alone, second dies", world.starts, 2 * WORKERS + 3);
	world_expect_promised(&world, "alone, second dies");
	world.next_habit.dies_us = PLAN_NEVER;
	world.next_habit.in_us = 11 * SEC;
	world.nexts = 1;
	plan_reload(&world.plan, 1, 1);
	world_run(&world);
	check("finish", "alone, first is late", world.finish, WHY_NOT_READY);
	check("old", "alone, first is late", world.last_finish.old, 2);
	world_expect_promised(&world, "alone, first is late");
}

/* Its sockets close with it: the next one of that number must not share them with it. */
static void test_wanted_again_while_it_stops(void **state)
{
	struct plan_options options = world_options;

	(void)state;
	options.hands_on = true;
	world_come_up(&world, &options, WORKERS);
	world.faultless = false;
	world_stop_by_itself(&world, world_role(&world, WORKERS - 1, ROLE_CURRENT));
	world_run_until(&world, world.now_us + WORLD_MS);
	plan_scale(&world.plan, WORKERS - 1, 1);
	world_run_until(&world, world.now_us + WORLD_MS);
	check("leaves", "as it stops", world.workers[WORKERS - 1].at[ROLE_LEAVING].state,
	      LIFE_DRAINING);
	plan_scale(&world.plan, WORKERS, 1);
	world_run(&world);
	world_expect_promised(&world, "wanted again");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reload_counts_the_old),
		cmocka_unit_test(test_new_version_dies_online),
		cmocka_unit_test(test_new_version_dies_a_moment_later),
		cmocka_unit_test(test_new_version_dies_much_later),
		cmocka_unit_test(test_last_one_dies_a_moment_later),
		cmocka_unit_test(test_watchdog_of_a_successor),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_new_version_finishes),
		cmocka_unit_test(test_old_one_finishes_in_a_reload),
		cmocka_unit_test(test_reload_after_a_cancel),
		cmocka_unit_test(test_ports_for_one_process),
		cmocka_unit_test(test_wanted_again_while_it_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
