// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See instance.h. */
#include "keeper/instance.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/cgroup.h"
#include "keeper/leftovers.h"
#include "keeper/run_files.h"
#include "service/state.h"

/* Its files are root's. */
static int can_not_lock(bool runs, int err, struct trouble *trouble)
{
	const struct passwd *user = geteuid() ? getpwuid(geteuid()) : NULL;
	char workers[128] = "";

	if (runs && user)
		snprintf(workers, sizeof(workers),
			 ", and with run --user %.32s the workers are %.32s's all the same",
			 user->pw_name, user->pw_name);
	if (user && (err == -EACCES || err == -EPERM))
		return trouble_set(trouble, EXIT_NOT_ABLE,
				   "user %s can't use " RUN_FILES_DIR
				   " (%s); start it as root (sudo)%s",
				   user->pw_name, strerror(-err), workers);
	return trouble_set(trouble, EXIT_NOT_ABLE,
			   "can't make its files in " RUN_FILES_DIR ": %s; start it as root, where "
			   "/run can be written to and has room",
			   strerror(-err));
}

/* Who runs wants workers of its own, who watches what the other one does already. */
static int is_kept(const char *name, bool runs, pid_t holder, struct trouble *trouble)
{
	bool by_run = leftovers_are_of_run(name);

	if (!runs)
		return trouble_set(trouble, EXIT_FAILED,
				   "lbctl %s (pid %d) keeps it already; lbctl events %s shows what "
				   "happens",
				   by_run ? "run" : "watch", holder, name);
	return trouble_set(trouble, EXIT_FAILED,
			   "the name is in use: lbctl %s (pid %d) keeps that service; take another "
			   "--name, or lbctl %s %s",
			   by_run ? "run" : "watch", holder, by_run ? "stop" : "detach --force",
			   name);
}

int instance_lock(struct instance *instance, const char *name, bool runs, struct trouble *trouble)
{
	pid_t holder;

	instance->lock_fd = run_files_lock(name, &holder);
	if (instance->lock_fd == -EWOULDBLOCK)
		return is_kept(name, runs, holder, trouble);
	if (instance->lock_fd < 0)
		return can_not_lock(runs, instance->lock_fd, trouble);
	return EXIT_DONE;
}

/* A service of this name that no lbctl run made is somebody's whom we must not disturb. */
static int refuse_attached(struct instance *instance, const char *name, struct trouble *trouble)
{
	char path[RUN_FILES_PATH_BYTES];
	struct state state;

	run_files_path(name, "cgroup", path);
	instance->is_first = access(path, F_OK);
	if (!instance->is_first || state_open(&state, name, STATE_READ))
		return EXIT_DONE;
	state_close(&state);
	return trouble_set(
		trouble, EXIT_FAILED,
		"the name is in use: lbctl attach made that service; take another --name, or "
		"lbctl detach %s",
		name);
}

/*
 * The cgroup of an earlier keeper of this service, if there is one, else a new one below our own.
 */
static int open_cgroup(struct instance *instance, const char *name, struct trouble *trouble)
{
	char child[LB_NAME_MAX + 8];

	if (run_files_read_cgroup(name, instance->cgroup_parent) &&
	    cgroup_own(instance->cgroup_parent))
		return trouble_set(
			trouble, EXIT_NOT_ABLE,
			"no cgroup v2: mount one (mount -t cgroup2 none /sys/fs/cgroup), or "
			"start the workers yourself and use lbctl attach");
	snprintf(child, sizeof(child), "lbctl-%s", name);
	if (snprintf(instance->cgroup_path, sizeof(instance->cgroup_path), "%s/%s",
		     instance->cgroup_parent, child) >= (int)sizeof(instance->cgroup_path))
		return trouble_set(trouble, EXIT_NOT_ABLE, "the path of its cgroup is too long");
	instance->cgroup_fd = cgroup_make(instance->cgroup_parent, child);
	if (instance->cgroup_fd == -EROFS)
		return trouble_set(trouble, EXIT_NOT_ABLE,
				   "can't make a cgroup in %s: it is mounted read-only; mount it "
				   "read-write, or start the workers yourself and use lbctl attach",
				   instance->cgroup_parent);
	if (instance->cgroup_fd < 0)
		return trouble_set(trouble, EXIT_NOT_ABLE,
				   "can't make a cgroup in %s: %s; run as root, or in a unit with "
				   "Delegate=yes",
				   instance->cgroup_parent, strerror(-instance->cgroup_fd));
	run_files_write_cgroup(name, instance->cgroup_parent);
	return EXIT_DONE;
}

int instance_open_workers(struct instance *instance, const char *name, struct trouble *trouble)
{
	int status = refuse_attached(instance, name, trouble);

	return status ? status : open_cgroup(instance, name, trouble);
}
