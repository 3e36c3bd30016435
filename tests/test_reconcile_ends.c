// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the keeper decides on the ends of processes: what they have to answer first, signals,
 * times.
 */
#include <signal.h>

#include "keeper/reconcile.h"
#include "reconcile_world.h"

#define WORKERS 3
#define SEC 1000000ULL

static struct world world;

static void test_drained_before_it_ends(void **state)
{
	uint64_t begun_us;

	(void)state;
	world_come_up(&world, &world_options, 1);
	plan_reload(&world.plan, 1, 1);
	while (!world_role(&world, 0, ROLE_LEAVING)) {
		world.stop_after = 1;
		world_run(&world);
	}
	world.stop_after = UINT32_MAX;
	begun_us = world.now_us;
	world_run_until(&world, begun_us + PLAN_HANDSHAKES_US - 1);
	check("state", "handshakes", world.workers[0].at[ROLE_LEAVING].state, LIFE_DRAINING);
	world_run_until(&world, begun_us + PLAN_HANDSHAKES_US);
	check("state", "then", world.workers[0].at[ROLE_LEAVING].state, LIFE_TERMINATING);
	world_run(&world);
	world_expect_promised(&world, "reload");
}

/* Of UDP it ends when it has read all, or after kill_timeout_us. */
static void test_reads_first(void **state)
{
	struct plan_options options = world_options;

	(void)state;
	options.reads_first = true;
	for (int reads = 0; reads < 2; reads++) {
		world_come_up(&world, &options, 1);
		world_role(&world, 0, ROLE_CURRENT)->habit.reads_us = reads ? SEC : PLAN_NEVER;
		plan_reload(&world.plan, 1, 1);
		world_run_until(&world, world.now_us + SEC);
		check("state", "reads", world.workers[0].at[ROLE_LEAVING].state, LIFE_DRAINING);
		world_run_until(&world, world.now_us + SEC);
		check("runs", "has read", lifecycle_runs(world.workers[0].at[ROLE_LEAVING].state),
		      !reads);
		world_run_until(&world, world.now_us + 4 * SEC);
		check("runs", "given up on",
		      lifecycle_runs(world.workers[0].at[ROLE_LEAVING].state), 0);
	}
}

/* What it has to answer is waited for, for drain_timeout_us and no longer. */
static void test_answers_first(void **state)
{
	static const struct {
		const char *name;
		uint64_t works_us, gone_us;
		enum plan_why why;
	} rows[] = {
		{ "nothing to answer", 0, PLAN_HANDSHAKES_US, WHY_DRAINED },
		{ "answers within the handshakes", 30 * WORLD_MS, PLAN_HANDSHAKES_US, WHY_DRAINED },
		{ "answers", SEC, SEC, WHY_DRAINED },
		{ "answers at the last moment", 2 * SEC, 2 * SEC, WHY_DRAINED },
		{ "never answers", PLAN_NEVER, 2 * SEC, WHY_AT_WORK },
	};
	struct plan_options options = world_options;

	(void)state;
	options.drain_timeout_us = 2 * SEC;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t drained_us;

		world_come_up(&world, &options, 1);
		world_role(&world, 0, ROLE_CURRENT)->habit.works_us = rows[i].works_us;
		plan_reload(&world.plan, 1, 1);
		while (!world_role(&world, 0, ROLE_LEAVING)) {
			world.stop_after = 1;
			world_run(&world);
		}
		world.stop_after = UINT32_MAX;
		drained_us = world.now_us;
		world_run_until(&world, drained_us + rows[i].gone_us - 1);
		check("state", rows[i].name, world.workers[0].at[ROLE_LEAVING].state,
		      LIFE_DRAINING);
		world_run_until(&world, drained_us + rows[i].gone_us);
		check("state", rows[i].name, world.workers[0].at[ROLE_LEAVING].state,
		      LIFE_TERMINATING);
		check("why", rows[i].name, world.last_signal, rows[i].why);
		world_run(&world);
		world_expect_promised(&world, rows[i].name);
	}
}

/* Also when all ends, once the program is off; asked twice, it waits for nothing. */
static void test_stop_answers_first(void **state)
{
	static const struct {
		const char *name;
		uint64_t works_us, gone_us;
		bool twice;
	} rows[] = {
		{ "nothing to answer", 0, 0, false },
		{ "answers", SEC, SEC, false },
		{ "never answers", PLAN_NEVER, 2 * SEC, false },
		{ "asked twice", PLAN_NEVER, 0, true },
	};
	struct plan_options options = world_options;

	(void)state;
	options.drain_timeout_us = 2 * SEC;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t end_us;

		world_come_up(&world, &options, 2);
		world_role(&world, 0, ROLE_CURRENT)->habit.works_us = rows[i].works_us;
		end_us = world.now_us + rows[i].gone_us + good_habit.ends_us;
		plan_stop(&world.plan, 0);
		world_run_until(&world, world.now_us + 1);
		check("state", rows[i].name, world.workers[0].at[ROLE_CURRENT].state,
		      rows[i].works_us ? LIFE_DRAINING : LIFE_TERMINATING);
		check("state of the other", rows[i].name, world.workers[1].at[ROLE_CURRENT].state,
		      LIFE_TERMINATING);
		if (rows[i].twice)
			plan_stop(&world.plan, 0);
		world_run(&world);
		check("ended", rows[i].name, world.ended, 1);
		if (!rows[i].twice)
			check("ms", rows[i].name, world.now_us / WORLD_MS, end_us / WORLD_MS);
		check("kills", rows[i].name, world.kills, rows[i].twice ? 2 : 0);
	}
}

