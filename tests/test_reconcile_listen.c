// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sockets of --listen: which process gets those of which, and when they are drained and closed. */
#include <signal.h>

#include "reconcile_pass.h"

#define SEC 1000000ULL

static const struct plan_options with_listen = {
	.ready_timeout_us = 3600 * SEC,
	.kill_timeout_us = 5 * SEC,
	.stop_signal = SIGTERM,
	.restart_delay_us = PLAN_FIRST_BACKOFF_US,
	.max_restarts = 16,
	.hands_on = true,
};

/* The next one in its place has the sockets of one that crashed; beside it one has its own. */
static void test_whose_sockets_it_gets(void **state)
{
	uint32_t first;

	(void)state;
	begin_starting(&with_listen, 2);
	check("sockets of", "the first one", asked(ACTION_START, 0)->sockets_of, 0);
	come_up(current(0));
	come_up(current(1));
	pass_after(1);
	first = current(0)->generation;
	current(0)->exited = true;
	pass_after(1);
	pass_after(PLAN_FIRST_BACKOFF_US);
	check("sockets of", "after a crash", asked(ACTION_START, 0)->sockets_of, first);
	come_up(current(0));
	pass_after(1);
	plan_reload(&plan, 1, 1);
	pass_after(1);
	check("sockets of", "the successor", asked(ACTION_START, 0)->sockets_of, 0);
	come_up(next(0));
	pass_after(1);
	pass_after(1);
	first = current(0)->generation;
	current(0)->exited = true;
	pass_after(1);
	pass_after(PLAN_FIRST_BACKOFF_US);
	check("sockets of", "after its crash", asked(ACTION_START, 0)->sockets_of, first);
}

/* It is drained, then its sockets are closed, just before it is told to end. */
static void test_reload_closes_what_is_drained(void **state)
{
	uint32_t old;

	(void)state;
	begin(&with_listen, 2);
	old = current(0)->generation;
	plan_restart(&plan, 0, 1);
	pass_after(1);
	come_up(next(0));
	pass_after(1);
	check("drained", "the old one", asked(ACTION_DRAIN, 0)->generation, old);
	assert_false(asked(ACTION_DRAIN, 0)->handed_on);
	assert_null(asked(ACTION_CLOSE, 0));
	leaving(0)->drained = true;
	pass_after(1);
	assert_null(asked(ACTION_CLOSE, 0));
	pass_after(PLAN_HANDSHAKES_US);
	check("closed", "the old one", asked(ACTION_CLOSE, 0)->generation, old);
	check("told to end", "the old one", asked(ACTION_SIGNAL, 0)->generation, old);
	leaving(0)->exited = true;
	pass_after(1);
	assert_non_null(asked(ACTION_RELEASE, 0));
	assert_null(asked(ACTION_CLOSE, 0));
}

/* Bound ones close with their process alone. */
static void test_closes_nothing_without_listen(void **state)
{
	struct plan_options options = with_listen;

	(void)state;
	options.hands_on = false;
	begin(&options, 2);
	plan_restart(&plan, 0, 1);
	pass_after(1);
	come_up(next(0));
	pass_after(1);
	leaving(0)->drained = true;
	pass_after(1);
	pass_after(PLAN_HANDSHAKES_US);
	assert_non_null(asked(ACTION_SIGNAL, 0));
	assert_null(asked(ACTION_CLOSE, 0));
	leaving(0)->exited = true;
	pass_after(1);
	assert_non_null(asked(ACTION_RELEASE, 0));
	assert_null(asked(ACTION_CLOSE, 0));
}

/* A successor that fails, also one that is online: it takes nobody's place meanwhile. */
static void test_failed_successor_is_drained(void **state)
{
	(void)state;
	for (int online = 0; online < 2; online++) {
		struct plan_options options = with_listen;

		options.ready_after_us = SEC;
		begin(&options, 2);
		plan_restart(&plan, 0, 1);
		pass_after(1);
		if (online)
			come_up(next(0));
		pass_after(1);
		next(0)->exited = true;
		pass_after(2 * SEC);
		assert_non_null(asked(ACTION_DRAIN, 0));
		assert_null(asked(ACTION_CLOSE, 0));
		assert_null(asked(ACTION_RELEASE, 0));
		next(0)->drained = true;
		pass_after(1);
		assert_null(asked(ACTION_DRAIN, 0));
		pass_after(PLAN_HANDSHAKES_US);
		assert_non_null(asked(ACTION_CLOSE, 0));
		assert_false(asked(ACTION_RELEASE, 0)->asked);
		check("why", "the restart ends", asked(ACTION_FINISH, 0)->why, WHY_ENDED);
		check("state", "the old one", current(0)->state, LIFE_ONLINE);
	}
}

