// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What to tell about a service's state that can't be opened or made. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/suggest.h"
#include "host/locks.h"
#include "service/state.h"

static int no_such_service(struct trouble *trouble, const char *service)
{
	_cleanup_free_ char(*names)[LB_NAME_MAX + 1] = NULL;
	_cleanup_free_ const char **list = NULL;
	const char *nearest = NULL;
	size_t n = 0;

	if (!state_names(&names, &n) && n)
		list = calloc(n, sizeof(*list));
	for (size_t i = 0; list && i < n; i++)
		list[i] = names[i];
	if (list)
		nearest = suggest(service, list, n);
	if (nearest)
		return trouble_set(trouble, EXIT_NOT_FOUND,
				   "no such service (did you mean \"%s\"? lbctl list shows all)",
				   nearest);
	return trouble_set(trouble, EXIT_NOT_FOUND,
			   n ? "no such service; lbctl list shows all" :
			       "no such service; there is none: lbctl run -- CMD starts one, "
			       "lbctl attach ADDR takes a running server over");
}

/* Whoever it is, it is not told by waiting longer. */
static int is_locked(struct trouble *trouble, const char *service)
{
	char path[STATE_DIR_BYTES];
	pid_t holder;

	snprintf(path, sizeof(path), STATE_ROOT "/%s", service);
	holder = locks_holder(path);
	if (!holder)
		holder = locks_holder(STATE_ROOT);
	if (!holder)
		return trouble_set(trouble, EXIT_FAILED,
				   "another lbctl has been changing services for %d s; look for it "
				   "with ps, then try again",
				   STATE_LOCK_MS / 1000);
	return trouble_set(trouble, EXIT_FAILED,
			   "process %d has held the lock for %d s, as an lbctl does that changes "
			   "services; see what it is (ps -fp %d), end it, then try again",
			   holder, STATE_LOCK_MS / 1000, holder);
}

int state_trouble(struct trouble *trouble, const char *service, int err)
{
	switch (err) {
	case -ENOENT:
		return no_such_service(trouble, service);
	case -EEXIST:
		return trouble_set(
			trouble, EXIT_FAILED,
			"service %s exists already; detach it first or take another --name",
			service);
	case -ENODEV:
		return trouble_set(trouble, EXIT_NOT_ABLE,
				   "no bpf file system at " STATE_BPFFS
				   "; mount one: mount -t bpf bpf " STATE_BPFFS
				   " (in a container: bind the host's)");
	case -EPERM:
	case -EACCES:
		return trouble_set(trouble, EXIT_NOT_ABLE,
				   "may not use what is below " STATE_BPFFS
				   "; run as root (lbctl doctor shows what is missing)");
	case -ESTALE:
		return trouble_set(
			trouble, EXIT_FAILED,
			"service %s was made by another version of lbctl (this one speaks "
			"version %d); get out with: lbctl detach %s, then attach again",
			service, LB_ABI_VERSION, service);
	case -EUCLEAN:
		return trouble_set(trouble, EXIT_FAILED,
				   "service %s is damaged: a pin is missing, or is not the map "
				   "or program that belongs there; get out with: lbctl detach %s, "
				   "then attach again",
				   service, service);
	case -ELOOP:
		return trouble_set(trouble, EXIT_FAILED,
				   STATE_ROOT " or %s in it is not lbctl's: it is a link, another "
					      "user's, or one that others may write to; see whose "
					      "it is, remove it, and mount bpffs with mode=0700",
				   *service ? service : "a service");
	case -EBUSY:
		return is_locked(trouble, service);
	default:
		return trouble_set(trouble, EXIT_FAILED, "%s", strerror(-err));
	}
}
