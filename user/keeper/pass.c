// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See pass.h. */
#include "keeper/pass.h"

#include <assert.h>

struct action *pass_emit(struct pass *pass, enum action_kind kind, uint32_t w,
			 const struct process *process)
{
	struct action *action = &pass->actions[pass->count++];

	assert(pass->count <= pass->max);
	*action = (struct action){ .kind = kind, .worker = w, .in_us = PLAN_NEVER };
	if (process) {
		action->generation = process->generation;
		action->version = process->version;
		action->state = process->state;
		action->was_online = process->was_online;
	}
	return action;
}

bool pass_is_due(struct pass *pass, uint64_t at_us)
{
	if (pass->now_us >= at_us)
		return true;
	if (at_us < pass->next_us)
		pass->next_us = at_us;
	return false;
}

bool pass_move(struct pass *pass, struct process *process, enum life_event event)
{
	int to = lifecycle_next(process->state, event);

	if (to < 0)
		return false;
	process->state = to;
	process->since_us = pass->now_us;
	return true;
}

void pass_forget(struct pass *pass, uint32_t w, enum plan_role role)
{
	struct process *process = &pass->plan->workers[w].at[role];

	if (pass_move(pass, process, LIFE_END))
		*process = (struct process){ 0 };
}

void pass_mark(struct pass *pass, uint32_t w, const struct process *process)
{
	pass_emit(pass, ACTION_MARK, w, process);
}

void pass_terminate(struct pass *pass, uint32_t w, struct process *process, int signal_number,
		    enum plan_why why)
{
	struct action *action;

	if (!pass_move(pass, process, LIFE_TERMINATE))
		return;
	process->signal = signal_number;
	action = pass_emit(pass, ACTION_SIGNAL, w, process);
	action->signal = signal_number;
	action->why = why;
	/* in this order: one that is only said to have been told would be killed in the end */
	pass_mark(pass, w, process);
}

void pass_dismiss(struct pass *pass, uint32_t w, struct process *process, enum plan_why why)
{
	if (is_handed_on(pass->plan, w, process)) {
		pass_terminate(pass, w, process, pass->plan->options.stop_signal, why);
		return;
	}
	if (!pass_move(pass, process, LIFE_LEAVE))
		return;
	pass_mark(pass, w, process);
	pass_drain(pass, w, process, WHY_NONE);
}

bool pass_nobody_serves(const struct plan *plan)
{
	for (uint32_t w = 0; w < plan->used; w++) {
		for (int role = 0; role < ROLES; role++) {
			if (plan->workers[w].at[role].state == LIFE_ONLINE)
				return false;
		}
	}
	return true;
}

void pass_close(struct pass *pass, uint32_t w, struct process *process)
{
	if (!pass->plan->options.hands_on || process->closed)
		return;
	pass_emit(pass, ACTION_CLOSE, w, process);
	process->closed = true;
	if (pass->plan->workers[w].sockets == process->generation)
		pass->plan->workers[w].sockets = 0;
}

void pass_drain(struct pass *pass, uint32_t w, struct process *process, enum plan_why why)
{
	if (!process->drain_asked)
		pass_emit(pass, ACTION_DRAIN, w, process)->why = why;
	process->drain_asked = true;
}

bool pass_keeps_sockets(struct pass *pass, uint32_t w, struct process *process)
{
	uint64_t until_us;

	if (!pass->plan->options.hands_on || !process->generation || process->closed)
		return false;
	if (!process->drain_asked)
		process->since_us = pass->now_us;
	pass_drain(pass, w, process, WHY_ENDED);
	if (process->drained && !process->drained_us)
		process->drained_us = pass->now_us;
	until_us = process->drained_us ? process->drained_us + PLAN_HANDSHAKES_US :
					 process->since_us + pass->plan->options.kill_timeout_us;
	if (!pass_is_due(pass, until_us))
		return true;
	pass_close(pass, w, process);
	return false;
}

bool pass_awaits_answers(struct pass *pass, const struct process *process)
{
	return process->at_work &&
	       !pass_is_due(pass, process->drained_us + pass->plan->options.drain_timeout_us);
}

void pass_finish(struct pass *pass, enum plan_why why, uint32_t w, const struct process *process)
{
	struct plan *plan = pass->plan;
	struct action *action;

	if (plan->operation.verb == PLAN_NO_VERB)
		return;
	action = pass_emit(pass, ACTION_FINISH, w, process);
	action->why = why;
	action->operation = plan->operation;
	action->old = plan_count_old(plan);
	action->renewed = plan_count_renewed(plan);
	plan->operation = (struct operation){ 0 };
}

void pass_fail(struct pass *pass, enum plan_why why, uint32_t w, const struct process *process)
{
	pass_finish(pass, why, w, process);
	plan_keep(pass->plan);
}
