// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See plan.h. */
#include "keeper/plan.h"

#include <stddef.h>
#include <string.h>

void plan_init(struct plan *plan, const struct plan_options *options, struct worker *workers,
	       uint32_t most, uint32_t wanted)
{
	memset(workers, 0, most * sizeof(*workers));
	*plan = (struct plan){
		.options = *options,
		.wanted = wanted,
		.used = wanted,
		.next_us = PLAN_NEVER,
		.workers = workers,
	};
}

struct process *plan_process(struct plan *plan, uint32_t worker, uint32_t generation)
{
	for (int role = 0; generation && worker < plan->used && role < ROLES; role++) {
		if (plan->workers[worker].at[role].generation == generation)
			return &plan->workers[worker].at[role];
	}
	return NULL;
}

static struct process process_found(const struct plan *plan, uint32_t generation,
				    enum lifecycle state, uint64_t now_us)
{
	struct process process = {
		.generation = generation,
		.state = state,
		.since_us = now_us,
		.started_us = now_us,
		.pinged_us = now_us,
		.taken_over = true,
		.executed = true,
		.said_ready = state > LIFE_STARTING,
		.was_online = state == LIFE_ONLINE,
		/* which signal it was sent is not known, but most are sent this one */
		.signal = state == LIFE_TERMINATING ? plan->options.stop_signal : 0,
	};

	/* its sockets have to be found first */
	if (state == LIFE_ONLINE)
		process.state = LIFE_READY;
	return process;
}

static bool is_free(const struct process *process)
{
	return !lifecycle_runs(process->state);
}

/* Of two processes one leaves, or else the newer one is to take the older one's place. */
bool plan_take_over(struct plan *plan, uint32_t worker, uint32_t generation, enum lifecycle state,
		    uint64_t now_us)
{
	struct process found = process_found(plan, generation, state, now_us);
	struct worker *seat = &plan->workers[worker];
	struct process *current = &seat->at[ROLE_CURRENT];

	if (generation > plan->generation)
		plan->generation = generation;
	if (worker >= plan->used)
		plan->used = worker + 1;
	seat->in_use = true;
	plan->ever_ran = true;
	plan->ever_online |= found.was_online;
	if (state == LIFE_DRAINING || state == LIFE_TERMINATING) {
		if (!is_free(&seat->at[ROLE_LEAVING]))
			return false;
		seat->at[ROLE_LEAVING] = found;
		return true;
	}
	if (is_free(current)) {
		/* it may not have said so when nobody listened; of two it is to show it */
		found.said_ready = true;
		*current = found;
	} else if (!is_free(&seat->at[ROLE_NEXT])) {
		return false;
	} else if (current->generation < generation) {
		seat->at[ROLE_NEXT] = found;
	} else {
		seat->at[ROLE_NEXT] = *current;
		seat->at[ROLE_NEXT].said_ready = seat->at[ROLE_NEXT].was_online;
		found.said_ready = true;
		*current = found;
	}
	seat->sockets = current->generation;
	return true;
}

/* --- wishes --- */

static struct operation begin(struct plan *plan, enum plan_verb verb, uint64_t client)
{
	struct operation before = plan->operation;

	plan->operation = (struct operation){
		.verb = verb,
		.client = client,
		.first_generation = plan->generation + 1,
	};
	return before;
}

void plan_stop_renewing(struct plan *plan)
{
	for (uint32_t w = 0; w < plan->used; w++) {
		struct worker *worker = &plan->workers[w];

		if (lifecycle_runs(worker->at[ROLE_CURRENT].state) &&
		    !lifecycle_runs(worker->at[ROLE_NEXT].state))
			worker->version = worker->at[ROLE_CURRENT].version;
	}
}

void plan_keep(struct plan *plan)
{
	for (uint32_t w = 0; w < plan->used; w++) {
		struct worker *worker = &plan->workers[w];

		if (lifecycle_runs(worker->at[ROLE_CURRENT].state))
			worker->version = worker->at[ROLE_CURRENT].version;
	}
}

/* Of a scale, who is not there yet does not come. */
static uint32_t workers_there(const struct plan *plan, uint32_t at_least)
{
	uint32_t there = at_least;

	for (uint32_t w = at_least; w < plan->wanted; w++) {
		if (plan->workers[w].at[ROLE_CURRENT].state == LIFE_ONLINE)
			there = w + 1;
	}
	return there;
}

struct operation plan_cancel(struct plan *plan)
{
	struct operation before = plan->operation;

	if (before.verb == PLAN_NO_VERB)
		return before;
	plan_keep(plan);
	if (before.verb == PLAN_SCALE && before.workers < plan->wanted)
		plan->wanted = workers_there(plan, before.workers);
	plan->operation = (struct operation){ 0 };
	return before;
}

