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

#include "reconcile_world.h"

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

static struct plan_options options_of(unsigned int kind)
{
	struct plan_options options = world_options;

	options.wait_ready = kind & 1;
	options.hands_on = kind & 2;
	options.reads_first = kind & 4;
	options.drain_timeout_us = kind & 8 ? 40 * WORLD_MS : 0;
	options.ready_after_us = kind & 8 ? 30 * WORLD_MS : 0;
	options.tells_rest = kind & 12;
	options.watchdog_us = 0;
	return options;
}
#define KINDS 12

static void test_operations(void **state)
{
	(void)state;
	for (unsigned int kind = 0; kind < KINDS; kind++) {
		struct plan_options options = options_of(kind);

		for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
			world_come_up(&world, &options, WORKERS);
			world_expect_promised(&world, "begin");
			check("starts", "begin", world.starts, WORKERS);
			ask(operations[i].verb, operations[i].n);
			world_run(&world);
			check("starts", operations[i].name, world.starts - WORKERS,
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
		struct plan_options options = options_of(seed % KINDS);
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
	struct process *process;

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
		process = victim ? plan_process(&world.plan, victim->worker, victim->generation) :
				   NULL;
		if (process) {
			process->said_stopping = true;
			victim->ends_us = world.now_us + 30 * WORLD_MS;
		}
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
	for (unsigned int kind = 0; kind < KINDS; kind++) {
		struct plan_options options = options_of(kind);

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

/* Some time below `most`, and once in so many never. */
static uint64_t random_us(unsigned int most, unsigned int never)
{
	return rand() % never ? (uint64_t)(rand() % most) : PLAN_NEVER;
}

static struct habit random_habit(void)
{
	struct habit habit = good_habit;

	habit.exec_us = random_us(3000, 20);
	habit.ready_us = random_us(20000, 20);
	habit.in_us = random_us(5000, 20);
	habit.ends_us = random_us(50000, 10);
	habit.reads_us = random_us(50000, 10);
	habit.works_us = random_us(80000, 10);
	if (!(rand() % 10))
		habit.dies_us = rand() % 100000;
	habit.is_wrapped = !(rand() % 5);
	habit.status = rand() % 4;
	if (!(rand() % 30))
		habit.start_error = -EACCES;
	return habit;
}

static void random_event(void)
{
	struct fake *victim = world_role(&world, rand() % WORLD_WORKERS, rand() % ROLES);
	uint32_t worker = rand() % world.plan.wanted;

	switch (rand() % 10) {
	case 0:
		plan_scale(&world.plan, 1 + rand() % WORLD_WORKERS, 1);
		break;
	case 1:
		plan_reload(&world.plan, 1 + rand() % WORLD_WORKERS, 1);
		break;
	case 2:
		plan_restart(&world.plan, worker, 1);
		break;
	case 3:
		world_kill_keeper(&world);
		break;
	case 4:
	case 5:
		if (victim)
			victim->ends_us = world.now_us;
		break;
	case 6:
		if (victim)
			disturb(STOPS_BY_ITSELF, victim);
		break;
	default:
		world.next_habit = random_habit();
		world.nexts = 1;
	}
}

/*
 * Whatever happened: once nothing bad happens any more, each operation has ended, and what is
 * wanted is there, but for who was given up or is not ready, and that was told.
 */
static void expect_calm(unsigned int seed)
{
	char name[32];
	uint32_t wanted = world.plan.wanted, good = 0, told = 0;

	snprintf(name, sizeof(name), "seed %u", seed);
	if (world.plan.stop) {
		check("ended", name, world.ended, 1);
		return;
	}
	check("operation", name, world.plan.operation.verb, PLAN_NO_VERB);
	for (uint32_t w = 0; w < wanted; w++) {
		const struct process *current = &world.workers[w].at[ROLE_CURRENT];

		good += current->state == LIFE_ONLINE;
		told += current->state == LIFE_FAILED || current->state == LIFE_FINISHED ||
			current->told;
		check("next", name, world.workers[w].at[ROLE_NEXT].state, LIFE_NONE);
		check("leaving", name, world.workers[w].at[ROLE_LEAVING].state, LIFE_NONE);
	}
	check("online or told of", name, good + told, wanted);
}

static void test_random_sequences(void **state)
{
	unsigned int sequences = 100000, events = 0;

	(void)state;
	for (unsigned int seed = 0; seed < sequences; seed++) {
		struct plan_options options = options_of(seed % KINDS);

		/* in two fifths of them every fourth process finishes when it ends */
		options.stop_exit_codes.bits[0] = seed % 5 < 2 ? 1 << 3 : 0;
		srand(seed);
		world_begin(&world, &options, 1 + rand() % 4);
		world.faultless = false;
		for (int i = 0; i < 12 && !world.plan.stop; i++, events++) {
			random_event();
			world_run_until(&world, world.now_us + rand() % 200000);
		}
		world.nexts = 0;
		if (!world.plan.stop && !(seed % 4))
			plan_stop(&world.plan, 0);
		world_run(&world);
		expect_calm(seed);
	}
	print_message("%u sequences, %u events\n", sequences, events);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operations),
		cmocka_unit_test(test_reload_keeps_all),
		cmocka_unit_test(test_reloads_keep_all),
		cmocka_unit_test(test_each_fault_at_each_point),
		cmocka_unit_test(test_random_sequences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
