// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See reconcile_fakes.h: sockets of --listen. */
#include "reconcile_fakes.h"

#define SOCKETS (sizeof(((struct world *)0)->sockets) / sizeof(struct fake_sockets))

/* Of generation 0: a place for new ones. */
static struct fake_sockets *find_sockets(struct world *world, uint32_t worker, uint32_t generation)
{
	for (size_t i = 0; i < SOCKETS; i++) {
		struct fake_sockets *sockets = &world->sockets[i];

		if (sockets->generation == generation && (!generation || sockets->worker == worker))
			return sockets;
	}
	return NULL;
}

/* Who has them is dead, and has not given them up. */
void sockets_give(struct world *world, const struct action *action)
{
	struct fake_sockets *sockets = find_sockets(world, action->worker, action->sockets_of);

	assert_false(action->next && action->sockets_of);
	assert_non_null(sockets);
	if (action->sockets_of)
		assert_null(world_fake(world, action->worker, action->sockets_of));
	else
		*sockets = (struct fake_sockets){ .worker = action->worker };
	sockets->generation = action->generation;
}

/*
 * What comes to them while they close would be lost, if nobody had drained them. That is not waited
 * for without end, nor where nobody will serve them.
 */
static bool may_close(struct world *world, const struct action *action,
		      const struct fake_sockets *sockets)
{
	const struct fake *fake = world_fake(world, sockets->worker, sockets->generation);
	uint64_t takes_us = world->drain_takes_us + PLAN_HANDSHAKES_US;

	if (world->plan.stop || takes_us >= world->options.kill_timeout_us)
		return true;
	if (fake && fake->habit.start_error)
		return true;
	if (action->state == LIFE_FAILED || action->state == LIFE_FINISHED)
		return true;
	return !sockets->in_table && sockets->drained_us &&
	       world->now_us >= sockets->drained_us + takes_us;
}

void sockets_close(struct world *world, const struct action *action)
{
	for (size_t i = 0; i < SOCKETS; i++) {
		struct fake_sockets *sockets = &world->sockets[i];

		if (!sockets->generation || sockets->worker != action->worker ||
		    (action->generation && sockets->generation != action->generation))
			continue;
		assert_true(may_close(world, action, sockets));
		*sockets = (struct fake_sockets){ 0 };
	}
}

void sockets_drain(struct world *world, const struct action *action)
{
	struct fake_sockets *sockets = find_sockets(world, action->worker, action->generation);

	if (!sockets)
		return;
	if (!sockets->drained_us)
		sockets->drained_us = world->now_us;
	sockets->in_table = false;
}

void sockets_admit(struct world *world, const struct action *action)
{
	struct fake_sockets *sockets = find_sockets(world, action->worker, action->generation);

	assert_non_null(sockets);
	sockets->in_table = true;
	sockets->drained_us = 0;
}

void sockets_see_drained(struct world *world, uint64_t *next_us)
{
	for (size_t i = 0; i < SOCKETS; i++) {
		const struct fake_sockets *sockets = &world->sockets[i];
		struct process *process =
			plan_process(&world->plan, sockets->worker, sockets->generation);
		uint64_t at_us = sockets->drained_us + world->drain_takes_us;

		if (!process || !sockets->drained_us)
			continue;
		if (world->now_us >= at_us)
			process->drained = true;
		else if (at_us < *next_us)
			*next_us = at_us;
	}
}

void sockets_expect(struct world *world, const char *name)
{
	uint32_t open = 0;

	if (!world->options.hands_on)
		return;
	for (size_t i = 0; i < SOCKETS; i++)
		open += world->sockets[i].generation != 0;
	check("sets of sockets", name, open, world->plan.wanted);
	for (uint32_t w = 0; w < world->plan.wanted; w++) {
		const struct fake_sockets *sockets =
			find_sockets(world, w, world->workers[w].at[ROLE_CURRENT].generation);

		assert_non_null(sockets);
		check("its sockets in the table", name, sockets->in_table, 1);
	}
}

void sockets_forget(struct world *world)
{
	for (size_t i = 0; i < SOCKETS; i++) {
		if (!world_fake(world, world->sockets[i].worker, world->sockets[i].generation))
			world->sockets[i] = (struct fake_sockets){ 0 };
	}
}
