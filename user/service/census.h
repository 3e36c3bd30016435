/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sockets of services, looked up once for all who ask in one look: to find whose a socket is
 * takes a walk over all descriptors of all processes, and many services can share one.
 */
#ifndef CENSUS_H
#define CENSUS_H

#include "host/group.h"
#include "lb_abi.h"

struct census_part;

struct census {
	/*
	 * For many services: then a namespace is looked at once, on all ports. For one alone that
	 * would take longer than a look at its ports.
	 */
	bool of_all;
	struct census_part *parts; /* that it has, the last one first */
};

/*
 * The groups that are on a listener's port, and maybe others, with the waiting listeners among
 * their members; `detail` is 0, or GROUP_LIVE for its connections. They are as they were when the
 * census was asked first, and its own. Returns 0; -ENOENT where nobody is in the listener's
 * namespace any more; -EPERM, -ENOMEM or what groups_find() returns.
 */
int census_find(struct census *census, const struct lb_listener *listener, enum group_detail detail,
		const struct groups **groups);

/* Forgets all of it; the next question is a new look. */
void census_free(struct census *census);

#endif
