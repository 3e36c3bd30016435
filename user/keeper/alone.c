// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See alone.h. */
#include "keeper/alone.h"

#include "host/inspect.h"
#include "host/sockdiag.h"

static void forget(struct plan *plan, const struct runners *runners)
{
	for (uint32_t w = 0; w < plan->used; w++) {
		for (struct runner *runner = runners->of[w]; runner; runner = runner->next)
			runner->alone = (struct runner_port){ 0 };
		for (int role = 0; role < ROLES; role++)
			plan->workers[w].at[role].alone = false;
	}
}

/* sock_diag says whose a socket is, the iterator how it was bound. */
static void look_at(struct plan *plan, const struct runners *runners, uint8_t proto,
		    const struct inspect_list *inspected)
{
	struct sockdiag_list list;

	if (sockdiag_listeners(proto, 0, &list))
		return;
	for (size_t i = 0; i < list.count; i++) {
		const struct lb_listening *found = inspect_find(inspected, list.items[i].cookie);
		struct runner *runner = runner_of_cgroup(runners, list.items[i].cgroup_id);
		struct process *process;

		if (!found || !found->alone || !runner)
			continue;
		runner->alone.port = list.items[i].port;
		runner->alone.udp = proto == LB_PROTO_UDP;
		process = plan_process(plan, runner->worker, runner->generation);
		if (process)
			process->alone = true;
	}
	sockdiag_free(&list);
}

void alone_look(struct plan *plan, const struct runners *runners)
{
	struct sockdiag_list datagram;
	struct inspect_list inspected;

	forget(plan, runners);
	/* this gives UDP sockets their cookies */
	if (!sockdiag_listeners(LB_PROTO_UDP, 0, &datagram))
		sockdiag_free(&datagram);
	if (!inspect_listeners(0, true, &inspected)) {
		look_at(plan, runners, LB_PROTO_TCP, &inspected);
		look_at(plan, runners, LB_PROTO_UDP, &inspected);
	}
	inspect_free(&inspected);
}
