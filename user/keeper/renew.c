// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* New processes for workers that run: can they be had without a gap in the service? */
#include <stdio.h>

#include "keeper/alone.h"
#include "keeper/parts.h"

#define PORTS_BYTES 160

static bool others_serve(const struct plan *plan, uint32_t worker)
{
	for (uint32_t w = 0; w < plan->wanted; w++) {
		if (w != worker && plan->workers[w].at[ROLE_CURRENT].state == LIFE_ONLINE)
			return true;
	}
	return false;
}

/* As --port wants them. */
static void name_ports(const struct keeper *keeper, char out[PORTS_BYTES])
{
	struct own_port ports[OWN_MOST_PORTS];
	uint32_t count = own_ports(&keeper->own, ports);
	size_t len = 0;

	*out = '\0';
	for (uint32_t i = 0; i < count && len < PORTS_BYTES; i++)
		len += snprintf(out + len, PORTS_BYTES - len, "%s%u,",
				ports[i].proto == LB_PROTO_UDP ? "udp/" : "", ports[i].port);
}

/*
 * One that has a port for itself ends before its successor begins. Connections wait meanwhile in
 * sockets of --listen, or go to other workers; without either they are refused.
 */
static bool leaves_a_gap(const struct keeper *keeper, uint32_t worker, char why[RENEW_BYTES])
{
	const struct process *current = &keeper->plan.workers[worker].at[ROLE_CURRENT];
	const struct runner *runner = runner_find(&keeper->runners, worker, current->generation);
	char ports[PORTS_BYTES];
	const char *udp;

	/* one that makes others itself goes on */
	if (!runner || !current->alone || keeper->options.reload_signal ||
	    current->state != LIFE_ONLINE || keeper->options.nr_listens ||
	    others_serve(&keeper->plan, worker))
		return false;
	udp = runner->alone.udp ? "udp/" : "";
	name_ports(keeper, ports);
	snprintf(why, RENEW_BYTES,
		 "worker %u has port %s%u, which one process can have, so it would have to end "
		 "before its successor begins, and no other worker serves meanwhile: stop it, and "
		 "run it with --port %s%s%u (all of them are shared) or --offset-port %s%u (for "
		 "worker w, %u+w)",
		 worker, udp, runner->alone.port, ports, udp, runner->alone.port, udp,
		 runner->alone.port, runner->alone.port);
	return true;
}

bool renew_begin(struct keeper *keeper, uint32_t worker, uint32_t parallel, uint64_t client,
		 char why[RENEW_BYTES])
{
	bool all = worker == LB_ALL_WORKERS;
	struct operation before;

	alone_look(&keeper->plan, &keeper->runners);
	for (uint32_t w = all ? 0 : worker; w < (all ? keeper->plan.wanted : worker + 1); w++) {
		if (leaves_a_gap(keeper, w, why))
			return false;
	}
	before = all ? plan_reload(&keeper->plan, parallel, client) :
		       plan_restart(&keeper->plan, worker, client);
	execute_begun(keeper, &before);
	return true;
}
