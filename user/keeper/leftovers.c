// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See leftovers.h. */
#include "keeper/leftovers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "host/cgroup.h"
#include "host/procs.h"
#include "keeper/bindhook.h"
#include "keeper/control_client.h"
#include "keeper/run_files.h"
#include "keeper/spawn.h"
#include "service/detach.h"

#define STOP_NOTE "user.lbctl.stop" /* attribute of the service's cgroup: "3 mixed" */
#define NAP_MS 20
#define KILLED_MS 2000 /* for the kernel to take apart what was killed */

static bool has_file(const char *name, const char *ending)
{
	char path[RUN_FILES_PATH_BYTES];

	run_files_path(name, ending, path);
	return !access(path, F_OK);
}

bool leftovers_exist(const char *name)
{
	return has_file(name, "lock") || has_file(name, "cgroup") || has_file(name, "sock");
}

int leftovers_count(const char *name)
{
	char parent[PATH_MAX], path[PATH_MAX + LB_NAME_MAX + 8];
	_cleanup_close_ int fd = -1;

	if (run_files_read_cgroup(name, parent))
		return -1;
	snprintf(path, sizeof(path), "%s/lbctl-%s", parent, name);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -1 : (int)cgroup_count(fd);
}

bool leftovers_are_of_run(const char *name)
{
	return has_file(name, "cgroup");
}

bool leftovers_lack_keeper(const char *name)
{
	_cleanup_close_ int fd = -1;

	if (!leftovers_exist(name))
		return false;
	fd = control_connect(name);
	return (fd == -ENOENT || fd == -ECONNREFUSED) && !run_files_holder(name);
}

/* --- the workers --- */

void leftovers_note_stop(int cgroup_fd, int stop_signal, enum kill_mode mode)
{
	char note[32];

	snprintf(note, sizeof(note), "%d %s", stop_signal, kill_mode_name(mode));
	cgroup_note(cgroup_fd, STOP_NOTE, note);
}

struct end {
	int cgroup_fd; /* of the service */
	int stop_signal;
	enum kill_mode mode;
	pid_t *told; /* who was told to end */
	size_t nr_told;
};

bool leftovers_parse_stop(const char *note, int *stop_signal, enum kill_mode *mode)
{
	const char *space = strchr(note, ' ');
	int known = space ? kill_mode_parse(space + 1) : -EINVAL;
	uint64_t number;
	char digits[8];

	if (known < 0 || space - note >= (int)sizeof(digits))
		return false;
	snprintf(digits, sizeof(digits), "%.*s", (int)(space - note), note);
	if (parse_u64(digits, 1, SIGRTMAX, &number))
		return false;
	*stop_signal = number;
	*mode = known;
	return true;
}

static void read_stop(struct end *end)
{
	char note[32];

	cgroup_read_note(end->cgroup_fd, STOP_NOTE, note, sizeof(note));
	leftovers_parse_stop(note, &end->stop_signal, &end->mode);
}

static bool was_told(const struct end *end, pid_t pid)
{
	for (size_t i = 0; i < end->nr_told; i++) {
		if (end->told[i] == pid)
			return true;
	}
	return false;
}

static int tell(struct end *end, pid_t pid)
{
	pid_t *grown = reallocarray(end->told, end->nr_told + 1, sizeof(*grown));
	int err;

	if (!grown)
		return -ENOMEM;
	end->told = grown;
	grown[end->nr_told++] = pid;
	err = spawn_signal(pid, false, (uid_t)-1, end->stop_signal);
	return err == -ESRCH ? 0 : err;
}

