// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the keeper decides where a process makes others itself, at a signal: a reload is its own. */
#include <signal.h>

#include "reconcile_pass.h"
#include "reconcile_world.h"

#define WORKERS 3
#define SEC 1000000ULL

static struct world world;

static struct plan_options renewing(const struct plan_options *from)
{
	struct plan_options options = *from;

	options.reload_signal = SIGHUP;
	return options;
}

static void test_reload(void **state)
{
	struct plan_options options = renewing(&world_options);

	(void)state;
	world_come_up(&world, &options, WORKERS);
	plan_reload(&world.plan, 1, 1);
	world_run(&world);
	check("told", "reload", world.renews, WORKERS);
	check("starts", "reload", world.starts, WORKERS);
	check("finish", "reload", world.finish, WHY_DONE);
	check("old", "reload", world.last_finish.old, 0);
	world_expect_promised(&world, "reload");
	plan_reload(&world.plan, 1, 1);
	world_run(&world);
	check("told", "once more", world.renews, 2 * WORKERS);
	world_expect_promised(&world, "once more");
}

/* It goes on with what it has, is told so in time, and can be told again. */
static void test_signal_does_nothing(void **state)
{
	struct plan_options options = renewing(&world_options);

	(void)state;
	options.ready_timeout_us = 2 * SEC;
	world_begin(&world, &options, 1);
	world.habit.renews_us = PLAN_NEVER;
	world_run(&world);
	plan_reload(&world.plan, 1, 1);
	world_run_until(&world, world.now_us + 2 * SEC - 1);
	check("finished", "before its time", world.finished, 0);
	world_run_until(&world, world.now_us + 1);
	check("finish", "in time", world.finish, WHY_NOT_RENEWED);
	check("old", "in time", world.last_finish.old, 1);
	check("version", "in time", world.workers[0].at[ROLE_CURRENT].version, 0);
	world_expect_promised(&world, "goes on");
	check("starts", "goes on", world.starts, 1);
	world_fake(&world, 0, 1)->habit.renews_us = WORLD_MS;
	plan_reload(&world.plan, 1, 1);
	world_run(&world);
	check("told", "again", world.renews, 2);
	check("finish", "again", world.finish, WHY_DONE);
	check("version", "again", world.workers[0].at[ROLE_CURRENT].version, 2);
}

/* One that does not know the signal dies of it: it is started again, and that is no reload. */
static void test_signal_ends_it(void **state)
{
	struct plan_options options = renewing(&world_options);

	(void)state;
	world_come_up(&world, &options, 1);
	world.faultless = false;
	world_fake(&world, 0, 1)->habit.renews_us = PLAN_NEVER;
	plan_reload(&world.plan, 1, 1);
	world.stop_after = 1;
	world_run(&world);
	check("told", "dies of it", world.renews, 1);
	world.stop_after = UINT32_MAX;
	world_fake(&world, 0, 1)->ends_us = world.now_us;
	world_run(&world);
	check("finish", "dies of it", world.finish, WHY_ENDED);
	check("starts", "dies of it", world.starts, 2);
	world_expect_promised(&world, "dies of it");
}

/* It ends as it is free to, and the version that was asked for begins. */
static void test_ends_for_good_of_it(void **state)
{
	struct plan_options options = renewing(&pass_options);

	(void)state;
	options.stop_exit_codes.bits[0] = 1;
	begin(&options, 2);
	plan_reload(&plan, 1, 1);
	pass_after(1);
	current(0)->exited = true;
	pass_after(1);
	assert_non_null(asked(ACTION_START, 0));
	check("version", "of the next one", current(0)->version, 1);
	check("finish", "of the reload", asked(ACTION_FINISH, 0)->why, WHY_ENDED);
}

/* Its death long after a reload, or in a reload before it was told, is no failure of one. */
static void test_deaths_that_are_no_failure(void **state)
{
	struct plan_options options = renewing(&pass_options);

	(void)state;
	begin(&options, 1);
	plan_reload(&plan, 1, 1);
	pass_after(1);
	current(0)->renewed = true;
	pass_after(1);
	plan_restart(&plan, 0, 1);
	current(0)->exited = true;
	pass_after(1);
	assert_null(asked(ACTION_FINISH, 0));
}

/* It is told once; and not before it is online, or when it stops: then its next process begins. */
static void test_when_it_is_told(void **state)
{
	struct plan_options options = renewing(&pass_options);

	(void)state;
	begin_starting(&options, 1);
	plan_reload(&plan, 1, 1);
	pass_after(1);
	assert_null(asked(ACTION_RENEW, 0));
	come_up(current(0));
	pass_after(1);
	assert_non_null(asked(ACTION_RENEW, 0));
	check("signal", "online", asked(ACTION_RENEW, 0)->signal, SIGHUP);
	pass_after(1);
	assert_null(asked(ACTION_RENEW, 0));
	assert_null(asked(ACTION_START, 0));
	current(0)->said_stopping = true;
	pass_after(1);
	current(0)->renewed = true;
	pass_after(1);
	check("version", "as it stops", current(0)->version, 0);
	current(0)->exited = true;
	pass_after(1);
	pass_after(PLAN_FIRST_BACKOFF_US);
	check("version", "of the next one", current(0)->version, 1);
}

/* What it did before it was told counts for nothing. */
static void test_fact_of_before(void **state)
{
	struct plan_options options = renewing(&pass_options);

	(void)state;
	begin(&options, 1);
	current(0)->renewed = true;
	plan_reload(&plan, 1, 1);
	pass_after(1);
	pass_after(1);
	check("version", "told, and not done", current(0)->version, 0);
	current(0)->renewed = true;
	pass_after(1);
	check("version", "done", current(0)->version, 1);
	assert_non_null(asked(ACTION_FINISH, 0));
	check("finish", "done", asked(ACTION_FINISH, 0)->why, WHY_DONE);
}

/* A reload that takes another's place tells it anew, and one that is called off is over. */
static void test_replaced_and_called_off(void **state)
{
	struct plan_options options = renewing(&pass_options);

	(void)state;
	options.ready_timeout_us = 2 * SEC;
	begin(&options, 1);
	plan_reload(&plan, 1, 1);
	pass_after(1);
	plan_reload(&plan, 1, 1);
	pass_after(SEC);
	assert_non_null(asked(ACTION_RENEW, 0));
	pass_after(SEC);
	assert_null(asked(ACTION_FINISH, 0));
	plan_cancel(&plan);
	pass_after(SEC);
	check("actions", "called off", nr_actions, 0);
	check("version", "called off", current(0)->version, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_signal_does_nothing),
		cmocka_unit_test(test_signal_ends_it),
		cmocka_unit_test(test_ends_for_good_of_it),
		cmocka_unit_test(test_deaths_that_are_no_failure),
		cmocka_unit_test(test_when_it_is_told),
		cmocka_unit_test(test_fact_of_before),
		cmocka_unit_test(test_replaced_and_called_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
