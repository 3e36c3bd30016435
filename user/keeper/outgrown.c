// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See outgrown.h. */
#include "keeper/outgrown.h"

/* Is it as before, in spite of the last restart? */
static bool is_again(const struct worker *worker, const struct process *current)
{
	return worker->outgrown && (current->started_us < worker->outgrown_us ||
				    current->over_us - current->started_us <= PLAN_STEADY_US);
}

bool outgrown_is_due(struct plan *plan, uint32_t w, uint64_t now_us)
{
	struct worker *worker = &plan->workers[w];
	const struct process *current = &worker->at[ROLE_CURRENT];

	if (plan->stop || plan->operation.verb != PLAN_NO_VERB || current->state != LIFE_ONLINE ||
	    !current->over_us || lifecycle_runs(worker->at[ROLE_NEXT].state))
		return false;
	if (!is_again(worker, current))
		worker->outgrown = 0;
	else if (now_us < worker->outgrown_us + plan_backoff_us(plan, worker->outgrown))
		return false;
	worker->outgrown++;
	worker->outgrown_us = now_us;
	return true;
}