/* Of one worker the main process; once that is gone, all that is left. */
static int tell_worker(struct end *end, const char *name, bool first)
{
	_cleanup_close_ int fd = openat(end->cgroup_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ pid_t *pids = NULL;
	int n = fd < 0 ? 0 : cgroup_pids(fd, &pids), err = 0;
	pid_t main = n > 0 ? procs_first_started(pids, n) : 0;

	if (!main || was_told(end, main))
		return 0;
	if (first)
		return tell(end, main);
	for (int i = 0; i < n && !err; i++)
		err = tell(end, pids[i]);
	return err;
}

static int tell_workers(struct end *end, bool first)
{
	_cleanup_closedir_ DIR *dir = opendir_at(end->cgroup_fd, ".");
	struct dirent *entry;
	int err = 0;

	while (dir && !err && (entry = readdir(dir))) {
		if (entry->d_type == DT_DIR && entry->d_name[0] == 'w')
			err = tell_worker(end, entry->d_name, first);
	}
	return err;
}

static bool is_empty_within(struct end *end, unsigned int ms)
{
	const struct timespec nap = { .tv_nsec = NAP_MS * 1000 * 1000 };

	for (unsigned int waited_ms = 0; cgroup_count(end->cgroup_fd); waited_ms += NAP_MS) {
		if (waited_ms >= ms)
			return false;
		nanosleep(&nap, NULL);
		if (end->mode == KILL_MIXED)
			tell_workers(end, false);
	}
	return true;
}

static int end_workers(int cgroup_fd, unsigned int kill_timeout_ms, struct trouble *trouble)
{
	struct end end = { .cgroup_fd = cgroup_fd, .stop_signal = SIGTERM, .mode = KILL_MIXED };
	bool empty;
	int err;

	read_stop(&end);
	err = end.mode == KILL_GROUP ? cgroup_signal(cgroup_fd, end.stop_signal) :
				       tell_workers(&end, true);
	if (err || !is_empty_within(&end, kill_timeout_ms))
		err = cgroup_kill(cgroup_fd);
	empty = is_empty_within(&end, KILLED_MS);
	free(end.told);
	if (empty)
		return EXIT_DONE;
	return trouble_set(trouble, EXIT_NOT_ABLE, "can't end its workers: %s; run as root",
			   strerror(err ? -err : EBUSY));
}

/* Takes the keeper's place. *cgroup is -1 for a service that no `lbctl run` had. */
static int open_leftovers(const char *name, char parent[PATH_MAX], int *cgroup, pid_t *holder)
{
	char child[LB_NAME_MAX + 8];
	int lock = run_files_lock(name, holder);

	snprintf(child, sizeof(child), "lbctl-%s", name);
	*cgroup = -1;
	if (lock >= 0 && !run_files_read_cgroup(name, parent))
		*cgroup = cgroup_make(parent, child);
	return lock;
}

/* What was killed a moment ago may still be on its way out. */
static int remove_cgroup(const char *name, const char *parent)
{
	const struct timespec nap = { .tv_nsec = NAP_MS * 1000 * 1000 };
	char child[LB_NAME_MAX + 8];
	int err = -EBUSY;

	snprintf(child, sizeof(child), "lbctl-%s", name);
	for (int waited_ms = 0; err == -EBUSY && waited_ms < KILLED_MS; waited_ms += NAP_MS) {
		if (waited_ms)
			nanosleep(&nap, NULL);
		err = cgroup_remove(parent, child);
	}
	return err;
}

int leftovers_remove_files(const char *name, const char *parent, int cgroup,
			   struct trouble *trouble)
{
	if (cgroup >= 0 && remove_cgroup(name, parent) == -EBUSY)
		return trouble_set(trouble, EXIT_NOT_ABLE,
				   "stopped, but processes of it live that can't be killed; as "
				   "root: lbctl stop %s",
				   name);
	bindhook_remove(name);
	run_files_remove(name);
	return EXIT_DONE;
}

int leftovers_remove(const char *name, const char *parent, int cgroup, struct trouble *trouble)
{
	int status = detach_run(name, trouble), left;

	/* it was taken off when the stop began */
	if (status == EXIT_NOT_FOUND)
		status = EXIT_DONE;
	left = leftovers_remove_files(name, parent, cgroup, trouble);
	return left ? left : status;
}

void leftovers_sweep(const char *name)
{
	_cleanup_close_ int lock = -1;
	_cleanup_close_ int cgroup = -1;
	struct trouble trouble = { 0 };
	char parent[PATH_MAX];
	pid_t holder;

	if (!leftovers_exist(name))
		return;
	lock = open_leftovers(name, parent, &cgroup, &holder);
	if (lock >= 0 && (cgroup < 0 || !cgroup_count(cgroup)))
		leftovers_remove_files(name, parent, cgroup, &trouble);
}

int leftovers_stop(const char *name, unsigned int kill_timeout_ms, unsigned int *workers,
		   struct trouble *trouble)
{
	_cleanup_close_ int lock = -1;
	_cleanup_close_ int cgroup = -1;
	char parent[PATH_MAX];
	int status = EXIT_DONE;
	pid_t holder;

	*workers = 0;
	if (!leftovers_exist(name))
		return trouble_set(trouble, EXIT_NOT_FOUND, "nothing is left of it");
	lock = open_leftovers(name, parent, &cgroup, &holder);
	if (lock == -EWOULDBLOCK)
		return trouble_set(trouble, EXIT_FAILED,
				   "lbctl (pid %d) keeps it and does not answer; end that one, "
				   "then try again",
				   holder);
	if (lock < 0)
		return trouble_set(trouble, EXIT_NOT_ABLE, RUN_FILES_DIR ": %s; run as root",
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
		status = leftovers_remove_files(name, parent, cgroup, trouble);
	return status;
}
