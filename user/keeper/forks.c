// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What --forks has on top of a run: its workers are sockets, and come and go by themselves. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keeper/parts.h"
#include "lb_pick.h"

/* A socket is in several hands for a moment when it is handed on. */
#define SHARED_LOOKS 2

static bool may_hand_on(void *arg, pid_t pid)
{
	const struct keeper *keeper = arg;

	for (uint32_t w = 0; w < keeper->plan.used; w++) {
		const struct runner *runner = keeper->runners.of[w];

		for (; runner; runner = runner->next) {
			if (runner->pid == pid)
				return true;
		}
	}
	return false;
}

static void on_came_again(void *arg, uint32_t worker)
{
	const struct keeper *keeper = arg;

	if (keeper->plan.operation.verb == PLAN_NO_VERB)
		execute_count_restart(keeper, worker);
}

static void on_left(void *arg, const struct loss *loss)
{
	struct keeper *keeper = arg;

	keeper->toll.ended++;
	keeper->toll.counted &= loss->known && loss->counted;
	keeper->toll.lost += loss->lost;
}

int forks_open(struct keeper *keeper)
{
	keeper->forked = forked_new();
	keeper->members = calloc(1, sizeof(*keeper->members));
	if (!keeper->forked || !keeper->members)
		return -ENOMEM;
	keeper->members->log = keeper->log;
	keeper->members->losses = keeper->losses;
	keeper->members->tells_first = true;
	keeper->members->may_hand_on = may_hand_on;
	keeper->members->came_again = on_came_again;
	keeper->members->left = on_left;
	keeper->members->arg = keeper;
	event_log_forks(keeper->log);
	return 0;
}

void forks_take_over(struct keeper *keeper)
{
	const struct state *state = pins_state(keeper->pins);

	if (state)
		members_adopt(keeper->members, state);
}

/* What lasts is told once of each main process. */
static void tell_shared(struct keeper *keeper, const char *text)
{
	uint32_t generation = keeper->workers[0].at[ROLE_CURRENT].generation;

	keeper->shared.looks = *text ? keeper->shared.looks + 1 : 0;
	if (keeper->shared.looks < SHARED_LOOKS || keeper->shared.told == generation)
		return;
	keeper->shared.told = generation;
	event_tell(keeper->log, "shared-socket", NULL, "%s", text);
}

void forks_refreshed(struct keeper *keeper, const struct attach_result *result)
{
	members_tell(keeper->members, pins_state(keeper->pins), turn_now(keeper->turn));
	if (result->made || result->added)
		forked_came(keeper->forked);
	tell_shared(keeper, result->shared);
}

uint32_t forks_workers(const struct keeper *keeper)
{
	const struct state *state = pins_state(keeper->pins);
	uint32_t up = 0;

	for (uint32_t slot = 0; state && slot < state_used_slots(state); slot++)
		up += state_worker(state, slot)->state == LB_SLOT_UP;
	return up;
}

pid_t forks_pid(const struct keeper *keeper, uint32_t worker)
{
	const struct state *state = pins_state(keeper->pins);

	for (uint32_t slot = 0; state && slot < state_used_slots(state); slot++) {
		const struct lb_worker *row = state_worker(state, slot);

		if (row->worker == worker && lb_slot_is_open(row->state) && row->pid &&
		    runner_of_pid(&keeper->runners, keeper->options.name, row->pid))
			return row->pid;
	}
	return 0;
}
