// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See remains.h. */
#include "keeper/remains.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "host/cgroup.h"
#include "keeper/files.h"
#include "service/detach.h"

#define NAP_MS 20
#define KILLED_MS 2000 /* for the kernel to take apart what was killed */

static bool has_file(const char *name, const char *ending)
{
	char path[KEEPER_PATH_BYTES];

	keeper_path(name, ending, path);
	return !access(path, F_OK);
}

bool remains_exist(const char *name)
{
	return has_file(name, "lock") || has_file(name, "cgroup") || has_file(name, "sock");
}

static bool is_empty_within(int cgroup_fd, unsigned int ms)
{
	const struct timespec nap = { .tv_nsec = NAP_MS * 1000 * 1000 };

	for (unsigned int waited_ms = 0; cgroup_count(cgroup_fd); waited_ms += NAP_MS) {
		if (waited_ms >= ms)
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}

static int end_workers(int cgroup_fd, unsigned int kill_timeout_ms, struct trouble *trouble)
{
	int err = 0;

	if (cgroup_signal(cgroup_fd, SIGTERM) || !is_empty_within(cgroup_fd, kill_timeout_ms))
		err = cgroup_kill(cgroup_fd);
	if (is_empty_within(cgroup_fd, KILLED_MS))
		return EXIT_DONE;
	return trouble_set(trouble, EXIT_NOT_ABLE, "can't end its workers: %s; run as root",
			   strerror(err ? -err : EBUSY));
}

/* Takes the keeper's place. *cgroup is -1 for a service that no `lbctl run` had. */
static int open_remains(const char *name, char parent[PATH_MAX], int *cgroup, pid_t *holder)
{
	char child[LB_NAME_MAX + 8];
	int lock = keeper_lock(name, holder);

	snprintf(child, sizeof(child), "lbctl-%s", name);
	*cgroup = -1;
	if (lock >= 0 && !keeper_read_cgroup(name, parent))
		*cgroup = cgroup_make(parent, child);
	return lock;
}

static void remove_remains(const char *name, const char *parent, int cgroup)
{
	char child[LB_NAME_MAX + 8];

	snprintf(child, sizeof(child), "lbctl-%s", name);
	if (cgroup >= 0)
		cgroup_remove(parent, child);
	keeper_remove_files(name);
}

void remains_sweep(const char *name)
{
	_cleanup_close_ int lock = -1;
	_cleanup_close_ int cgroup = -1;
	char parent[PATH_MAX];
	pid_t holder;

	if (!remains_exist(name))
		return;
	lock = open_remains(name, parent, &cgroup, &holder);
	if (lock >= 0 && (cgroup < 0 || !cgroup_count(cgroup)))
		remove_remains(name, parent, cgroup);
}

int remains_stop(const char *name, unsigned int kill_timeout_ms, unsigned int *workers,
		 struct trouble *trouble)
{
	_cleanup_close_ int lock = -1;
	_cleanup_close_ int cgroup = -1;
	char parent[PATH_MAX];
	int status = EXIT_DONE;
	pid_t holder;

	*workers = 0;
	if (!remains_exist(name))
		return trouble_set(trouble, EXIT_NOT_FOUND, "nothing is left of it");
	lock = open_remains(name, parent, &cgroup, &holder);
	if (lock == -EWOULDBLOCK)
		return trouble_set(trouble, EXIT_FAILED,
				   "lbctl (pid %d) keeps it and does not answer; end that one, "
				   "then try again",
				   holder);
	if (lock < 0)
		return trouble_set(trouble, EXIT_NOT_ABLE, KEEPER_DIR ": %s; run as root",
				   strerror(-lock));
	/* of a watched service the server's sockets are not ours to end */
	if (cgroup >= 0) {
		status = detach_run(name, trouble);
		if (status && status != EXIT_NOT_FOUND)
			return status;
		*workers = cgroup_count(cgroup);
		status = *workers ? end_workers(cgroup, kill_timeout_ms, trouble) : EXIT_DONE;
	}
	if (!status)
		remove_remains(name, parent, cgroup);
	return status;
}
