// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What passes over the plan wait for, fact by fact, without a world: operations, and who leaves. */
#include <signal.h>

#include "reconcile_pass.h"

#define SEC 1000000ULL

/* --- operations --- */

/* Who is not of the operation does not end it. */
static void test_old_one_crashes_in_a_reload(void **state)
{
	(void)state;
	begin(&pass_options, 3);
	plan_reload(&plan, 1, 1);
	pass_after(1);
	current(2)->exited = true;
	pass_after(1);
	assert_null(asked(ACTION_FINISH, 2));
	check("verb", "goes on", plan.operation.verb, PLAN_RELOAD);
}

/* One that backs off comes with the new version: it needs no successor. */
static void test_no_successor_of_one_that_is_down(void **state)
{
	(void)state;
	begin(&pass_options, 1);
	current(0)->exited = true;
	pass_after(1);
	plan_reload(&plan, 1, 1);
	pass_after(1);
	check("next", "of one that backs off", next(0)->state, LIFE_NONE);
	pass_after(1);
	check("verb", "waits for one that backs off", plan.operation.verb, PLAN_RELOAD);

	begin(&pass_options, 1);
	current(0)->state = LIFE_TERMINATING;
	current(0)->signal = SIGABRT;
	current(0)->since_us = now_us;
	plan_reload(&plan, 1, 1);
	pass_after(1);
	check("next", "of one that is told to end", next(0)->state, LIFE_NONE);
}

/* A restart waits for its worker, and for no other. */
static void test_restart_waits_for_one(void **state)
{
	(void)state;
	begin_starting(&pass_options, 2);
	come_up(current(1));
	pass_after(1);
	plan_restart(&plan, 1, 7);
	pass_after(1);
	come_up(next(1));
	pass_after(1);
	pass_after(1);
	leaving(1)->exited = true;
	pass_after(1);
	pass_after(1);
	assert_int_equal(nr_actions, 1);
	assert_int_equal(actions[0].kind, ACTION_FINISH);
	assert_int_equal(actions[0].why, WHY_DONE);
	assert_int_equal(actions[0].operation.client, 7);
}

/* Everything else waits for all, for the old ones to end, and for what was ordered. */
static void test_scale_waits_for_all(void **state)
{
	(void)state;
	begin(&pass_options, 1);
	plan_scale(&plan, 3, 1);
	pass_after(1);
	come_up(current(1));
	pass_after(1);
	pass_after(1);
	check("verb", "one is starting", plan.operation.verb, PLAN_SCALE);
	come_up(current(2));
	pass_after(1);
	plan.changing = true;
	pass_after(1);
	check("verb", "a change is made", plan.operation.verb, PLAN_SCALE);
	plan.changing = false;
	pass_after(1);
	check("verb", "done", plan.operation.verb, PLAN_NO_VERB);
}

static void test_reload_waits_for_the_old_one(void **state)
{
	(void)state;
	begin(&pass_options, 1);
	plan_reload(&plan, 1, 1);
	pass_after(1);
	come_up(next(0));
	pass_after(1);
	pass_after(1);
	pass_after(1);
	check("verb", "the old one lives", plan.operation.verb, PLAN_RELOAD);
	leaving(0)->exited = true;
	pass_after(1);
	pass_after(1);
	check("verb", "done", plan.operation.verb, PLAN_NO_VERB);
}

static void test_operation_does_not_wait_for_one_that_stays(void **state)
{
	(void)state;
	begin(&pass_options, 2);
	plan_scale(&plan, 1, 1);
	pass_after(1);
	pass_after(1);
	check("verb", "it leaves", plan.operation.verb, PLAN_SCALE);
	leaving(1)->unkillable = true;
	pass_after(1);
	assert_int_equal(asked(ACTION_FINISH, 1)->why, WHY_TOO_LONG);
}

/* One that stops by itself is not waited for, though the operation has started it. */
static void test_operation_does_not_wait_for_one_that_stops(void **state)
{
	(void)state;
	begin(&pass_options, 1);
	plan_scale(&plan, 2, 1);
	pass_after(1);
	come_up(current(1));
	pass_after(1);
	current(1)->said_stopping = true;
	pass_after(1);
	check("state", "it stops", current(1)->state, LIFE_DRAINING);
	pass_after(1);
	assert_int_equal(asked(ACTION_FINISH, 0)->why, WHY_DONE);
}

/* --- who leaves --- */

/* One that says STOPPING=1 ends by itself. */
static void test_stopping_worker_is_not_told_to_end(void **state)
{
	(void)state;
	begin(&pass_options, 1);
	current(0)->said_stopping = true;
	pass_after(1);
	check("state", "STOPPING=1", current(0)->state, LIFE_DRAINING);
	current(0)->drained = true;
	pass_after(1);
	pass_after(10 * PLAN_HANDSHAKES_US);
	check("state", "STOPPING=1, drained", current(0)->state, LIFE_DRAINING);
}

/* --- who is dismissed: it did not come online --- */

static void be_late(void)
{
	pass_after(plan.options.ready_timeout_us);
}

static void be_replaced(void)
{
	plan_reload(&plan, 1, 1);
	pass_after(1);
}

static void be_scaled_away(void)
{
	plan_scale(&plan, 1, 1);
	pass_after(1);
}

/*
 * Some of its sockets may have their slots, or get them from a child that is at it: it is drained
 * before it is told to end, but that is not waited for without end.
 */
