// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See run_files.h. */
#include "keeper/run_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"

void run_files_path(const char *name, const char *ending, char out[RUN_FILES_PATH_BYTES])
{
	snprintf(out, RUN_FILES_PATH_BYTES, RUN_FILES_DIR "/%s.%s", name, ending);
}

void run_files_remove(const char *name)
{
	static const char *const endings[] = { "notify", "sock",     "stream",	   "command",
					       "logs",	 "logs-new", "applied",	   "applied-new",
					       "ready",	 "cgroup",   "cgroup-new", "lock" };
	char path[RUN_FILES_PATH_BYTES];

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		run_files_path(name, endings[i], path);
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

/*
 * A record lock to write, as it is the process's alone: a child that outlives a killed keeper for a
 * moment must not keep the next one out.
 */
static int lock(int fd, pid_t *holder)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (!fcntl(fd, F_SETLK, &whole))
		return 0;
	if (errno != EACCES && errno != EAGAIN)
		return -errno;
	if (fcntl(fd, F_GETLK, &whole) || whole.l_type == F_UNLCK)
		return -EWOULDBLOCK;
	if (whole.l_type == F_RDLCK)
		return -EUCLEAN;
	*holder = whole.l_pid;
	return -EWOULDBLOCK;
}

/* Does nobody hold it to write? What cannot be asked counts as held. */
static bool is_unlocked(const char *path)
{
	struct flock whole = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	return fd >= 0 && !fcntl(fd, F_GETLK, &whole) && whole.l_type == F_UNLCK;
}

/* What keepers left that were killed in replace(), whose files are locked while they live. */
static void sweep(const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	_cleanup_closedir_ DIR *dir = opendir(RUN_FILES_DIR);
	char left[RUN_FILES_PATH_BYTES + 16];
	const struct dirent *entry;
	size_t len = strlen(name);
	uint64_t pid;

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, name, len) || entry->d_name[len] != '-' ||
		    parse_u64(entry->d_name + len + 1, 1, INT_MAX, &pid))
			continue;
		snprintf(left, sizeof(left), "%s-%u", path, (unsigned int)pid);
		if (is_unlocked(left))
			unlink(left);
	}
}

/*
 * An earlier version let everybody read the file, and so lock it to read: who does keeps that file,
 * and ours takes its place, locked before it is seen. Where another keeper was faster, its file is
 * what we exchanged ours for, and is put back. Returns the descriptor of ours or -errno.
 */
static int replace(const char *path, int strange)
{
	_cleanup_close_ int fd = -1;
	char fresh[RUN_FILES_PATH_BYTES + 16];
	pid_t nobody;
	int err;

	snprintf(fresh, sizeof(fresh), "%s-%d", path, getpid());
	unlink(fresh);
	fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = lock(fd, &nobody);
	if (!err && renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_EXCHANGE))
		err = -errno;
	if (!err && !is_at(strange, fresh)) {
		renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_EXCHANGE);
		err = -EWOULDBLOCK;
	}
	unlink(fresh);
	return err ? err : fd_steal(&fd);
}

int run_files_lock(const char *name, pid_t *holder)
{
	char path[RUN_FILES_PATH_BYTES];
	int err;

	*holder = 0;
	if (mkdir(RUN_FILES_DIR, 0755) && errno != EEXIST)
		return -errno;
	run_files_path(name, "lock", path);
	for (;;) {
		_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

		if (fd < 0)
			return -errno;
		err = lock(fd, holder);
		if (err == -EUCLEAN && is_at(fd, path)) {
			err = replace(path, fd);
			/* before it was locked, another keeper may have swept it away */
			if (err == -ENOENT)
				continue;
			return err;
		}
		if (err && err != -EUCLEAN)
			return err;
		if (!err && is_at(fd, path)) {
			fchmod(fd, 0600);
			sweep(path);
			return fd_steal(&fd);
		}
	}
}

pid_t run_files_holder(const char *name)
{
	/* what others than keepers may hold does not get into the way of this one */
	struct flock whole = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	char path[RUN_FILES_PATH_BYTES];
	_cleanup_close_ int fd = -1;

	run_files_path(name, "lock", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fcntl(fd, F_GETLK, &whole))
		return -errno;
	if (whole.l_type == F_UNLCK)
		return 0;
	/* of another pid namespace */
	return whole.l_pid > 0 ? whole.l_pid : -EBUSY;
}

int run_files_read(const char *name, const char *ending, char line[PATH_MAX])
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[RUN_FILES_PATH_BYTES];

	run_files_path(name, ending, path);
	file = fopen(path, "re");
	if (!file || !fgets(line, PATH_MAX, file))
		return -ENOENT;
	line[strcspn(line, "\n")] = '\0';
	return 0;
}

void run_files_write(const char *name, const char *ending, const char *line)
{
	char path[RUN_FILES_PATH_BYTES], fresh[RUN_FILES_PATH_BYTES + 8];
	FILE *file;
	bool written;

	run_files_path(name, ending, path);
	snprintf(fresh, sizeof(fresh), "%s-new", path);
	file = fopen(fresh, "we");
	if (!file)
		return;
	written = fprintf(file, "%s\n", line) > 0;
	/* the old one stays where there is no room for the new one */
	if (fclose(file) || !written || rename(fresh, path))
		unlink(fresh);
}

int run_files_read_cgroup(const char *name, char parent[PATH_MAX])
{
	struct stat st;

	return run_files_read(name, "cgroup", parent) || stat(parent, &st) ? -ENOENT : 0;
}

void run_files_write_cgroup(const char *name, const char *parent)
{
	run_files_write(name, "cgroup", parent);
}
