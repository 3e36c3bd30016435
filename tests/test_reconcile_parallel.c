// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the keeper decides in a reload of several workers at a time. */
#include <stdio.h>

#include "reconcile_world.h"

#define WORKERS 3
#define SEC 1000000ULL

static struct world world;

/* Of the successors that are on their way at a time, the most that there were. */
static uint32_t most_on_their_way(uint32_t least_serving)
{
	uint32_t most = 0, now;

	world.stop_after = 1;
	while (world.plan.operation.verb != PLAN_NO_VERB) {
		world_run(&world);
		now = world_on_their_way(&world);
		most = now > most ? now : most;
		assert_true(world_serving(&world) >= least_serving);
	}
	world.stop_after = UINT32_MAX;
	world_run(&world);
	return most;
}

/* So many at a time, and no more; each is steady before an old one goes. */
static void test_reload_in_parallel(void **state)
{
	static const struct {
		const char *name;
		uint32_t workers, parallel, most;
	} rows[] = {
		{ "one after the other", 4, 1, 1 },
		{ "two at a time", 4, 2, 2 },
		{ "three at a time, of four", 4, 3, 3 },
		{ "all", 4, 4, 4 },
		{ "more than there are", 4, 1024, 4 },
		{ "of one", 1, 4, 1 },
		{ "most", WORLD_WORKERS, WORLD_WORKERS, WORLD_WORKERS },
	};
	struct plan_options options = world_options;

	(void)state;
	options.ready_after_us = 300 * WORLD_MS;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t begun_us, rounds;

		world_come_up(&world, &options, rows[i].workers);
		begun_us = world.now_us;
		plan_reload(&world.plan, rows[i].parallel, 1);
		check("at a time", rows[i].name, most_on_their_way(rows[i].workers), rows[i].most);
		check("finish", rows[i].name, world.finish, WHY_DONE);
		check("starts", rows[i].name, world.starts, 2 * rows[i].workers);
		world_expect_promised(&world, rows[i].name);
		rounds = (rows[i].workers + rows[i].most - 1) / rows[i].most;
		check("rounds", rows[i].name, (world.now_us - begun_us) / options.ready_after_us,
		      rounds);
	}
}

/* Their places are empty meanwhile, so of these one goes at a time; others beside it as asked. */
static void test_parallel_with_ports_for_one_process(void **state)
{
	static const struct {
		const char *name;
		uint32_t alone, most;
	} rows[] = {
		{ "all", WORLD_WORKERS, 0 },
		{ "three of six", 3, 3 },
		{ "one of six", 1, 5 },
	};
	struct plan_options options = world_options;

	(void)state;
	options.ready_after_us = SEC;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t begun_us;

		world_begin(&world, &options, WORLD_WORKERS);
		world.next_habit = world.habit;
		world.next_habit.alone = true;
		world.nexts = rows[i].alone;
		world_run(&world);
		world.nexts = 0;
		world.habit.alone = rows[i].alone == WORLD_WORKERS;
		begun_us = world.now_us;
		plan_reload(&world.plan, WORLD_WORKERS, 1);
		check("at a time", rows[i].name, most_on_their_way(WORLD_WORKERS - 1),
		      rows[i].most);
		check("finish", rows[i].name, world.finish, WHY_DONE);
		/* the next one goes when this one is steady */
		check("rounds", rows[i].name, (world.now_us - begun_us) / SEC, rows[i].alone);
		world_expect_promised(&world, rows[i].name);
	}
}

/* Two are on their way, and one of them dies: the other does not come, and all old ones stay. */
static void test_one_of_several_dies(void **state)
{
	static const struct {
		const char *name;
		uint64_t dies_us;
		enum plan_why why;
	} rows[] = {
		{ "dies", 2 * WORLD_MS, WHY_ENDED },
		{ "dies online", 150 * WORLD_MS, WHY_ENDED },
		{ "is never ready", PLAN_NEVER, WHY_NOT_READY },
	};
	struct plan_options options = world_options;

	(void)state;
	options.ready_after_us = 20 * SEC;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		world_come_up(&world, &options, WORKERS);
		world.faultless = false;
		world.next_habit = world.habit;
		world.next_habit.dies_us = rows[i].dies_us;
		if (rows[i].why == WHY_NOT_READY)
			world.next_habit.ready_us = world.next_habit.in_us = PLAN_NEVER;
		world.nexts = 1;
		plan_reload(&world.plan, 2, 1);
		check("at a time", rows[i].name, most_on_their_way(WORKERS), 2);
		check("finish", rows[i].name, world.finish, rows[i].why);
		check("worker", rows[i].name, world.last_finish.worker, 0);
		check("old", rows[i].name, world.last_finish.old, WORKERS);
		check("renewed", rows[i].name, world.last_finish.renewed, 0);
		check("starts", rows[i].name, world.starts, WORKERS + 2);
		world_expect_promised(&world, rows[i].name);
	}
}

static void test_percent_of_the_workers(void **state)
{
	static const struct {
		uint32_t workers, percent, want;
	} rows[] = {
		{ 1, 1, 1 },	 { 1, 100, 1 },	    { 4, 25, 1 },	 { 4, 26, 2 },
		{ 4, 50, 2 },	 { 4, 100, 4 },	    { 3, 33, 1 },	 { 3, 34, 2 },
		{ 1024, 1, 11 }, { 1024, 10, 103 }, { 1024, 100, 1024 },
	};
	struct plan plan = { 0 };
	char name[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		plan.wanted = rows[i].workers;
		snprintf(name, sizeof(name), "%u%% of %u", rows[i].percent, rows[i].workers);
		check("workers", name, plan_percent(&plan, rows[i].percent), rows[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reload_in_parallel),
		cmocka_unit_test(test_parallel_with_ports_for_one_process),
		cmocka_unit_test(test_one_of_several_dies),
		cmocka_unit_test(test_percent_of_the_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
