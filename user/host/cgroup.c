// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See cgroup.h. */
#include "host/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"

#define HANDLE_KERNFS 0xfe /* FILEID_KERNFS, the kernel's own */
#define MAX_DEPTH 64

int cgroup_read_mounts(FILE *mounts, char out[PATH_MAX])
{
	struct mntent *entry;

	while ((entry = getmntent(mounts))) {
		if (strcmp(entry->mnt_type, "cgroup2"))
			continue;
		if (strlen(entry->mnt_dir) >= PATH_MAX)
			return -ENAMETOOLONG;
		strcpy(out, entry->mnt_dir);
		return 0;
	}
	return -ENOENT;
}

int cgroup_mount(char out[PATH_MAX])
{
	_cleanup_fclose_ FILE *mounts = fopen("/proc/self/mounts", "re");

	return mounts ? cgroup_read_mounts(mounts, out) : -errno;
}

int cgroup_read_own(FILE *file, char out[PATH_MAX])
{
	_cleanup_free_ char *line = NULL;
	size_t room = 0, len;

	while (getline(&line, &room, file) > 0) {
		if (strncmp(line, "0::", 3))
			continue;
		line[strcspn(line, "\n")] = '\0';
		len = strlen(out);
		if (len + strlen(line + 3) >= PATH_MAX)
			return -ENAMETOOLONG;
		/* "/" and anything outside of a cgroup namespace mean the mount itself */
		if (strcmp(line + 3, "/") && strncmp(line + 3, "/..", 3))
			strcpy(out + len, line + 3);
		return 0;
	}
	return -ENOENT;
}

int cgroup_own(char out[PATH_MAX])
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/cgroup", "re");
	int err;

	if (!file)
		return -errno;
	err = cgroup_mount(out);
	return err ? err : cgroup_read_own(file, out);
}

