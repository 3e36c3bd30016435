// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the keeper decides: each operation, with a worker that dies, hangs, never becomes ready, and
 * a keeper that is killed, at each point of it; then random sequences of all that.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reconcile_events.h"

#define WORKERS 3

static struct world world;

/* --- operations that nothing disturbs --- */

static void ask(enum plan_verb verb, uint32_t n)
{
	switch (verb) {
	case PLAN_SCALE:
		plan_scale(&world.plan, n, 1);
		break;
	case PLAN_RELOAD:
		plan_reload(&world.plan, n, 1);
		break;
	case PLAN_RESTART:
		plan_restart(&world.plan, n, 1);
		break;
	case PLAN_NO_VERB:
		plan_stop(&world.plan, 0);
		break;
	}
}

static const struct {
	const char *name;
	enum plan_verb verb;
	uint32_t n;
	uint32_t starts; /* processes that it takes */
} operations[] = {
	{ "scale up", PLAN_SCALE, 5, 2 },
	{ "scale down", PLAN_SCALE, 1, 0 },
	{ "scale to the same", PLAN_SCALE, 3, 0 },
	{ "reload", PLAN_RELOAD, 1, 3 },
	{ "reload by two", PLAN_RELOAD, 2, 3 },
	{ "restart 1", PLAN_RESTART, 1, 1 },
	{ "stop", PLAN_NO_VERB, 0, 0 },
};

static void test_operations(void **state)
{
	(void)state;
	for (unsigned int kind = 0; kind < EVENTS_KINDS; kind++) {
		struct plan_options options = events_options(kind);

		for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
			world_come_up(&world, &options, WORKERS);
			world_expect_promised(&world, "begin");
			check("starts", "begin", world.starts, WORKERS);
			ask(operations[i].verb, operations[i].n);
			world_run(&world);
			check("starts", operations[i].name, world.starts - WORKERS + world.renews,
			      operations[i].starts);
			check("kills", operations[i].name, world.kills, 0);
			check("ended", operations[i].name, world.ended,
			      operations[i].verb == PLAN_NO_VERB);
			if (world.ended)
				continue;
			check("finished", operations[i].name, world.finished, 1);
			check("finish", operations[i].name, world.finish, WHY_DONE);
			world_expect_promised(&world, operations[i].name);
		}
	}
}

/* As many as were promised serve at every moment of a reload, however many come at a time. */
static void test_reload_keeps_all(void **state)
{
	(void)state;
	for (uint32_t parallel = 1; parallel <= WORKERS + 1; parallel++) {
		world_come_up(&world, &world_options, WORKERS);
		plan_reload(&world.plan, parallel, 1);
		world.stop_after = 1;
		while (!world.finished) {
			world_run(&world);
			assert_true(world_serving(&world) >= WORKERS);
		}
	}
}

/* Nor does it matter when one is called off, or takes the place of another. */
static void test_reloads_keep_all(void **state)
{
	(void)state;
	for (unsigned int seed = 0; seed < 2000; seed++) {
		struct plan_options options = events_options(seed % EVENTS_KINDS);
		uint32_t wanted = 1 + seed % WORLD_WORKERS;

		srand(seed);
		world_come_up(&world, &options, wanted);
		for (int i = 0; i < 8; i++) {
			if (rand() % 4)
				plan_reload(&world.plan, 1 + rand() % WORLD_WORKERS, 1);
			else
				plan_cancel(&world.plan);
			for (world.stop_after = 1 + rand() % 9; world.stop_after;
			     world.stop_after--) {
				unsigned int left = world.stop_after;

				world.stop_after = 1;
				world_run(&world);
				world.stop_after = left;
				if (!options.hands_on)
					assert_true(world_serving(&world) >= wanted);
			}
		}
		world.stop_after = UINT32_MAX;
		world_run(&world);
		world_expect_promised(&world, "reloads");
	}
}

/* --- each operation, disturbed at each point --- */

enum fault {
	DIES,
	HANGS,	     /* and ignores SIGTERM */
	NEVER_READY, /* those that start from now on */
	CANT_START,
	STUCK_BEFORE_EXEC,
	STOPS_BY_ITSELF,
	KEEPER_KILLED,
	OPERATION_REPLACED,
	FAULTS
};