/* SIGTERM is ignored: SIGKILL after kill_timeout_us, and at once when stop is asked for twice. */
static void test_kill(void **state)
{
	(void)state;
	world_come_up(&world, &world_options, 2);
	world_role(&world, 0, ROLE_CURRENT)->habit.ends_us = PLAN_NEVER;
	plan_stop(&world.plan, 0);
	world_run_until(&world, world.now_us + world_options.kill_timeout_us - 1);
	check("kills", "in time", world.kills, 0);
	world_run(&world);
	check("kills", "late", world.kills, 1);
	check("ended", "late", world.ended, 1);

	world_come_up(&world, &world_options, 2);
	world_role(&world, 0, ROLE_CURRENT)->habit.ends_us = PLAN_NEVER;
	plan_stop(&world.plan, 0);
	world_run_until(&world, world.now_us + 1);
	plan_stop(&world.plan, 0);
	world_run_until(&world, world.now_us + 1);
	check("kills", "asked twice", world.kills, 2);
	check("ended", "asked twice", world.ended, 1);

	world_come_up(&world, &world_options, 2);
	world_role(&world, 0, ROLE_CURRENT)->habit.ends_us = PLAN_NEVER;
	world_role(&world, 0, ROLE_CURRENT)->habit.cant_be_killed = true;
	plan_stop(&world.plan, 0);
	world_run(&world);
	check("ended", "can't be killed", world.ended, 1);
}

/* What a shell in front leaves behind is told to end when the shell has, and has its time. */
static void test_rest_is_told(void **state)
{
	struct plan_options options = world_options;

	(void)state;
	options.stop_signal = SIGQUIT;
	for (int tells = 0; tells < 2; tells++) {
		options.tells_rest = tells;
		world_come_up(&world, &options, 2);
		world_role(&world, 0, ROLE_CURRENT)->habit.is_wrapped = true;
		world_role(&world, 0, ROLE_CURRENT)->habit.ends_us = SEC;
		plan_restart(&world.plan, 0, 1);
		world_run_until(&world, world.now_us + 500 * WORLD_MS);
		check("signal", "of the main process", world.workers[0].at[ROLE_LEAVING].signal,
		      SIGQUIT);
		check("told", "the rest", world_role(&world, 0, ROLE_LEAVING)->rest_told, tells);
		world_run_until(&world, world.now_us + SEC);
		check("lives", "the rest", lifecycle_runs(world.workers[0].at[ROLE_LEAVING].state),
		      !tells);
		world_run(&world);
		check("kills", "the rest", world.kills, !tells);
		world_expect_promised(&world, "the rest");
	}
}

/* The service is not unsteered yet: nobody is told to end before. */
static void test_stop_waits_for_the_program(void **state)
{
	struct action actions[2 * PLAN_LEAST_ACTIONS];

	(void)state;
	world_come_up(&world, &world_options, 2);
	plan_stop(&world.plan, 0);
	assert_int_equal(reconcile(&world.plan, world.now_us, actions, ARRAY_SIZE(actions)), 0);
	world.plan.unsteered = true;
	assert_int_equal(reconcile(&world.plan, world.now_us, actions, ARRAY_SIZE(actions)), 6);
	assert_int_equal(actions[0].kind, ACTION_CLOSE);
	assert_int_equal(actions[1].kind, ACTION_SIGNAL);
	assert_int_equal(actions[2].kind, ACTION_MARK);
}

/* Nobody can take the lock of the service away from who holds it: it ends drained or not. */
static void test_drain_is_not_waited_for_without_end(void **state)
{
	(void)state;
	world_come_up(&world, &world_options, WORKERS);
	world.drain_takes_us = 3600 * SEC;
	world.faultless = false;
	plan_reload(&world.plan, 1, 1);
	world_role(&world, 0, ROLE_CURRENT)->in_table = false;
	for (uint32_t w = 0; w < WORKERS; w++)
		world_role(&world, w, ROLE_CURRENT)->drained_us = 0;
	world_run_until(&world, world.now_us + 3 * world_options.kill_timeout_us);
	check("finished", "reload", world.finished, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drained_before_it_ends),
		cmocka_unit_test(test_reads_first),
		cmocka_unit_test(test_answers_first),
		cmocka_unit_test(test_stop_answers_first),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_rest_is_told),
		cmocka_unit_test(test_stop_waits_for_the_program),
		cmocka_unit_test(test_drain_is_not_waited_for_without_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