/* The old one crashes while its successor serves: nobody gets its sockets. */
static void test_crash_beside_a_successor(void **state)
{
	struct plan_options options = with_listen;
	uint32_t old;

	(void)state;
	options.ready_after_us = 10 * SEC;
	begin(&options, 2);
	old = current(0)->generation;
	plan_restart(&plan, 0, 1);
	pass_after(1);
	come_up(next(0));
	pass_after(1);
	current(0)->exited = true;
	pass_after(1);
	check("drained", "the old one", asked(ACTION_DRAIN, 0)->generation, old);
	assert_null(asked(ACTION_CLOSE, 0));
	current(0)->drained = true;
	pass_after(1);
	assert_null(asked(ACTION_CLOSE, 0));
	pass_after(PLAN_HANDSHAKES_US);
	check("closed", "the old one", asked(ACTION_CLOSE, 0)->generation, old);
	check("state", "the new one", current(0)->state, LIFE_ONLINE);
	check("sockets", "the new one", workers[0].sockets, current(0)->generation);
}

/* A service that can't be changed is not waited for without end. */
static void test_sockets_close_in_the_end(void **state)
{
	(void)state;
	begin(&with_listen, 2);
	plan_restart(&plan, 0, 1);
	pass_after(1);
	next(0)->exited = true;
	pass_after(1);
	pass_after(with_listen.kill_timeout_us - 1);
	assert_null(asked(ACTION_CLOSE, 0));
	pass_after(1);
	assert_non_null(asked(ACTION_CLOSE, 0));
}

/* What waits in them is for the next one, which begins later; others serve meanwhile, or not. */
static void test_hands_over_its_sockets(void **state)
{
	(void)state;
	for (uint32_t wanted = 1; wanted <= 2; wanted++) {
		bool others = wanted == 2;
		uint32_t old;

		begin(&with_listen, wanted);
		old = current(0)->generation;
		current(0)->alone = true;
		plan_restart(&plan, 0, 1);
		pass_after(1);
		check("goes on", "as it is", asked(ACTION_DRAIN, 0)->handed_on, !others);
		pass_after(1);
		check("told to end", "at once", asked(ACTION_SIGNAL, 0) != NULL, !others);
		leaving(0)->drained = others;
		pass_after(1);
		pass_after(PLAN_HANDSHAKES_US);
		assert_null(asked(ACTION_CLOSE, 0));
		check("told to end", "when drained", asked(ACTION_SIGNAL, 0) != NULL, others);
		leaving(0)->exited = true;
		pass_after(1);
		assert_null(asked(ACTION_CLOSE, 0));
		check("sockets of", "its successor", asked(ACTION_START, 0)->sockets_of, old);
	}
}

/* The next worker's turn comes when the successor is steady, and not when it is online. */
static void test_handed_over_is_steady_first(void **state)
{
	struct plan_options options = with_listen;

	(void)state;
	options.ready_after_us = SEC;
	begin(&options, 2);
	current(0)->alone = true;
	plan_reload(&plan, 1, 1);
	pass_after(1);
	leaving(0)->exited = true;
	pass_after(1);
	come_up(current(0));
	pass_after(1);
	check("state", "the successor", current(0)->state, LIFE_ONLINE);
	pass_after(SEC - 1);
	assert_null(asked(ACTION_START, 1));
	pass_after(1);
	assert_non_null(asked(ACTION_START, 1));
}

/* It was marked by a keeper that was killed, perhaps before it was drained. */
static void test_taken_over_is_drained(void **state)
{
	(void)state;
	now_us = SEC;
	plan_init(&plan, &pass_options, workers, PASS_WORKERS, 1);
	plan_take_over(&plan, 0, 1, LIFE_DRAINING, now_us);
	plan_take_over(&plan, 0, 2, LIFE_ONLINE, now_us);
	pass();
	check("drained", "the old one", asked(ACTION_DRAIN, 0)->generation, 1);
	check("sockets", "the new one's", workers[0].sockets, 2);
	pass_after(1);
	assert_null(asked(ACTION_DRAIN, 0));
}

