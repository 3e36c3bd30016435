/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The groups of sockets on this host that a request to attach means. */
#ifndef WANTED_H
#define WANTED_H

#include "base/addr.h"
#include "base/trouble.h"
#include "host/group.h"
#include "lb_abi.h"

struct wanted {
	const struct addr *addrs;
	size_t nr_addrs;
	int netns_fd;		 /* where to look, -1 = here */
	pid_t pid;		 /* only sockets of this process; 0 = all */
	struct trouble *trouble; /* why something failed */
	struct groups found;
	struct reuseport_group *items[LB_MAX_LISTENERS]; /* into found */
	size_t count;
};

/*
 * Finds the groups of each address that was written: every one must mean one at least, which can be
 * steered as it is. Returns EXIT_DONE, or the status of wanted->trouble. The caller frees
 * wanted->found, also then.
 */
int wanted_find(struct wanted *wanted);

/* One more, of wanted->found; what is wanted already is so once. Returns as wanted_find(). */
int wanted_add(struct wanted *wanted, struct reuseport_group *group);

/*
 * Is the group one socket that several processes share? Then there is nothing to choose from, and
 * the trouble says so, with what would change it. Returns EXIT_DONE or EXIT_FAILED.
 */
int wanted_check_shared(const struct reuseport_group *group, struct trouble *trouble);

#endif
