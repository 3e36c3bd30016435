/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A namespace is its inode on nsfs; every path that leads to one is opened, then checked. */
#include "host/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "base/parse.h"

#define SELF "/proc/thread-self/ns/net"
#define PATH_BYTES (NAME_MAX + 64)

/* Names live in the first; the second differs only where /var/run is no link to /run. */
static const char *const name_dirs[] = { "/run/netns", "/var/run/netns" };
#define NAME_DIRS (sizeof(name_dirs) / sizeof(name_dirs[0]))

struct job {
	int fd;
	int (*fn)(void *);
	void *arg;
	int result;
};

static int check_netns(int fd, uint64_t *inode)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(fd, &fs) || fstat(fd, &st))
		return -errno;
	if (fs.f_type != NSFS_MAGIC || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return -EINVAL;
	*inode = st.st_ino;
	return 0;
}

/* Returns 0 with a descriptor of a network namespace and its inode, or -errno. */
static int open_path(const char *path, int *fd, uint64_t *inode)
{
	_cleanup_close_ int opened = -1;
	int err;

	/* Not blocking: nobody says that a file in a directory of names is not a FIFO. */
	opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (opened < 0)
		return -errno;
	err = check_netns(opened, inode);
	if (err)
		return err;
	*fd = fd_steal(&opened);
	return 0;
}

static int open_pid(pid_t pid, int *fd, uint64_t *inode)
{
	char path[PATH_BYTES];
	int err;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	err = open_path(path, fd, inode);
	return err == -ENOENT ? -ESRCH : err;
}

static int open_name(const char *name, int *fd, uint64_t *inode)
{
	char path[PATH_BYTES];
	int err = -ENOENT;

	for (size_t i = 0; i < NAME_DIRS && err == -ENOENT; i++) {
		snprintf(path, sizeof(path), "%s/%s", name_dirs[i], name);
		err = open_path(path, fd, inode);
	}
	return err;
}

static const char *error_phrase(int err)
{
	switch (err) {
	case -ESRCH:
		return "no such process";
	case -ENOENT:
		return "no such name in /run/netns";
	case -EACCES:
	case -EPERM:
		return "not permitted";
	case -EINVAL:
		return "not a network namespace";
	default:
		return "cannot be opened";
	}
}

/* NULL when the text can be a name. */
static const char *name_fault(const char *text, int *err)
{
	*err = -EINVAL;
	if (!*text)
		return "empty";
	if (strchr(text, '/'))
		return "a path; give a process id or a name in /run/netns";
	if (!strcmp(text, ".") || !strcmp(text, ".."))
		return "not a name";
	*err = -ENAMETOOLONG;
	return strlen(text) > NAME_MAX ? "too long" : NULL;
}

int netns_open(const char *text, int *fd, uint64_t *inode, const char **why)
{
	uint64_t pid, found = 0;
	const char *fault;
	int err;

	fault = name_fault(text, &err);
	if (!fault) {
		if (text[strspn(text, "0123456789")])
			err = open_name(text, fd, &found);
		else if (parse_u64(text, 1, INT_MAX, &pid))
			err = -ESRCH;
		else
			err = open_pid(pid, fd, &found);
		fault = error_phrase(err);
	}
	if (err && why)
		*why = fault;
	if (!err && inode)
		*inode = found;
	return err;
}

int netns_of_self(uint64_t *inode)
{
	struct stat st;

	if (stat(SELF, &st))
		return -errno;
	*inode = st.st_ino;
	return 0;
}

/* Returns 0 when `path` led to that inode, else -errno (-ENOENT: to another one). */
static int try_path(const char *path, uint64_t inode, int *fd)
{
	_cleanup_close_ int opened = -1;
	uint64_t found;
	struct stat st;
	int err;

	/* Most paths lead elsewhere: look before opening, and look again at what was opened. */
	if (stat(path, &st))
		return -errno;
	if (st.st_ino != inode)
		return -ENOENT;
	err = open_path(path, &opened, &found);
	if (err)
		return err;
	if (found != inode)
		return -ENOENT;
	*fd = fd_steal(&opened);
	return 0;
}

/* Tries DIR/ENTRY/TAIL for all entries, or only those that are numbers. Returns as netns_find(). */
static int try_directory(const char *where, const char *tail, bool numbers, uint64_t inode, int *fd)
{
	_cleanup_closedir_ DIR *dir = opendir(where);
	const struct dirent *entry;
	char path[PATH_BYTES];
	bool refused = false;

	while (dir && (entry = readdir(dir))) {
		uint64_t pid;
		int err;

		if (entry->d_name[0] == '.')
			continue;
		if (numbers && parse_u64(entry->d_name, 1, INT_MAX, &pid))
			continue;
		snprintf(path, sizeof(path), "%s/%s%s", where, entry->d_name, tail);
		err = try_path(path, inode, fd);
		if (!err)
			return 0;
		refused |= err == -EACCES || err == -EPERM;
	}
	return refused ? -EACCES : -ENOENT;
}

int netns_find(uint64_t inode, int *fd)
{
	if (!try_path(SELF, inode, fd))
		return 0;
	for (size_t i = 0; i < NAME_DIRS; i++) {
		if (!try_directory(name_dirs[i], "", false, inode, fd))
			return 0;
	}
	return try_directory("/proc", "/ns/net", true, inode, fd);
}

static int add_inode(uint64_t **inodes, size_t *count, uint64_t inode)
{
	uint64_t *grown;

	for (size_t i = 0; i < *count; i++) {
		if ((*inodes)[i] == inode)
			return 0;
	}
	grown = realloc(*inodes, (*count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	*inodes = grown;
	grown[(*count)++] = inode;
	return 0;
}

static int add_directory(const char *where, const char *tail, uint64_t **inodes, size_t *count)
{
	_cleanup_closedir_ DIR *dir = opendir(where);
	const struct dirent *entry;
	char path[PATH_BYTES];
	struct stat st;
	int err = 0;

	while (!err && dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s%s", where, entry->d_name, tail);
		if (!stat(path, &st))
			err = add_inode(inodes, count, st.st_ino);
	}
	return err;
}

int netns_all(uint64_t **inodes, size_t *count)
{
	uint64_t own;
	int err;

	*inodes = NULL;
	*count = 0;
	err = netns_of_self(&own);
	if (!err)
		err = add_inode(inodes, count, own);
	for (size_t i = 0; !err && i < NAME_DIRS; i++)
		err = add_directory(name_dirs[i], "", inodes, count);
	return err ? err : add_directory("/proc", "/ns/net", inodes, count);
}

static void *run_inside(void *arg)
{
	struct job *job = arg;

	if (setns(job->fd, CLONE_NEWNET))
		job->result = -errno;
	else
		job->result = job->fn(job->arg);
	return NULL;
}

static bool is_own(int fd)
{
	uint64_t own = 0, inode = 0;

	return !netns_of_self(&own) && !check_netns(fd, &inode) && own == inode;
}

int netns_run(int fd, int (*fn)(void *), void *arg)
{
	struct job job = { .fd = fd, .fn = fn, .arg = arg };
	sigset_t all, before;
	pthread_t thread;
	int err;

	if (fd < 0 || is_own(fd))
		return fn(arg);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, NULL, run_inside, &job);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return -err;
	pthread_join(thread, NULL);
	return job.result;
}