static void disturb(enum fault fault, struct fake *victim)
{
	world.faultless = false;
	world.next_habit = world.habit;
	switch (fault) {
	case DIES:
		if (victim)
			victim->ends_us = world.now_us;
		break;
	case HANGS:
		if (victim) {
			victim->habit.ends_us = PLAN_NEVER;
			victim->ends_us = PLAN_NEVER;
		}
		break;
	case NEVER_READY:
		world.next_habit.ready_us = world.next_habit.in_us = PLAN_NEVER;
		world.nexts = 1;
		break;
	case CANT_START:
		world.next_habit.start_error = -ENOENT;
		world.nexts = 1;
		break;
	case STUCK_BEFORE_EXEC:
		world.next_habit.exec_us = PLAN_NEVER;
		world.nexts = 1;
		break;
	case STOPS_BY_ITSELF:
		if (victim)
			world_stop_by_itself(&world, victim);
		break;
	case KEEPER_KILLED:
		world_kill_keeper(&world);
		break;
	case OPERATION_REPLACED:
		if (!world.plan.stop && plan_reload(&world.plan, 1, 2).verb != PLAN_NO_VERB)
			world.finished++;
		break;
	case FAULTS:
		break;
	}
}

/* What is left once the fault is over: all that was promised, or a worker that was told of. */
static void expect_all_right(const char *name, enum fault fault)
{
	bool may_stay = fault == NEVER_READY || fault == STUCK_BEFORE_EXEC;

	if (world.plan.stop) {
		check("ended", name, world.ended, 1);
		return;
	}
	check("operation", name, world.plan.operation.verb, PLAN_NO_VERB);
	if (may_stay && world.told[WHY_NOT_READY])
		return;
	world_expect_promised(&world, name);
}

static unsigned int disturbed;

static void try_one(const struct plan_options *options, size_t op, enum fault fault, uint32_t w,
		    enum plan_role role, unsigned int after)
{
	bool done;

	world_come_up(&world, options, WORKERS);
	ask(operations[op].verb, operations[op].n);
	world.stop_after = after;
	if (after)
		world_run(&world);
	world.stop_after = UINT32_MAX;
	disturb(fault, world_role(&world, w, role));
	done = world.finished || operations[op].verb == PLAN_NO_VERB;
	world_run(&world);
	expect_all_right(operations[op].name, fault);
	if (fault != KEEPER_KILLED && fault != OPERATION_REPLACED && !done)
		check("finished", operations[op].name, world.finished, 1);
	disturbed++;
}

static void test_each_fault_at_each_point(void **state)
{
	(void)state;
	disturbed = 0;
	for (unsigned int kind = 0; kind < EVENTS_KINDS; kind++) {
		struct plan_options options = events_options(kind);

		for (size_t op = 0; op < ARRAY_SIZE(operations); op++) {
			for (int fault = 0; fault < FAULTS; fault++) {
				for (unsigned int at = 0; at < 30 * WORKERS * ROLES; at++)
					try_one(&options, op, fault, at % WORKERS,
						at / WORKERS % ROLES, at / (WORKERS * ROLES));
			}
		}
	}
	print_message("%u operations were disturbed\n", disturbed);
}

/* --- random --- */

static void test_random_sequences(void **state)
{
	unsigned int sequences = 100000, events = 0;

	(void)state;
	for (unsigned int seed = 0; seed < sequences; seed++) {
		struct events how = { .draw = rand, .stops = !(seed % 4) };

		how.options = events_options(seed % EVENTS_KINDS);
		/* in two fifths of them every fourth process finishes when it ends */
		how.options.stop_exit_codes.bits[0] = seed % 5 < 2 ? 1 << 3 : 0;
		snprintf(how.name, sizeof(how.name), "seed %u", seed);
		srand(seed);
		events += events_run(&world, &how);
	}
	print_message("%u sequences, %u events\n", sequences, events);
}

/*
 * The keeper is killed at each point of a reload of processes that have a port for themselves: the
 * next one knows who has such a port, and not what was under way, and none begins beside another.
 */
static void test_ports_for_one_process_and_next_keeper(void **state)
{
	unsigned int points = 0;

	(void)state;
	for (unsigned int point = 1, more = 1; more; point++) {
		world_begin(&world, &world_options, WORLD_WORKERS);
		world.habit.alone = true;
		world_run(&world);
		plan_reload(&world.plan, 1, 1);
		world.stop_after = point;
		world_run(&world);
		more = world.plan.operation.verb != PLAN_NO_VERB;
		world.stop_after = UINT32_MAX;
		world_kill_keeper(&world);
		world_run(&world);
		world_expect_promised(&world, "the next keeper");
		points++;
	}
	assert_in_range(points, 10, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports_for_one_process_and_next_keeper),
		cmocka_unit_test(test_operations),
		cmocka_unit_test(test_reload_keeps_all),
		cmocka_unit_test(test_reloads_keep_all),
		cmocka_unit_test(test_each_fault_at_each_point),
		cmocka_unit_test(test_random_sequences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
