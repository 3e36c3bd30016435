// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See cgroup.h. */
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

int cgroup_mount(char out[PATH_MAX])
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *entry;
	int err = -ENOENT;

	if (!mounts)
		return -errno;
	while (err && (entry = getmntent(mounts))) {
		if (strcmp(entry->mnt_type, "cgroup2"))
			continue;
		snprintf(out, PATH_MAX, "%s", entry->mnt_dir);
		err = 0;
	}
	endmntent(mounts);
	return err;
}

int cgroup_own(char out[PATH_MAX])
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/cgroup", "re");
	_cleanup_free_ char *line = NULL;
	size_t room = 0, len;
	ssize_t n;
	int err;

	if (!file)
		return -errno;
	err = cgroup_mount(out);
	if (err)
		return err;
	while ((n = getline(&line, &room, file)) > 0) {
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

uint64_t cgroup_id(int dir_fd)
{
	struct stat st;

	/* on kernfs with 64-bit inode numbers the two are the same */
	return fstat(dir_fd, &st) ? 0 : st.st_ino;
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

int cgroup_signal(int dir_fd, int signal_number)
{
	_cleanup_free_ pid_t *pids = NULL;
	int n = cgroup_pids(dir_fd, &pids);

	for (int i = 0; i < n; i++) {
		if (pids[i] > 0)
			kill(pids[i], signal_number);
	}
	return n < 0 ? n : 0;
}

/* Depth first: a cgroup with children can't be removed. */
static int remove_at(int parent_fd, const char *name)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(dir))) {
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			remove_at(fd, entry->d_name);
	}
	return unlinkat(parent_fd, name, AT_REMOVEDIR) ? -errno : 0;
}

int cgroup_remove(const char *parent, const char *name)
{
	_cleanup_close_ int dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return dir < 0 ? -errno : remove_at(dir, name);
}

/* cpu.max of one directory: "max 100000" or "150000 100000". Returns CPUs, or 0 = no limit. */
static unsigned int read_limit(const char *dir)
{
	char path[PATH_MAX + 16];
	_cleanup_fclose_ FILE *file = NULL;
	unsigned long quota, period;

	snprintf(path, sizeof(path), "%s/cpu.max", dir);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%lu %lu", &quota, &period) != 2 || !period)
		return 0;
	return (quota + period - 1) / period;
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
