/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the keeper of `lbctl run` decides, and nothing of what it does: from what is wanted (how
 * many workers, of which version) and what is known (facts about each process) follow actions.
 * Pure: no descriptor, no clock but an argument, nothing printed, nothing allocated.
 *
 * Facts and wishes are written into the plan at any time; reconcile() then says what is to be done
 * now, and when it wants to be called again although nothing happened. What it orders counts as
 * done: the caller does all of it, in this order, and reports what came of it as facts.
 */
#ifndef RECONCILE_H
#define RECONCILE_H

#include "keeper/plan.h"

/* Room for actions that reconcile() needs at least. */
#define PLAN_LEAST_ACTIONS 32

/*
 * Says what is to be done now, at most `max` (PLAN_LEAST_ACTIONS or more) things; and is called
 * again, once these were done, until there is nothing. Then plan->next_us is when it wants to be
 * called although nothing happened, or PLAN_NEVER. `now_us` never goes back. Returns the number of
 * actions.
 */
size_t reconcile(struct plan *plan, uint64_t now_us, struct action *actions, size_t max);

#endif
