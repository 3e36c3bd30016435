// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See reconcile_world.h. */
#include "reconcile_world.h"

#include <signal.h>
#include <string.h>

#include "keeper/reconcile.h"
#include "reconcile_fakes.h"

#define FAKES (sizeof(((struct world *)0)->fakes) / sizeof(struct fake))

const struct habit good_habit = {
	.exec_us = 1 * WORLD_MS,
	.ready_us = 5 * WORLD_MS,
	.in_us = 1 * WORLD_MS,
	.dies_us = PLAN_NEVER,
	.ends_us = 20 * WORLD_MS,
	.renews_us = 40 * WORLD_MS,
};

const struct plan_options world_options = {
	.ready_timeout_us = 10000 * WORLD_MS,
	.kill_timeout_us = 5000 * WORLD_MS,
	.stop_signal = SIGTERM,
	.restart_delay_us = PLAN_FIRST_BACKOFF_US,
	.max_restarts = 16,
};

struct fake *world_fake(struct world *world, uint32_t worker, uint32_t generation)
{
	for (size_t i = 0; i < FAKES; i++) {
		if (world->fakes[i].generation == generation && world->fakes[i].worker == worker)
			return &world->fakes[i];
	}
	return NULL;
}

struct fake *world_role(struct world *world, uint32_t worker, enum plan_role role)
{
	const struct process *process = &world->workers[worker].at[role];

	if (!lifecycle_runs(process->state))
		return NULL;
	return world_fake(world, worker, process->generation);
}

uint32_t world_serving(const struct world *world)
{
	uint32_t serving = 0;

	for (size_t i = 0; i < FAKES; i++)
		serving += world->fakes[i].alive && world->fakes[i].in_table;
	return serving;
}

uint32_t world_on_their_way(const struct world *world)
{
	uint32_t count = 0;

	for (uint32_t w = 0; w < world->plan.wanted; w++)
		count += lifecycle_runs(world->workers[w].at[ROLE_NEXT].state);
	return count;
}

void world_begin(struct world *world, const struct plan_options *options, uint32_t wanted)
{
	memset(world, 0, sizeof(*world));
	world->options = *options;
	world->habit = good_habit;
	world->faultless = true;
	world->now_us = 1000000;
	world->stop_after = UINT32_MAX;
	plan_init(&world->plan, options, world->workers, WORLD_WORKERS, wanted);
}

void world_come_up(struct world *world, const struct plan_options *options, uint32_t wanted)
{
	world_begin(world, options, wanted);
	world_run(world);
}

/* --- what the plan asks for --- */

/* As the operation says; what a keeper before it has begun goes on one by one. */
static uint32_t most_at_a_time(const struct world *world)
{
	const struct operation *operation = &world->plan.operation;

	return operation->verb == PLAN_RELOAD ? operation->parallel : 1;
}

static void do_start(struct world *world, const struct action *action)
{
	struct fake *fake = NULL;

	assert_null(world_fake(world, action->worker, action->generation));
	if (action->next)
		assert_true(world_on_their_way(world) <= most_at_a_time(world));
	for (size_t i = 0; i < FAKES; i++)
		assert_false(world->fakes[i].alive && world->fakes[i].habit.alone &&
			     world->fakes[i].worker == action->worker);
	for (size_t i = 0; i < FAKES && !fake; i++) {
		if (!world->fakes[i].generation)
			fake = &world->fakes[i];
	}
	assert_non_null(fake);
	*fake = (struct fake){
		.worker = action->worker,
		.generation = action->generation,
		.alive = true,
		.mark = LIFE_STARTING,
		.habit = world->nexts ? world->next_habit : world->habit,
		.start_us = world->now_us,
		.ends_us = PLAN_NEVER,
	};
	if (world->nexts)
		world->nexts--;
	if (world->options.hands_on)
		sockets_give(world, action);
	world->starts++;
}

static void do_admit(struct world *world, const struct action *action)
{
	struct fake *fake = world_fake(world, action->worker, action->generation);

	assert_non_null(fake);
	assert_true(fake->in);
	if (world->options.hands_on)
		sockets_admit(world, action);
	if (!action->was_online)
		fake->in_table = true;
}

static void tell_to_end(const struct world *world, struct fake *fake)
{
	if (!fake->told_us)
		fake->told_us = world->now_us;
}