/*
 * When a new process is ready whose program runs: seen at its sockets, or said to be, or not seen
 * for so long. Without --listen nobody looks.
 */
static void test_ready_when_it_accepts(void **state)
{
	static const struct {
		const char *name;
		bool hands_on, wait_ready, accepts, said_ready;
		uint64_t ready_after_us, ready_timeout_us, after_us;
		bool want;
	} rows[] = {
		{ "bound", false, false, false, false, SEC, 60 * SEC, 1, true },
		{ "not seen yet", true, false, false, false, SEC, 60 * SEC, 1, false },
		{ "seen", true, false, true, false, SEC, 60 * SEC, 1, true },
		{ "said so", true, false, false, true, SEC, 60 * SEC, 1, true },
		{ "is to say so", true, true, true, false, SEC, 60 * SEC, 1, false },
		{ "has said so", true, true, false, true, SEC, 60 * SEC, 1, true },
		{ "not seen for long", true, false, false, false, SEC, 60 * SEC, 10 * SEC - 1,
		  false },
		{ "for too long", true, false, false, false, SEC, 60 * SEC, 10 * SEC, true },
		{ "half of it", true, false, false, false, SEC, 4 * SEC, 2 * SEC - 1, false },
		{ "and a bit", true, false, false, false, SEC, 4 * SEC, 2 * SEC, true },
		{ "without a wait", true, false, false, false, 0, 4 * SEC, 1, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct plan_options options = with_listen;

		options.hands_on = rows[i].hands_on;
		options.wait_ready = rows[i].wait_ready;
		options.ready_after_us = rows[i].ready_after_us;
		options.ready_timeout_us = rows[i].ready_timeout_us;
		begin_starting(&options, 1);
		assert_false(plan_awaits_accept(&plan, current(0)));
		current(0)->executed = true;
		current(0)->accepts = rows[i].accepts;
		current(0)->said_ready = rows[i].said_ready;
		check("looked at", rows[i].name, plan_awaits_accept(&plan, current(0)),
		      rows[i].hands_on && !rows[i].accepts && !rows[i].said_ready);
		pass_after(rows[i].after_us);
		check("state", rows[i].name, current(0)->state,
		      rows[i].want ? LIFE_READY : LIFE_STARTING);
		if (!rows[i].want && !rows[i].wait_ready)
			assert_true(plan.next_us > now_us && plan.next_us < now_us + 10 * SEC);
	}
}

/* What a version has shown once is not waited for again, but is of the next version. */
static void test_unseen_is_waited_for_once(void **state)
{
	struct plan_options options = with_listen;

	(void)state;
	options.ready_after_us = SEC;
	begin_starting(&options, 2);
	current(0)->executed = true;
	pass_after(10 * SEC);
	check("state", "waited for", current(0)->state, LIFE_READY);
	current(1)->executed = true;
	assert_false(plan_awaits_accept(&plan, current(1)));
	pass_after(1);
	check("state", "the second one", current(1)->state, LIFE_READY);
	current(0)->registered = current(1)->registered = true;
	plan_reload(&plan, 1, 1);
	pass_after(1);
	pass_after(1);
	next(0)->executed = true;
	assert_true(plan_awaits_accept(&plan, next(0)));
	pass_after(1);
	check("state", "of the next version", next(0)->state, LIFE_STARTING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whose_sockets_it_gets),
		cmocka_unit_test(test_reload_closes_what_is_drained),
		cmocka_unit_test(test_closes_nothing_without_listen),
		cmocka_unit_test(test_failed_successor_is_drained),
		cmocka_unit_test(test_crash_beside_a_successor),
		cmocka_unit_test(test_sockets_close_in_the_end),
		cmocka_unit_test(test_hands_over_its_sockets),
		cmocka_unit_test(test_handed_over_is_steady_first),
		cmocka_unit_test(test_taken_over_is_drained),
		cmocka_unit_test(test_ready_when_it_accepts),
		cmocka_unit_test(test_unseen_is_waited_for_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
