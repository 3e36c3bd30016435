// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See census.h. */
#include "service/census.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "host/netns.h"

/* What was asked for, and what came of it. */
struct census_part {
	struct census_part *next;
	uint64_t netns;
	uint16_t port; /* 0 = all */
	enum group_detail detail;
	int err;
	struct groups groups;
};

static void look(struct census_part *part)
{
	_cleanup_close_ int netns = -1;

	part->err = netns_find(part->netns, &netns);
	if (!part->err)
		part->err = groups_find(netns, part->port, 0, part->detail, &part->groups);
}

/* NULL without memory. */
static struct census_part *part_for(struct census *census, const struct census_part *wanted)
{
	struct census_part *part;

	for (part = census->parts; part; part = part->next) {
		if (part->netns == wanted->netns && part->port == wanted->port &&
		    part->detail == wanted->detail)
			return part;
	}
	part = malloc(sizeof(*part));
	if (!part)
		return NULL;
	*part = *wanted;
	part->next = census->parts;
	census->parts = part;
	look(part);
	return part;
}

int census_find(struct census *census, const struct lb_listener *listener, enum group_detail detail,
		const struct groups **groups)
{
	struct census_part *part, wanted = {
		.netns = listener->netns,
		.port = listener->port,
		.detail = detail | (listener->proto == LB_PROTO_UDP ? GROUP_UDP : 0),
	};

	/* connections of other ports are nobody's here */
	if (census->of_all && !(detail & GROUP_LIVE)) {
		wanted.port = 0;
		wanted.detail |= GROUP_UDP;
	}
	part = part_for(census, &wanted);
	if (!part)
		return -ENOMEM;
	*groups = &part->groups;
	return part->err;
}

void census_free(struct census *census)
{
	struct census_part *part, *next;

	for (part = census->parts; part; part = next) {
		next = part->next;
		groups_free(&part->groups);
		free(part);
	}
	census->parts = NULL;
}