/* A process that serves and is wanted leaves only when another one has its place. */
static void do_drain(struct world *world, const struct action *action)
{
	struct fake *fake = world_fake(world, action->worker, action->generation);
	const struct process *current = &world->workers[action->worker].at[ROLE_CURRENT];

	assert_non_null(fake);
	if (action->why == WHY_RENEWED)
		assert_int_equal(current->state, LIFE_ONLINE);
	if (action->why == WHY_UNWANTED)
		assert_true(action->worker >= world->plan.wanted);
	sockets_drain(world, action);
	tell_to_end(world, fake);
	fake->in_table = false;
	fake->drained_us = world->now_us;
}

static void do_signal(struct world *world, const struct action *action)
{
	struct fake *fake = world_fake(world, action->worker, action->generation);

	assert_non_null(fake);
	if (action->why == WHY_DRAINED || action->why == WHY_UNREAD)
		assert_true(!fake->in_table || world->options.hands_on);
	if (action->why == WHY_DRAINED ||
	    (action->why == WHY_STOP && world->plan.stop != PLAN_STOPS_AT_ONCE))
		assert_false(fake_is_at_work(world, fake));
	if (action->why == WHY_AT_WORK)
		assert_true(world->now_us >= fake->asked_us + world->options.drain_timeout_us);
	tell_to_end(world, fake);
	world->last_signal = action->why;
	if (fake->habit.is_wrapped)
		fake->main_ended = true;
	else if (fake->habit.ends_us != PLAN_NEVER)
		fake->ends_us = world->now_us + fake->habit.ends_us;
}

static void do_renew(struct world *world, const struct action *action)
{
	struct fake *fake = world_fake(world, action->worker, action->generation);

	assert_non_null(fake);
	assert_true(fake->in_table);
	assert_int_equal(action->signal, world->options.reload_signal);
	fake->renew_us = world->now_us;
	world->renews++;
}

static void do_signal_rest(struct world *world, const struct action *action)
{
	struct fake *fake = world_fake(world, action->worker, action->generation);

	assert_non_null(fake);
	assert_true(fake->main_ended && !fake->rest_told);
	fake->rest_told = true;
	if (fake->habit.ends_us != PLAN_NEVER)
		fake->ends_us = world->now_us + fake->habit.ends_us;
}

static void do_kill(struct world *world, const struct action *action)
{
	struct fake *fake = world_fake(world, action->worker, action->generation);
	struct process *process = plan_process(&world->plan, action->worker, action->generation);

	assert_non_null(fake);
	assert_non_null(process);
	if (action->why == WHY_TOO_LONG)
		assert_true(world->now_us - process->since_us >= world->options.kill_timeout_us);
	else
		assert_int_equal(world->plan.stop, PLAN_STOPS_AT_ONCE);
	world->kills++;
	if (fake->habit.cant_be_killed)
		process->unkillable = true;
	else
		fake->ends_us = world->now_us;
}

static void do_release(struct world *world, const struct action *action)
{
	struct fake *fake = world_fake(world, action->worker, action->generation);

	assert_non_null(fake);
	assert_false(fake->alive);
	world->last_backoff_us = action->in_us;
	*fake = (struct fake){ 0 };
}

static void do_retire(struct world *world, const struct action *action)
{
	for (size_t i = 0; i < FAKES; i++)
		assert_false(world->fakes[i].alive && world->fakes[i].worker == action->worker);
	assert_true(action->worker >= world->plan.wanted);
	world->retired++;
}

static void do_end(struct world *world)
{
	for (size_t i = 0; i < FAKES; i++)
		assert_true(!world->fakes[i].alive || world->fakes[i].habit.cant_be_killed);
	world->ended = true;
}

static void do_action(struct world *world, const struct action *action)
{
	struct fake *fake;

	switch (action->kind) {
	case ACTION_START:
		do_start(world, action);
		break;
	case ACTION_MARK:
		fake = world_fake(world, action->worker, action->generation);
		assert_non_null(fake);
		fake->mark = action->state;
		break;
	case ACTION_ADMIT:
		do_admit(world, action);
		break;
	case ACTION_DRAIN:
		if (!action->handed_on)
			do_drain(world, action);
		break;
	case ACTION_SIGNAL:
		do_signal(world, action);
		break;
	case ACTION_RENEW:
		do_renew(world, action);
		break;
	case ACTION_SIGNAL_REST:
		do_signal_rest(world, action);
		break;
	case ACTION_KILL:
		do_kill(world, action);
		break;
	case ACTION_RELEASE:
		do_release(world, action);
		break;
	case ACTION_RETIRE:
		do_retire(world, action);
		break;
	case ACTION_TELL:
		world->told[action->why]++;
		break;
	case ACTION_FINISH:
		world->finished++;
		world->finish = action->why;
		world->last_finish = *action;
		break;
	case ACTION_END:
		do_end(world);
		break;
	case ACTION_CLOSE:
		sockets_close(world, action);
		break;
	}
}