int cgroup_make(const char *parent, const char *name)
{
	_cleanup_close_ int dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd;

	if (dir < 0)
		return -errno;
	if (mkdirat(dir, name, 0755) && errno != EEXIST)
		return -errno;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int cgroup_move_self(int dir_fd)
{
	_cleanup_close_ int fd = openat(dir_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, "0", 1) < 0 ? -errno : 0;
}

pid_t cgroup_fork(int dir_fd, uint64_t flags, int *pidfd)
{
	struct clone_args args = {
		.flags = flags | CLONE_PIDFD | CLONE_INTO_CGROUP | CLONE_CLEAR_SIGHAND,
		.pidfd = (uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = dir_fd,
	};
	pid_t pid = syscall(__NR_clone3, &args, sizeof(args));

	return pid < 0 ? -errno : pid;
}

uint64_t cgroup_id(int dir_fd)
{
	struct stat st;

	/* on kernfs with 64-bit inode numbers the two are the same */
	return fstat(dir_fd, &st) ? 0 : st.st_ino;
}

static int open_mount(void)
{
	char mount[PATH_MAX];
	int err = cgroup_mount(mount), fd;

	if (err)
		return err;
	fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A cgroup's file handle is its id. */
static int open_by_id(int mount_fd, uint64_t id)
{
	union {
		struct file_handle handle;
		char bytes[sizeof(struct file_handle) + sizeof(id)];
	} at = { .handle = { .handle_bytes = sizeof(id), .handle_type = HANDLE_KERNFS } };
	int fd;

	memcpy(at.handle.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(mount_fd, &at.handle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int find_below(int parent_fd, uint64_t id)
{
	_cleanup_closedir_ DIR *dir = opendir_at(parent_fd, ".");
	struct dirent *entry;
	int found = -ENOENT;

	while (dir && found < 0 && (entry = readdir(dir))) {
		_cleanup_close_ int child = -1;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		child = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (child >= 0)
			found = cgroup_id(child) == id ? fd_steal(&child) : find_below(child, id);
	}
	return found;
}

int cgroup_open(uint64_t id)
{
	_cleanup_close_ int mount = open_mount();
	int fd;

	if (mount < 0)
		return mount;
	if (cgroup_id(mount) == id)
		return fd_steal(&mount);
	fd = open_by_id(mount, id);
	if (fd == -EPERM)
		fd = find_below(mount, id);
	return fd == -ESTALE ? -ENOENT : fd;
}

/* Ids from the directory up to the topmost one that is visible. Returns their number. */
static size_t ancestors(int dir_fd, uint64_t ids[MAX_DEPTH])
{
	_cleanup_close_ int fd = openat(dir_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat at, above;
	size_t n = 0;
	int up;

	if (fd < 0 || fstat(fd, &at))
		return 0;
	while (n < MAX_DEPTH) {
		ids[n++] = at.st_ino;
		up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (up < 0)
			break;
		close_fd(&fd);
		fd = up;
		if (fstat(fd, &above) || above.st_dev != at.st_dev || above.st_ino == at.st_ino)
			break;
		at = above;
	}
	return n;
}

bool cgroup_is_within(int dir_fd, uint64_t id)
{
	uint64_t ids[MAX_DEPTH];
	size_t n = ancestors(dir_fd, ids);

	for (size_t i = 0; i < n; i++) {
		if (ids[i] == id)
			return true;
	}
	return false;
}

int cgroup_open_common(const uint64_t *ids, size_t n)
{
	_cleanup_close_ int common = n ? cgroup_open(ids[0]) : -ENOENT;
	uint64_t line[MAX_DEPTH];
	size_t depth, level = 0;

	if (common < 0)
		return open_mount();
	depth = ancestors(common, line);
	for (size_t i = 1; i < n; i++) {
		_cleanup_close_ int other = ids[i] == ids[0] ? -1 : cgroup_open(ids[i]);

		if (ids[i] == ids[0])
			continue;
		if (other < 0)
			return open_mount();
		while (level < depth && !cgroup_is_within(other, line[level]))
			level++;
	}
	if (!level)
		return fd_steal(&common);
	return level < depth ? cgroup_open(line[level]) : open_mount();
}

int cgroup_pids(int dir_fd, pid_t **pids)
{
	_cleanup_fclose_ FILE *file = NULL;
	int fd = openat(dir_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC), n = 0;
	pid_t *grown;
	long pid;

	*pids = NULL;
	if (fd < 0)
		return -errno;
	file = fdopen(fd, "r");
	if (!file) {
		close(fd);
		return -ENOMEM;
	}
	while (fscanf(file, "%ld", &pid) == 1) {
		grown = realloc(*pids, (n + 1) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		*pids = grown;
		grown[n++] = pid;
	}
	return n;
}

static int each_at(int parent_fd, const char *name, int (*visit)(pid_t pid, void *arg), void *arg)
{
	_cleanup_closedir_ DIR *dir = opendir_at(parent_fd, name);
	_cleanup_free_ pid_t *pids = NULL;
	struct dirent *entry;
	int n, err, one;

	if (!dir)
		return -ENOENT;
	n = cgroup_pids(dirfd(dir), &pids);
	err = n < 0 ? n : 0;
	for (int i = 0; i < n; i++) {
		one = visit(pids[i], arg);
		err = one ? one : err;
	}
	while ((entry = readdir(dir))) {
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
		    each_at(dirfd(dir), entry->d_name, visit, arg) == -EPERM)
			err = -EPERM;
	}
	return err;
}

int cgroup_each(int dir_fd, int (*visit)(pid_t pid, void *arg), void *arg)
{
	return each_at(dir_fd, ".", visit, arg);
}

/* A process that is not seen in our pid namespace has number 0. */
static int send_signal(pid_t pid, void *arg)
{
	const int *number = arg;

	return pid > 0 && kill(pid, *number) && errno != ESRCH ? -errno : 0;
}

int cgroup_signal(int dir_fd, int signal_number)
{
	return cgroup_each(dir_fd, send_signal, &signal_number);
}

static int count_one(pid_t pid, void *arg)
{
	unsigned int *count = arg;

	(void)pid;
	++*count;
	return 0;
}

unsigned int cgroup_count(int dir_fd)
{
	unsigned int count = 0;

	cgroup_each(dir_fd, count_one, &count);
	return count;
}

int cgroup_events(int dir_fd)
{
	int fd = openat(dir_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int cgroup_is_populated(int dir_fd)
{
	_cleanup_close_ int fd = cgroup_events(dir_fd);
	char text[128];
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	return strstr(text, "populated 1") != NULL;
}

int cgroup_kill(int dir_fd)
{
	_cleanup_close_ int fd = openat(dir_fd, "cgroup.kill", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "1", 1) == 1)
		return 0;
	return cgroup_signal(dir_fd, SIGKILL);
}

/* Depth first: a cgroup with children can't be removed. */
static int remove_at(int parent_fd, const char *name)
{
	_cleanup_closedir_ DIR *dir = opendir_at(parent_fd, name);
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			remove_at(dirfd(dir), entry->d_name);
	}
	return unlinkat(parent_fd, name, AT_REMOVEDIR) ? -errno : 0;
}

void cgroup_note(int dir_fd, const char *attribute, const char *note)
{
	fsetxattr(dir_fd, attribute, note, strlen(note), 0);
}

void cgroup_read_note(int dir_fd, const char *attribute, char *note, size_t bytes)
{
	ssize_t n = fgetxattr(dir_fd, attribute, note, bytes - 1);

	note[n > 0 ? n : 0] = '\0';
}

int cgroup_remove(const char *parent, const char *name)
{
	_cleanup_close_ int dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return dir < 0 ? -errno : remove_at(dir, name);
}

unsigned int cgroup_read_cpus(FILE *file)
{
	unsigned long quota, period;
	uint64_t cpus;

	if (fscanf(file, "%lu %lu", &quota, &period) != 2 || !period)
		return 0;
	cpus = quota / period + (quota % period != 0);
	return cpus < UINT_MAX ? cpus : UINT_MAX;
}

/* Of one directory. */
static unsigned int read_limit(const char *dir)
{
	char path[PATH_MAX + 16];
	_cleanup_fclose_ FILE *file = NULL;

	snprintf(path, sizeof(path), "%s/cpu.max", dir);
	file = fopen(path, "re");
	return file ? cgroup_read_cpus(file) : 0;
}

unsigned int cgroup_cpus(void)
{
	char dir[PATH_MAX], mount[PATH_MAX], *slash;
	unsigned int cpus = 1, limit;
	cpu_set_t set;

	if (!sched_getaffinity(0, sizeof(set), &set))
		cpus = CPU_COUNT(&set);
	if (cgroup_own(dir) || cgroup_mount(mount))
		return cpus;
	/* a limit on any level holds for all below */
	while (strlen(dir) >= strlen(mount)) {
		limit = read_limit(dir);
		if (limit && limit < cpus)
			cpus = limit;
		slash = strrchr(dir, '/');
		if (!slash || slash == dir)
			break;
		*slash = '\0';
	}
	return cpus ? cpus : 1;
}
