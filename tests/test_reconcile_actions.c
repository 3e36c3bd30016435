// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What one pass asks for, fact by fact, without a world: starts and ends of processes. */
#include <errno.h>
#include <signal.h>

#include "reconcile_pass.h"

#define SEC 1000000ULL

/* --- room --- */

/* With as little room as there must be a pass does one worker, and the next pass another. */
static void test_pass_keeps_to_its_room(void **state)
{
	(void)state;
	now_us = SEC;
	plan_init(&plan, &pass_options, workers, PASS_WORKERS, PASS_WORKERS);
	for (uint32_t w = 0; w < PASS_WORKERS; w++) {
		nr_actions = reconcile(&plan, now_us, actions, PLAN_LEAST_ACTIONS);
		check("starts", "with little room", nr_actions, 1);
		assert_non_null(asked(ACTION_START, w));
	}
	plan_scale(&plan, PASS_WORKERS, 1);
	plan_stop(&plan, 0);
	plan.unsteered = true;
	for (uint32_t w = 0; w < PASS_WORKERS; w++) {
		nr_actions = reconcile(&plan, now_us, actions, PLAN_LEAST_ACTIONS);
		assert_non_null(asked(ACTION_SIGNAL, w));
		assert_null(asked(ACTION_FINISH, 0));
	}
	nr_actions = reconcile(&plan, now_us, actions, PLAN_LEAST_ACTIONS);
	assert_non_null(asked(ACTION_FINISH, 0));
}

/* --- starts and ends --- */

static void test_start_says_what_for(void **state)
{
	(void)state;
	begin_starting(&pass_options, 2);
	assert_false(asked(ACTION_START, 0)->again);
	assert_false(asked(ACTION_START, 0)->next);
	come_up(current(0));
	come_up(current(1));
	pass_after(1);
	current(0)->exited = true;
	pass_after(1);
	assert_false(asked(ACTION_RELEASE, 0)->asked);
	assert_false(asked(ACTION_RELEASE, 0)->next);
	pass_after(PLAN_FIRST_BACKOFF_US);
	assert_true(asked(ACTION_START, 0)->again);
	come_up(current(0));
	pass_after(1);
	plan_reload(&plan, 1, 1);
	pass_after(1);
	assert_true(asked(ACTION_START, 0)->next);
	assert_false(asked(ACTION_START, 0)->again);
	next(0)->exited = true;
	pass_after(1);
	assert_true(asked(ACTION_RELEASE, 0)->next);
	assert_false(asked(ACTION_RELEASE, 0)->asked);
}

static void test_end_that_was_asked_for(void **state)
{
	(void)state;
	begin(&pass_options, 1);
	plan_reload(&plan, 1, 1);
	pass_after(1);
	come_up(next(0));
	pass_after(1);
	pass_after(1);
	check("state", "the old one", leaving(0)->state, LIFE_DRAINING);
	leaving(0)->exited = true;
	pass_after(1);
	assert_true(asked(ACTION_RELEASE, 0)->asked);
	assert_true(asked(ACTION_RELEASE, 0)->next);
	plan_stop(&plan, 0);
	current(0)->exited = true;
	pass_after(1);
	assert_true(asked(ACTION_RELEASE, 0)->asked);
}

/* What it shared with nobody is gone with it: there is nothing to drain, and nothing to close. */
static void test_crash_without_listen(void **state)
{
	(void)state;
	begin(&pass_options, 2);
	current(0)->exited = true;
	pass_after(1);
	assert_null(asked(ACTION_DRAIN, 0));
	assert_null(asked(ACTION_CLOSE, 0));
}

static void test_crash_with_listen(void **state)
{
	struct plan_options options = pass_options;

	(void)state;
	options.hands_on = true;
	begin(&options, 2);
	current(0)->exited = true;
	pass_after(1);
	assert_non_null(asked(ACTION_DRAIN, 0));
	assert_null(asked(ACTION_CLOSE, 0));
	pass_after(PLAN_FIRST_BACKOFF_US);
	current(0)->start_error = -ENOENT;
	pass_after(1);
	assert_non_null(asked(ACTION_CLOSE, 0));
}

/* One that another follows: its sockets are for that one. */
static void test_asked_end_with_listen(void **state)
{
	struct plan_options options = pass_options;

	(void)state;
	options.hands_on = true;
	begin(&options, 1);
	plan_scale(&plan, 1, 1);
	current(0)->state = LIFE_TERMINATING;
	current(0)->signal = SIGTERM;
	current(0)->exited = true;
	pass_after(1);
	assert_null(asked(ACTION_DRAIN, 0));
}

