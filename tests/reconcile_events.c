// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See reconcile_events.h. */
#include "reconcile_events.h"

#include <errno.h>
#include <signal.h>

struct plan_options events_options(unsigned int kind)
{
	struct plan_options options = world_options;

	options.wait_ready = kind & 1;
	options.hands_on = kind & 2;
	options.reads_first = kind & 4;
	options.drain_timeout_us = kind & 8 ? 40 * WORLD_MS : 0;
	options.ready_after_us = kind & 8 ? 30 * WORLD_MS : 0;
	options.tells_rest = kind & 12;
	options.reload_signal = kind >= 12 ? SIGHUP : 0;
	options.watchdog_us = 0;
	return options;
}
/* Some time below `most`, and once in so many never. */
static uint64_t random_us(int (*draw)(void), unsigned int most, unsigned int never)
{
	return draw() % never ? (uint64_t)(draw() % most) : PLAN_NEVER;
}

static struct habit random_habit(int (*draw)(void))
{
	struct habit habit = good_habit;

	habit.exec_us = random_us(draw, 3000, 20);
	habit.ready_us = random_us(draw, 20000, 20);
	habit.in_us = random_us(draw, 5000, 20);
	habit.ends_us = random_us(draw, 50000, 10);
	habit.reads_us = random_us(draw, 50000, 10);
	habit.works_us = random_us(draw, 80000, 10);
	habit.renews_us = random_us(draw, 80000, 10);
	if (!(draw() % 10))
		habit.dies_us = draw() % 100000;
	habit.is_wrapped = !(draw() % 5);
	habit.unseen = !(draw() % 4);
	habit.alone = !(draw() % 8);
	habit.status = draw() % 4;
	if (!(draw() % 30))
		habit.start_error = -EACCES;
	return habit;
}

static void random_event(struct world *world, int (*draw)(void))
{
	struct fake *victim = world_role(world, draw() % WORLD_WORKERS, draw() % ROLES);
	uint32_t worker = draw() % world->plan.wanted;

	switch (draw() % 10) {
	case 0:
		plan_scale(&world->plan, 1 + draw() % WORLD_WORKERS, 1);
		break;
	case 1:
		plan_reload(&world->plan, 1 + draw() % WORLD_WORKERS, 1);
		break;
	case 2:
		plan_restart(&world->plan, worker, 1);
		break;
	case 3:
		world_kill_keeper(world);
		break;
	case 4:
	case 5:
		if (victim)
			victim->ends_us = world->now_us;
		break;
	case 6:
		if (victim)
			world_stop_by_itself(world, victim);
		break;
	default:
		world->next_habit = random_habit(draw);
		world->nexts = 1;
	}
}

/*
 * Whatever happened: once nothing bad happens any more, each operation has ended, and what is
 * wanted is there, but for who was given up or is not ready, and that was told.
 */
static void expect_calm(const struct world *world, const char *name)
{
	uint32_t wanted = world->plan.wanted, good = 0, told = 0;

	if (world->plan.stop) {
		check("ended", name, world->ended, 1);
		return;
	}
	check("operation", name, world->plan.operation.verb, PLAN_NO_VERB);
	for (uint32_t w = 0; w < wanted; w++) {
		const struct process *current = &world->workers[w].at[ROLE_CURRENT];

		good += current->state == LIFE_ONLINE;
		told += current->state == LIFE_FAILED || current->state == LIFE_FINISHED ||
			current->told;
		check("next", name, world->workers[w].at[ROLE_NEXT].state, LIFE_NONE);
		check("leaving", name, world->workers[w].at[ROLE_LEAVING].state, LIFE_NONE);
	}
	check("online or told of", name, good + told, wanted);
}

unsigned int events_run(struct world *world, const struct events *how)
{
	unsigned int events = 0;

	world_begin(world, &how->options, 1 + how->draw() % 4);
	world->faultless = false;
	for (; events < 12 && !world->plan.stop; events++) {
		random_event(world, how->draw);
		world_run_until(world, world->now_us + how->draw() % 200000);
	}
	world->nexts = 0;
	if (!world->plan.stop && how->stops)
		plan_stop(&world->plan, 0);
	world_run(world);
	expect_calm(world, how->name);
	return events;
}