void world_stop_by_itself(struct world *world, struct fake *fake)
{
	struct process *process = plan_process(&world->plan, fake->worker, fake->generation);

	if (!process)
		return;
	process->said_stopping = true;
	fake->ends_us = world->now_us + 30 * WORLD_MS;
}

static bool step(struct world *world)
{
	struct action actions[2 * PLAN_LEAST_ACTIONS];
	size_t n;

	n = reconcile(&world->plan, world->now_us, actions, ARRAY_SIZE(actions));

	for (size_t i = 0; i < n; i++)
		do_action(world, &actions[i]);
	if (n)
		world->steps++;
	if (world->faultless && !world->plan.stop && world->plan.ever_online && n)
		assert_true(world_serving(world) >= 1);
	return n;
}

void world_run_until(struct world *world, uint64_t until_us)
{
	unsigned int stop_at = world->stop_after == UINT32_MAX ? UINT32_MAX :
								 world->steps + world->stop_after;
	uint64_t next_us;

	for (int turns = 0;; turns++) {
		/* nothing goes on for ever */
		assert_true(turns < 200000);
		next_us = PLAN_NEVER;
		if (world->plan.stop)
			world->plan.unsteered = true;
		for (size_t i = 0; i < FAKES; i++) {
			if (world->fakes[i].generation)
				fake_live(world, &world->fakes[i], &next_us);
		}
		sockets_see_drained(world, &next_us);
		if (step(world)) {
			if (world->ended || world->steps >= stop_at)
				return;
			continue;
		}
		if (world->plan.next_us < next_us)
			next_us = world->plan.next_us;
		if (next_us > until_us || next_us == PLAN_NEVER) {
			if (until_us != PLAN_NEVER)
				world->now_us = until_us;
			return;
		}
		assert_true(next_us > world->now_us);
		world->now_us = next_us;
	}
}

void world_run(struct world *world)
{
	world_run_until(world, PLAN_NEVER);
}

void world_kill_keeper(struct world *world)
{
	uint32_t wanted = world->plan.wanted;

	world->ended = false;
	plan_init(&world->plan, &world->options, world->workers, WORLD_WORKERS, wanted);
	for (size_t i = 0; i < FAKES; i++) {
		struct fake *fake = &world->fakes[i];

		if (fake->generation > world->plan.generation)
			world->plan.generation = fake->generation;
		/* what its main process left behind is all there is, as the next one sees it */
		if (fake->main_ended)
			fake->main_ended = fake->habit.is_wrapped = false;
		if (!fake->alive)
			*fake = (struct fake){ 0 };
		/* who looks for the program's start is gone, so it is taken as started */
		else if (!plan_take_over(&world->plan, fake->worker, fake->generation, fake->mark,
					 world->now_us))
			*fake = (struct fake){ 0 };
	}
	sockets_forget(world);
}

void world_expect_promised(struct world *world, const char *name)
{
	uint32_t alive = 0, retired = 0;

	for (size_t i = 0; i < FAKES; i++)
		alive += world->fakes[i].alive;
	check("processes", name, alive, world->plan.wanted);
	for (uint32_t w = 0; w < world->plan.wanted; w++) {
		const struct process *current = &world->workers[w].at[ROLE_CURRENT];

		check("state", name, current->state, LIFE_ONLINE);
		check("version", name, current->version, world->workers[w].version);
		check("mark", name, world_fake(world, w, current->generation)->mark, LIFE_ONLINE);
		check("in the table", name, world_fake(world, w, current->generation)->in_table, 1);
	}
	for (uint32_t w = world->plan.wanted; w < world->plan.used; w++)
		retired += !world->workers[w].in_use;
	check("retired", name, retired, world->plan.used - world->plan.wanted);
	sockets_expect(world, name);
	check("operation", name, world->plan.operation.verb, PLAN_NO_VERB);
}
