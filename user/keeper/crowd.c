// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See crowd.h. */
#include "keeper/crowd.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Compared byte by byte, so there is no padding. */
struct place {
	struct runner *runner;
	uint32_t ifindex;
	uint32_t family;
	uint8_t addr[16];
};

static int compare_places(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct place));
}

static size_t collect(const struct own *own, const struct sockdiag_list *list, struct place *places)
{
	size_t n = 0;

	for (size_t i = 0; i < list->count; i++) {
		const struct sockdiag_socket *socket = &list->items[i];
		struct runner *runner = runner_of_cgroup(own->runners, socket->cgroup_id);

		if (!runner || socket->proto != LB_PROTO_TCP || socket->state != TCP_LISTEN)
			continue;
		places[n] = (struct place){ .runner = runner,
					    .ifindex = socket->ifindex,
					    .family = socket->family };
		memcpy(places[n++].addr, socket->addr, sizeof(socket->addr));
	}
	return n;
}

void crowd_look(const struct own *own, const struct sockdiag_list *list)
{
	_cleanup_free_ struct place *places = calloc(list->count + 1, sizeof(*places));
	size_t n = places ? collect(own, list, places) : 0;

	if (n)
		qsort(places, n, sizeof(*places), compare_places);
	for (size_t i = 0, same = 1; i < n; i++, same++) {
		struct runner_crowd *crowd = &places[i].runner->crowd;

		if (i && compare_places(&places[i - 1], &places[i]))
			same = 1;
		if (same > 1 && same > crowd->sockets)
			*crowd = (struct runner_crowd){ same, list->items[0].port };
	}
}