/* Nobody comes to serve what waits in its sockets: that is handed on, unless a successor does. */
static void test_finish_with_listen(void **state)
{
	struct plan_options options = pass_options;

	(void)state;
	options.hands_on = true;
	options.stop_exit_codes.bits[0] = 1 << 3;
	for (int reloads = 0; reloads < 2; reloads++) {
		begin(&options, 2);
		if (reloads)
			plan_reload(&plan, 1, 1);
		pass_after(1);
		current(0)->exited = true;
		current(0)->status = 3;
		pass_after(1);
		assert_int_equal(!asked(ACTION_CLOSE, 0), reloads);
		check("in", reloads ? "a reload" : "none", asked(ACTION_RELEASE, 0)->in_us,
		      reloads ? PLAN_FIRST_BACKOFF_US : PLAN_NEVER);
		assert_int_equal(!asked(ACTION_TELL, 0), reloads);
		if (!reloads)
			check("status", "as told", asked(ACTION_TELL, 0)->status, 3);
	}
}

/* That a program can't be started is no status of its own. */
static void test_no_start_is_no_finish(void **state)
{
	struct plan_options options = pass_options;

	(void)state;
	options.stop_exit_codes.bits[0] = 1 << 0;
	begin(&options, 2);
	current(0)->exited = true;
	current(0)->status = 1;
	pass_after(1);
	pass_after(PLAN_FIRST_BACKOFF_US);
	current(0)->start_error = -ENOENT;
	pass_after(1);
	check("state", "no start", current(0)->state, LIFE_BACKING_OFF);
}

static void test_long_life_is_no_failure(void **state)
{
	static const struct {
		const char *name;
		uint64_t lived_us;
		uint32_t others, failures;
		uint64_t backoff_us;
	} rows[] = {
		{ "as long as counts", PLAN_STEADY_US, 0, 3, 4 * PLAN_FIRST_BACKOFF_US },
		{ "longer, alone", PLAN_STEADY_US + 1, 0, 1, 0 },
		{ "longer, others serve", PLAN_STEADY_US + 1, 1, 1, PLAN_FIRST_BACKOFF_US },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(&pass_options, 1 + rows[i].others);
		workers[0].failures = 2;
		now_us = current(0)->started_us + rows[i].lived_us;
		current(0)->exited = true;
		pass();
		check("failures", rows[i].name, workers[0].failures, rows[i].failures);
		check("back-off", rows[i].name, asked(ACTION_RELEASE, 0)->in_us,
		      rows[i].backoff_us);
	}
}

/* Who is not the program yet is not ready, whatever its sockets are. */
static void test_not_ready_before_it_runs(void **state)
{
	(void)state;
	begin_starting(&pass_options, 1);
	current(0)->registered = true;
	pass_after(1);
	check("state", "before the program runs", current(0)->state, LIFE_STARTING);
}

/* --- a program that can't be started --- */

static void test_missing_command_ends_what_never_ran(void **state)
{
	(void)state;
	begin_starting(&pass_options, 2);
	current(0)->start_error = -ENOENT;
	pass_after(1);
	check("stop", "another may run", plan.stop, PLAN_GOES_ON);
	current(1)->start_error = -ENOENT;
	pass_after(1);
	check("stop", "none can", plan.stop, PLAN_STOPS);
	check("error", "none can", plan.end_error, -ENOENT);
}

static void test_missing_command_ends_nothing_that_ran(void **state)
{
	(void)state;
	begin(&pass_options, 1);
	current(0)->exited = true;
	pass_after(1);
	pass_after(PLAN_FIRST_BACKOFF_US);
	current(0)->start_error = -ENOENT;
	pass_after(1);
	check("stop", "it ran before", plan.stop, PLAN_GOES_ON);
}

static void test_missing_command_while_it_stops(void **state)
{
	(void)state;
	begin_starting(&pass_options, 1);
	plan_stop(&plan, 0);
	current(0)->start_error = -ENOENT;
	pass_after(1);
	check("stop", "it stops already", plan.stop, PLAN_STOPS);
	check("status", "it stops already", plan.end_status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pass_keeps_to_its_room),
		cmocka_unit_test(test_start_says_what_for),
		cmocka_unit_test(test_end_that_was_asked_for),
		cmocka_unit_test(test_crash_without_listen),
		cmocka_unit_test(test_crash_with_listen),
		cmocka_unit_test(test_asked_end_with_listen),
		cmocka_unit_test(test_finish_with_listen),
		cmocka_unit_test(test_no_start_is_no_finish),
		cmocka_unit_test(test_long_life_is_no_failure),
		cmocka_unit_test(test_not_ready_before_it_runs),
		cmocka_unit_test(test_missing_command_ends_what_never_ran),
		cmocka_unit_test(test_missing_command_ends_nothing_that_ran),
		cmocka_unit_test(test_missing_command_while_it_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
