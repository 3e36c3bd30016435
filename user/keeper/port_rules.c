// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See port_rules.h. */
#include "keeper/port_rules.h"

#include <errno.h>
#include <stdio.h>

#define LAST_PORT 65535U

static const char *const prefixes[LB_BIND_PROTOS] = { [LB_BIND_TCP] = "", [LB_BIND_UDP] = "udp/" };

/* A port of --offset-port stands for those of all workers. */
static int check_one(const struct lb_bindhook *rules, int proto, uint32_t i, uint32_t workers,
		     char why[PORT_RULES_BYTES])
{
	const struct lb_ports *shared = &rules->shared[proto], *offsets = &rules->offsets[proto];
	uint32_t first = offsets->port[i], end = first + workers;
	const char *prefix = prefixes[proto];

	if (end - 1 > LAST_PORT)
		return snprintf(why, PORT_RULES_BYTES,
				"--offset-port %s%u gives worker %u port %u, and %u is the last "
				"there is",
				prefix, first, LAST_PORT + 1 - first, LAST_PORT + 1, LAST_PORT);
	for (uint32_t j = 0; j < shared->count; j++) {
		if (shared->port[j] >= first && shared->port[j] < end)
			return snprintf(why, PORT_RULES_BYTES,
					"--offset-port %s%u gives worker %u port %u, which --port "
					"shares",
					prefix, first, shared->port[j] - first, shared->port[j]);
	}
	for (uint32_t j = 0; j < offsets->count; j++) {
		uint32_t other = offsets->port[j];

		if (j != i && other >= first && other < end)
			return snprintf(why, PORT_RULES_BYTES,
					"--offset-port %s%u gives worker %u port %u, which "
					"--offset-port %s%u gives worker 0",
					prefix, first, other - first, other, prefix, other);
	}
	return 0;
}

int port_rules_check(const struct lb_bindhook *rules, uint32_t workers, char why[PORT_RULES_BYTES])
{
	for (int proto = 0; proto < LB_BIND_PROTOS; proto++) {
		for (uint32_t i = 0; i < rules->offsets[proto].count; i++) {
			if (check_one(rules, proto, i, workers, why))
				return -EINVAL;
		}
	}
	return 0;
}