static void test_dismissed_is_drained_first(void **state)
{
	static const struct {
		const char *name;
		void (*dismiss)(void);
		bool drained;
	} rows[] = {
		{ "late", be_late, true },
		{ "late, can't be drained", be_late, false },
		{ "replaced", be_replaced, true },
		{ "scaled away", be_scaled_away, true },
		{ "scaled away, can't be drained", be_scaled_away, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t us = rows[i].drained ? PLAN_HANDSHAKES_US :
						pass_options.kill_timeout_us - 1;

		begin(&pass_options, 2);
		plan_restart(&plan, 1, 1);
		pass_after(1);
		next(1)->executed = true;
		pass_after(1);
		check("state", rows[i].name, next(1)->state, LIFE_READY);
		rows[i].dismiss();
		assert_non_null(asked(ACTION_DRAIN, 1));
		assert_null(asked(ACTION_SIGNAL, 1));
		check("state", rows[i].name, next(1)->state, LIFE_DRAINING);
		/* it gets its slot now, and is online no more */
		next(1)->registered = true;
		next(1)->drained = rows[i].drained;
		pass_after(1);
		assert_null(asked(ACTION_ADMIT, 1));
		pass_after(us - 1);
		check("state", rows[i].name, next(1)->state, LIFE_DRAINING);
		pass_after(1);
		check("state", rows[i].name, next(1)->state, LIFE_TERMINATING);
	}
}

/* It ends as it is to, and no operation that has begun since fails of that. */
static void test_dismissed_that_ends_fails_nothing(void **state)
{
	(void)state;
	begin(&pass_options, 2);
	plan_reload(&plan, 1, 1);
	pass_after(1);
	plan_reload(&plan, 1, 2);
	pass_after(1);
	check("state", "of the reload before", next(0)->state, LIFE_DRAINING);
	next(0)->exited = true;
	pass_after(1);
	assert_true(asked(ACTION_RELEASE, 0)->asked);
	check("verb", "goes on", plan.operation.verb, PLAN_RELOAD);
}

/* Who was never online was never asked to send WATCHDOG=1. */
static void test_watchdog_of_one_that_never_served(void **state)
{
	struct plan_options options = pass_options;

	(void)state;
	options.watchdog_us = 2 * SEC;
	begin_starting(&options, 2);
	come_up(current(0));
	current(1)->said_stopping = true;
	pass_after(1);
	check("state", "STOPPING=1 before it was online", current(1)->state, LIFE_DRAINING);
	plan_restart(&plan, 0, 1);
	pass_after(1);
	plan_restart(&plan, 0, 1);
	pass_after(1);
	check("state", "dismissed", next(0)->state, LIFE_DRAINING);
	pass_after(1);
	check("state", "dismissed", next(0)->state, LIFE_DRAINING);
}

/* The slots of a worker are free when none of its processes is left. */
static void test_retired_when_all_have_ended(void **state)
{
	(void)state;
	begin(&pass_options, 2);
	plan_reload(&plan, 1, 1);
	pass_after(1);
	come_up(next(0));
	pass_after(1);
	pass_after(1);
	leaving(0)->exited = true;
	pass_after(1);
	check("next", "of worker 1", next(1)->state, LIFE_STARTING);
	plan_scale(&plan, 1, 1);
	pass_after(1);
	leaving(1)->exited = true;
	pass_after(1);
	pass_after(1);
	assert_null(asked(ACTION_RETIRE, 1));
	next(1)->exited = true;
	pass_after(1);
	assert_non_null(asked(ACTION_RETIRE, 1));
}

/* --- the end --- */

static void test_end_waits_for_the_program(void **state)
{
	(void)state;
	begin_starting(&pass_options, 1);
	plan_stop(&plan, 0);
	current(0)->exited = true;
	pass_after(1);
	assert_null(asked(ACTION_END, 0));
	pass_after(1);
	assert_null(asked(ACTION_END, 0));
	plan_stop(&plan, 0);
	pass_after(1);
	assert_non_null(asked(ACTION_END, 0));
}

/* A worker that was scaled away is none that may come up. */
static void test_all_failed_of_those_that_are_wanted(void **state)
{
	struct plan_options options = pass_options;

	(void)state;
	options.max_restarts = 0;
	begin(&options, 2);
	plan_scale(&plan, 1, 1);
	pass_after(1);
	leaving(1)->exited = true;
	pass_after(1);
	current(0)->exited = true;
	pass_after(1);
	check("stop", "the only one failed", plan.stop, PLAN_STOPS);
	assert_non_null(asked(ACTION_TELL, 0));
}

/* So late that it was us who slept: exactly a period is enough. */
static void test_our_own_sleep(void **state)
{
	struct plan_options options = pass_options;

	(void)state;
	for (int late = 0; late < 2; late++) {
		options.watchdog_us = 2 * SEC;
		begin(&options, 1);
		pass();
		now_us = plan.next_us + options.watchdog_us - !late;
		pass();
		check("state", late ? "we slept" : "it is late", current(0)->state,
		      late ? LIFE_ONLINE : LIFE_TERMINATING);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_old_one_crashes_in_a_reload),
		cmocka_unit_test(test_no_successor_of_one_that_is_down),
		cmocka_unit_test(test_restart_waits_for_one),
		cmocka_unit_test(test_scale_waits_for_all),
		cmocka_unit_test(test_reload_waits_for_the_old_one),
		cmocka_unit_test(test_operation_does_not_wait_for_one_that_stays),
		cmocka_unit_test(test_operation_does_not_wait_for_one_that_stops),
		cmocka_unit_test(test_stopping_worker_is_not_told_to_end),
		cmocka_unit_test(test_dismissed_is_drained_first),
		cmocka_unit_test(test_dismissed_that_ends_fails_nothing),
		cmocka_unit_test(test_watchdog_of_one_that_never_served),
		cmocka_unit_test(test_retired_when_all_have_ended),
		cmocka_unit_test(test_end_waits_for_the_program),
		cmocka_unit_test(test_all_failed_of_those_that_are_wanted),
		cmocka_unit_test(test_our_own_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
