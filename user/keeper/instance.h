/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a keeper takes for its service on this host: the name, and a cgroup for the workers. */
#ifndef INSTANCE_H
#define INSTANCE_H

#include <limits.h>
#include <stdbool.h>

#include "base/trouble.h"

struct instance {
	char cgroup_parent[PATH_MAX], cgroup_path[PATH_MAX];
	int cgroup_fd;
	int lock_fd;   /* while it is open, no other keeper has the name */
	bool is_first; /* no earlier keeper had this service */
};

/*
 * These return EXIT_DONE, or the status of *trouble. The descriptors are the caller's to close,
 * also after a failure; they are -1 where there is none. `runs` is for lbctl run, else it is watch.
 */
int instance_lock(struct instance *instance, const char *name, bool runs, struct trouble *trouble);
/* For lbctl run, once it has the lock. */
int instance_open_workers(struct instance *instance, const char *name, struct trouble *trouble);

#endif
