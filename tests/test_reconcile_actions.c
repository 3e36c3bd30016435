// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What one pass over the plan asks for, and what it must not, fact by fact, without a world. */
#include <errno.h>
#include <signal.h>

#include "check.h"
#include "keeper/reconcile.h"

#define MOST 4
#define SEC 1000000ULL

static const struct plan_options plain = {
	.ready_timeout_us = 3600 * SEC,
	.kill_timeout_us = 5 * SEC,
	.stop_signal = SIGTERM,
	.restart_delay_us = PLAN_FIRST_BACKOFF_US,
	.max_restarts = 16,
};

static struct plan plan;
static struct worker workers[MOST];
static struct action actions[64];
static size_t nr_actions;
static uint64_t now_us;

static void pass(void)
{
	nr_actions = reconcile(&plan, now_us, actions, ARRAY_SIZE(actions));
}

static void pass_after(uint64_t us)
{
	now_us += us;
	pass();
}

static const struct action *asked(enum action_kind kind, uint32_t worker)
{
	for (size_t i = 0; i < nr_actions; i++) {
		if (actions[i].kind == kind && actions[i].worker == worker)
			return &actions[i];
	}
	return NULL;
}

static struct process *current(uint32_t worker)
{
	return &workers[worker].at[ROLE_CURRENT];
}

static struct process *next(uint32_t worker)
{
	return &workers[worker].at[ROLE_NEXT];
}

static struct process *leaving(uint32_t worker)
{
	return &workers[worker].at[ROLE_LEAVING];
}

static void come_up(struct process *process)
{
	process->executed = true;
	process->registered = true;
}

/* Processes were asked for, and are there or not yet. */
static void begin_starting(const struct plan_options *options, uint32_t wanted)
{
	now_us = SEC;
	plan_init(&plan, options, workers, MOST, wanted);
	pass();
}

static void begin(const struct plan_options *options, uint32_t wanted)
{
	begin_starting(options, wanted);
	for (uint32_t w = 0; w < wanted; w++)
		come_up(current(w));
	pass_after(1);
	for (uint32_t w = 0; w < wanted; w++)
		check("state", "at the beginning", current(w)->state, LIFE_ONLINE);
}

/* --- room --- */

/* With as little room as there must be a pass does one worker, and the next pass another. */
static void test_pass_keeps_to_its_room(void **state)
{
	(void)state;
	now_us = SEC;
	plan_init(&plan, &plain, workers, MOST, MOST);
	for (uint32_t w = 0; w < MOST; w++) {
		nr_actions = reconcile(&plan, now_us, actions, PLAN_LEAST_ACTIONS);
		check("starts", "with little room", nr_actions, 1);
		assert_non_null(asked(ACTION_START, w));
	}
	plan_scale(&plan, MOST, 1);
	plan_stop(&plan, 0);
	plan.unsteered = true;
	for (uint32_t w = 0; w < MOST; w++) {
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
	begin_starting(&plain, 2);
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
	plan_reload(&plan, 1);
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
	begin(&plain, 1);
	plan_reload(&plan, 1);
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
	begin(&plain, 2);
	current(0)->exited = true;
	pass_after(1);
	assert_null(asked(ACTION_DRAIN, 0));
	assert_null(asked(ACTION_CLOSE, 0));
}

static void test_crash_with_listen(void **state)
{
	struct plan_options options = plain;

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
	struct plan_options options = plain;

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
		begin(&plain, 1 + rows[i].others);
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
	begin_starting(&plain, 1);
	current(0)->registered = true;
	pass_after(1);
	check("state", "before the program runs", current(0)->state, LIFE_STARTING);
}

/* --- a program that can't be started --- */

static void test_missing_command_ends_what_never_ran(void **state)
{
	(void)state;
	begin_starting(&plain, 2);
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
	begin(&plain, 1);
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
	begin_starting(&plain, 1);
	plan_stop(&plan, 0);
	current(0)->start_error = -ENOENT;
	pass_after(1);
	check("stop", "it stops already", plan.stop, PLAN_STOPS);
	check("status", "it stops already", plan.end_status, 0);
}

/* --- operations --- */

/* Who is not of the operation does not end it. */
static void test_old_one_crashes_in_a_reload(void **state)
{
	(void)state;
	begin(&plain, 3);
	plan_reload(&plan, 1);
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
	begin(&plain, 1);
	current(0)->exited = true;
	pass_after(1);
	plan_reload(&plan, 1);
	pass_after(1);
	check("next", "of one that backs off", next(0)->state, LIFE_NONE);
	pass_after(1);
	check("verb", "waits for one that backs off", plan.operation.verb, PLAN_RELOAD);

	begin(&plain, 1);
	current(0)->state = LIFE_TERMINATING;
	current(0)->signal = SIGABRT;
	current(0)->since_us = now_us;
	plan_reload(&plan, 1);
	pass_after(1);
	check("next", "of one that is told to end", next(0)->state, LIFE_NONE);
}

/* A restart waits for its worker, and for no other. */
static void test_restart_waits_for_one(void **state)
{
	(void)state;
	begin_starting(&plain, 2);
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
	begin(&plain, 1);
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
	begin(&plain, 1);
	plan_reload(&plan, 1);
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
	begin(&plain, 2);
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
	begin(&plain, 1);
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
	begin(&plain, 1);
	current(0)->said_stopping = true;
	pass_after(1);
	check("state", "STOPPING=1", current(0)->state, LIFE_DRAINING);
	current(0)->drained = true;
	pass_after(1);
	pass_after(10 * PLAN_HANDSHAKES_US);
	check("state", "STOPPING=1, drained", current(0)->state, LIFE_DRAINING);
}

/* The slots of a worker are free when none of its processes is left. */
static void test_retired_when_all_have_ended(void **state)
{
	(void)state;
	begin(&plain, 2);
	plan_reload(&plan, 1);
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
	begin_starting(&plain, 1);
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
	struct plan_options options = plain;

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
	struct plan_options options = plain;

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
		cmocka_unit_test(test_pass_keeps_to_its_room),
		cmocka_unit_test(test_start_says_what_for),
		cmocka_unit_test(test_end_that_was_asked_for),
		cmocka_unit_test(test_crash_without_listen),
		cmocka_unit_test(test_crash_with_listen),
		cmocka_unit_test(test_asked_end_with_listen),
		cmocka_unit_test(test_long_life_is_no_failure),
		cmocka_unit_test(test_not_ready_before_it_runs),
		cmocka_unit_test(test_missing_command_ends_what_never_ran),
		cmocka_unit_test(test_missing_command_ends_nothing_that_ran),
		cmocka_unit_test(test_missing_command_while_it_stops),
		cmocka_unit_test(test_old_one_crashes_in_a_reload),
		cmocka_unit_test(test_no_successor_of_one_that_is_down),
		cmocka_unit_test(test_restart_waits_for_one),
		cmocka_unit_test(test_scale_waits_for_all),
		cmocka_unit_test(test_reload_waits_for_the_old_one),
		cmocka_unit_test(test_operation_does_not_wait_for_one_that_stays),
		cmocka_unit_test(test_operation_does_not_wait_for_one_that_stops),
		cmocka_unit_test(test_stopping_worker_is_not_told_to_end),
		cmocka_unit_test(test_retired_when_all_have_ended),
		cmocka_unit_test(test_end_waits_for_the_program),
		cmocka_unit_test(test_all_failed_of_those_that_are_wanted),
		cmocka_unit_test(test_our_own_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