struct operation plan_scale(struct plan *plan, uint32_t workers, uint64_t client)
{
	struct operation before;

	plan_stop_renewing(plan);
	for (uint32_t w = 0; w < workers; w++) {
		if (w >= plan->wanted)
			plan->workers[w].version = plan->version;
		if (w >= plan->wanted || plan->workers[w].at[ROLE_CURRENT].state == LIFE_FAILED)
			plan->workers[w].failures = 0;
	}
	before = begin(plan, PLAN_SCALE, client);
	plan->operation.workers = plan->wanted;
	plan->wanted = workers;
	if (workers > plan->used)
		plan->used = workers;
	return before;
}

struct operation plan_reload(struct plan *plan, uint32_t parallel, uint64_t client)
{
	struct operation before;

	plan->version++;
	for (uint32_t w = 0; w < plan->wanted; w++) {
		plan->workers[w].version = plan->version;
		plan->workers[w].failures = 0;
	}
	before = begin(plan, PLAN_RELOAD, client);
	plan->operation.parallel = parallel;
	return before;
}

uint32_t plan_percent(const struct plan *plan, uint32_t percent)
{
	return (plan->wanted * percent + 99) / 100;
}

struct operation plan_restart(struct plan *plan, uint32_t worker, uint64_t client)
{
	struct operation before;

	plan_stop_renewing(plan);
	plan->workers[worker].version = ++plan->version;
	plan->workers[worker].failures = 0;
	before = begin(plan, PLAN_RESTART, client);
	plan->operation.worker = worker;
	return before;
}

void plan_stop(struct plan *plan, int status)
{
	if (plan->stop) {
		plan->stop = PLAN_STOPS_AT_ONCE;
		return;
	}
	plan->stop = PLAN_STOPS;
	plan->end_status = status;
}

/* --- what is so --- */

void plan_summarise(const struct plan *plan, struct plan_summary *out)
{
	*out = (struct plan_summary){ 0 };
	for (uint32_t w = 0; w < plan->used; w++) {
		const struct worker *worker = &plan->workers[w];
		const struct process *current = &worker->at[ROLE_CURRENT];
		bool next = lifecycle_runs(worker->at[ROLE_NEXT].state);

		for (int role = 0; role < ROLES; role++)
			out->running += lifecycle_runs(worker->at[role].state);
		if (w >= plan->wanted)
			continue;
		out->online += current->state == LIFE_ONLINE;
		out->failed += current->state == LIFE_FAILED;
		out->finished += current->state == LIFE_FINISHED;
		out->renewing += next || (lifecycle_runs(current->state) &&
					  current->version != worker->version);
	}
}

uint32_t plan_count_old(const struct plan *plan)
{
	uint32_t old = 0;

	for (uint32_t w = 0; w < plan->wanted; w++) {
		const struct process *current = &plan->workers[w].at[ROLE_CURRENT];

		old += lifecycle_runs(current->state) &&
		       current->version != plan->workers[w].version;
	}
	return old;
}

uint64_t plan_backoff_us(const struct plan *plan, uint32_t failures)
{
	uint64_t us = plan->options.restart_delay_us;
	uint64_t most_us = us < PLAN_MOST_BACKOFF_US ? PLAN_MOST_BACKOFF_US : us;

	for (uint32_t i = 1; i < failures && us < most_us; i++)
		us *= 2;
	return us < most_us ? us : most_us;
}

bool plan_awaits_accept(const struct plan *plan, const struct process *process)
{
	return plan->options.hands_on && process->state == LIFE_STARTING && process->executed &&
	       !process->said_ready && !process->accepts && plan->unseen != process->version + 1;
}

bool plan_is_leaving(enum plan_role role, const struct process *process)
{
	return process->state == LIFE_DRAINING && (role != ROLE_CURRENT || !process->said_stopping);
}

bool plan_is_of_operation(const struct plan *plan, const struct process *process)
{
	return plan->operation.verb != PLAN_NO_VERB &&
	       process->generation >= plan->operation.first_generation;
}

uint32_t plan_count_renewed(const struct plan *plan)
{
	uint32_t renewed = 0;

	for (uint32_t w = 0; w < plan->wanted; w++) {
		const struct process *current = &plan->workers[w].at[ROLE_CURRENT];

		renewed += lifecycle_runs(current->state) && plan_is_of_operation(plan, current);
	}
	return renewed;
}

const char *plan_verb_name(enum plan_verb verb)
{
	static const char *const verbs[] = {
		[PLAN_SCALE] = "scale",
		[PLAN_RELOAD] = "reload",
		[PLAN_RESTART] = "restart",
	};

	return verb == PLAN_NO_VERB ? NULL : verbs[verb];
}
