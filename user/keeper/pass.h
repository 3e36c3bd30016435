/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One pass of reconcile.h over the plan: what its two halves share. For them alone. */
#ifndef PASS_H
#define PASS_H

#include "keeper/plan.h"

#define PASS_STATUS_FAILED 1 /* of the loop, when the workers are to blame */

struct pass {
	struct plan *plan;
	uint64_t now_us;
	uint64_t next_us;
	struct action *actions;
	size_t count, max;
};

/* Adds an action for a worker and, unless NULL, one of its processes. */
struct action *pass_emit(struct pass *pass, enum action_kind kind, uint32_t w,
			 const struct process *process);

/* Has the time come? If not, there is a pass when it does. */
bool pass_is_due(struct pass *pass, uint64_t at_us);

/* Changes the state as lifecycle.h says; false: the event means nothing in that state. */
bool pass_move(struct pass *pass, struct process *process, enum life_event event);

/* The place is empty from now on, unless a process runs there. */
void pass_forget(struct pass *pass, uint32_t w, enum plan_role role);

void pass_terminate(struct pass *pass, uint32_t w, struct process *process, int signal_number,
		    enum plan_why why);

/*
 * Ends one that is not online. Some of its sockets may have their slots, or get them from a child
 * that is at it: so it is drained first, in its place.
 */
void pass_dismiss(struct pass *pass, uint32_t w, struct process *process, enum plan_why why);
void pass_mark(struct pass *pass, uint32_t w, const struct process *process);

/* Is no process online? */
bool pass_nobody_serves(const struct plan *plan);

/* Nobody gets its sockets of --listen after it. */
void pass_close(struct pass *pass, uint32_t w, struct process *process);

/* Asks that it gets nothing more, once. */
void pass_drain(struct pass *pass, uint32_t w, struct process *process, enum plan_why why);

/*
 * It has ended, and nobody gets its sockets of --listen: has them closed when it is drained and no
 * handshake is under way to them any more. Returns true until then. A service that can't be changed
 * is not waited for without end.
 */
bool pass_keeps_sockets(struct pass *pass, uint32_t w, struct process *process);

/* Drained: is it waited for, as it has something to answer? From drained_us on, for so long. */
bool pass_awaits_answers(struct pass *pass, const struct process *process);

/*
 * Ends the operation, if there is one; the first failure of a new process does: no more are tried.
 * `process` is to blame, or NULL.
 */
void pass_finish(struct pass *pass, enum plan_why why, uint32_t w, const struct process *process);
void pass_fail(struct pass *pass, enum plan_why why, uint32_t w, const struct process *process);

/* pass_facts.c: what the facts about a process make of it. */
void pass_take_facts(struct pass *pass, uint32_t w, enum plan_role role);

static inline bool is_wanted(const struct plan *plan, uint32_t w)
{
	return !plan->stop && w < plan->wanted;
}

static inline bool runs(const struct process *process)
{
	return lifecycle_runs(process->state);
}

/* It was told to become the version that it is to be, and is not yet. */
static inline bool renews(const struct worker *worker, const struct process *process)
{
	return process->renews == worker->version && process->version != worker->version;
}

/* The sockets of a process that goes are its successor's. */
static inline bool is_handed_on(const struct plan *plan, uint32_t w, const struct process *process)
{
	return plan->options.hands_on && is_wanted(plan, w) &&
	       plan->workers[w].sockets == process->generation;
}

#endif
