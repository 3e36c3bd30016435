// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See unread.h. */
#include "keeper/unread.h"

#include "host/sockdiag.h"

static uint32_t unread_in(uint16_t port, uint64_t cookie)
{
	struct sockdiag_list list;
	uint32_t bytes = 0;

	if (sockdiag_listeners(LB_PROTO_UDP, port, &list))
		return 0;
	for (size_t i = 0; i < list.count; i++) {
		if (list.items[i].cookie == cookie)
			bytes = list.items[i].queued;
	}
	sockdiag_free(&list);
	return bytes;
}

/* What can't be told counts as read. */
static uint32_t unread_of(const struct state *state, int slot)
{
	uint32_t bytes = 0;

	for (uint32_t i = 0; state && slot >= 0 && i < state->nr_listeners; i++) {
		const struct lb_listener *listener = &state->config->listeners[i];

		if (listener->proto == LB_PROTO_UDP)
			bytes += unread_in(listener->port, state_queue(state, i, slot)->cookie);
	}
	return bytes;
}

static void look_at_one(struct process *process, struct runner *runner, const struct state *state,
			uint64_t now_us)
{
	runner->unread_bytes = unread_of(state, runner->slot);
	if (runner->unread_bytes)
		process->read_us = 0;
	else if (!process->read_us)
		process->read_us = now_us;
}

bool unread_look(struct plan *plan, struct runners *runners, const struct state *state,
		 uint64_t now_us)
{
	bool again = false;

	for (uint32_t w = 0; plan->options.reads_first && w < plan->used; w++) {
		for (int role = 0; role < ROLES; role++) {
			struct process *process = &plan->workers[w].at[role];
			struct runner *runner = runner_find(runners, w, process->generation);

			if (!plan_is_leaving(role, process) || !process->drained || !runner)
				continue;
			again = true;
			look_at_one(process, runner, state, now_us);
		}
	}
	return again;
}
