// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See reconcile_fakes.h: what processes do. */
#include "reconcile_fakes.h"

static bool is_due(const struct world *world, uint64_t at_us, uint64_t *next_us)
{
	if (world->now_us >= at_us)
		return true;
	if (at_us < *next_us)
		*next_us = at_us;
	return false;
}

static uint64_t later(uint64_t at_us, uint64_t us)
{
	return us == PLAN_NEVER ? PLAN_NEVER : at_us + us;
}

static void die(struct fake *fake)
{
	fake->alive = false;
	fake->in_table = false;
}

bool fake_is_at_work(const struct world *world, const struct fake *fake)
{
	return fake->asked_us && (fake->habit.works_us == PLAN_NEVER ||
				  world->now_us < fake->asked_us + fake->habit.works_us);
}

/* As the keeper does: of those that are drained, and of all once the program is off. */
static void look_at_work(struct world *world, struct fake *fake, struct process *process,
			 uint64_t *next_us)
{
	enum plan_role role = process - world->workers[fake->worker].at;
	bool drained = process->drained && plan_is_leaving(role, process);

	if (!world->options.drain_timeout_us || !fake->alive)
		return;
	if (!fake->asked_us && (drained || world->plan.unsteered))
		fake->asked_us = world->now_us;
	if (fake->asked_us)
		is_due(world, later(fake->asked_us, fake->habit.works_us), next_us);
	process->at_work = fake_is_at_work(world, fake);
}

/*
 * When a child that is at it gives its sockets their slots: also of one that was told to end
 * meanwhile. A child that begins later does not.
 */
static uint64_t comes_in_us(const struct fake *fake, uint64_t ready_us)
{
	if (fake->in || !fake->ready || (fake->told_us && fake->told_us < ready_us))
		return PLAN_NEVER;
	return later(ready_us, fake->habit.in_us);
}

/* From then on connections come to it, unless it is drained: to nobody who was told to end. */
static void come_in(const struct world *world, struct fake *fake)
{
	fake->in = true;
	if (fake->drained_us)
		return;
	assert_true(!fake->told_us || world->plan.stop || world->options.hands_on);
	fake->in_table = true;
}

void fake_live(struct world *world, struct fake *fake, uint64_t *next_us)
{
	struct process *process = plan_process(&world->plan, fake->worker, fake->generation);
	const struct habit *habit = &fake->habit;
	uint64_t exec_us = later(fake->start_us, habit->exec_us);
	uint64_t ready_us = exec_us == PLAN_NEVER ? PLAN_NEVER : later(exec_us, habit->ready_us);
	uint64_t in_us;

	if (fake->alive && (is_due(world, later(fake->start_us, habit->dies_us), next_us) ||
			    is_due(world, fake->ends_us, next_us)))
		die(fake);
	if (fake->alive && habit->start_error && is_due(world, exec_us, next_us))
		die(fake);
	if (fake->alive && is_due(world, exec_us, next_us))
		fake->executed = true;
	if (fake->alive && is_due(world, ready_us, next_us))
		fake->ready = true;
	in_us = fake->alive ? comes_in_us(fake, ready_us) : PLAN_NEVER;
	if (is_due(world, in_us, next_us)) {
		come_in(world, fake);
		in_us = PLAN_NEVER;
	}
	if (!process)
		return;
	process->executed |= fake->executed;
	if (world->options.wait_ready)
		process->said_ready |= fake->ready;
	else
		process->accepts |= fake->ready && !habit->unseen;
	/* with --wait-ready its sockets are not looked at before */
	process->registered = fake->alive && fake->in;
	process->main_ended = fake->main_ended;
	process->alone = habit->alone;
	if (fake->drained_us && in_us == PLAN_NEVER &&
	    is_due(world, fake->drained_us + world->drain_takes_us, next_us)) {
		process->drained = true;
		if (is_due(world, later(fake->drained_us, habit->reads_us), next_us))
			process->read_us = fake->drained_us + habit->reads_us;
	}
	if (fake->renew_us && is_due(world, later(fake->renew_us, habit->renews_us), next_us))
		process->renewed = true;
	look_at_work(world, fake, process, next_us);
	if (!fake->alive && habit->start_error && !fake->executed)
		process->start_error = habit->start_error;
	else if (!fake->alive) {
		process->exited = true;
		process->status = habit->status;
	}
}
