// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See files.h. */
#include "keeper/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

void keeper_path(const char *name, const char *ending, char out[KEEPER_PATH_BYTES])
{
	snprintf(out, KEEPER_PATH_BYTES, KEEPER_DIR "/%s.%s", name, ending);
}

void keeper_remove_files(const char *name)
{
	static const char *const endings[] = { "notify", "sock", "cgroup", "cgroup-new", "lock" };
	char path[KEEPER_PATH_BYTES];

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		keeper_path(name, endings[i], path);
		unlink(path);
	}
}

/* Who held the lock before may have removed the file that we opened. */
static bool is_at(int fd, const char *path)
{
	struct stat ours, there;

	return !fstat(fd, &ours) && !stat(path, &there) && ours.st_ino == there.st_ino &&
	       ours.st_dev == there.st_dev;
}

static pid_t read_holder(int fd)
{
	char pid[16] = "";

	return pread(fd, pid, sizeof(pid) - 1, 0) > 0 ? atoi(pid) : 0;
}

int keeper_lock(const char *name, pid_t *holder)
{
	char path[KEEPER_PATH_BYTES], pid[16];

	*holder = 0;
	if (mkdir(KEEPER_DIR, 0755) && errno != EEXIST)
		return -errno;
	keeper_path(name, "lock", path);
	for (;;) {
		_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB)) {
			*holder = read_holder(fd);
			return -errno;
		}
		if (!is_at(fd, path))
			continue;
		snprintf(pid, sizeof(pid), "%d", getpid());
		if (ftruncate(fd, 0) || pwrite(fd, pid, strlen(pid), 0) < 0)
			return -errno;
		return fd_steal(&fd);
	}
}

int keeper_read_cgroup(const char *name, char parent[PATH_MAX])
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[KEEPER_PATH_BYTES];
	struct stat st;

	keeper_path(name, "cgroup", path);
	file = fopen(path, "re");
	if (!file || !fgets(parent, PATH_MAX, file))
		return -ENOENT;
	parent[strcspn(parent, "\n")] = '\0';
	return stat(parent, &st) ? -ENOENT : 0;
}

void keeper_write_cgroup(const char *name, const char *parent)
{
	char path[KEEPER_PATH_BYTES], fresh[KEEPER_PATH_BYTES];
	FILE *file;
	bool written;

	keeper_path(name, "cgroup", path);
	keeper_path(name, "cgroup-new", fresh);
	file = fopen(fresh, "we");
	if (!file)
		return;
	written = fprintf(file, "%s\n", parent) > 0;
	/* the old one stays where there is no room for the new one */
	if (fclose(file) || !written || rename(fresh, path))
		unlink(fresh);
}
