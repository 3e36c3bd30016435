// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See state.h. Everything on bpffs goes by path: bpf(2) knows no directory descriptors. */
#include "service/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/locks.h"

static void state_clear(struct state *state)
{
	*state = (struct state){ .root_fd = -1, .dir_fd = -1, .flows = LB_DEFAULT_FLOWS };
	state_maps_clear(state);
}

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == BPF_FS_MAGIC;
}

int state_mount_bpffs(void)
{
	if (is_bpffs(STATE_BPFFS) || !mount("bpf", STATE_BPFFS, "bpf", 0, "mode=0700"))
		return 0;
	return -ENODEV;
}

/*
 * Opens a directory of pins. Others could put a link or a directory of their own in its place where
 * bpffs is not mounted for root alone, and lock one that they may read. An earlier version let
 * them: that is mended. Returns 0, -ELOOP (it is not ours) or -errno.
 */
static int open_directory(const char *path, int *fd)
{
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct statfs fs;
	struct stat st;

	if (dir < 0)
		return errno == ENOTDIR ? -ELOOP : -errno;
	if (fstat(dir, &st) || fstatfs(dir, &fs))
		return -errno;
	if (fs.f_type != BPF_FS_MAGIC || (st.st_uid && st.st_uid != geteuid()) ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)))
		return -ELOOP;
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		fchmod(dir, 0700);
	*fd = fd_steal(&dir);
	return 0;
}

/* Opens the directory of all services. With `make` it is made, and bpffs mounted, if missing. */
static int open_root(bool make, int *fd)
{
	if (make ? state_mount_bpffs() : !is_bpffs(STATE_BPFFS))
		return -ENODEV;
	if (make && mkdir(STATE_ROOT, 0700) && errno != EEXIST)
		return -errno;
	return open_directory(STATE_ROOT, fd);
}

/* Does one have it that has not had it before? Many that change services take turns. */
static bool has_changed_hands(int fd, pid_t *holder)
{
	struct stat file;
	pid_t now = fstat(fd, &file) ? 0 : locks_holder_of(&file);
	bool changed = now != *holder;

	*holder = now;
	return changed;
}

static int lock_directory(int fd)
{
	const struct timespec nap = { .tv_nsec = 10 * 1000 * 1000 };
	pid_t holder = 0;

	for (int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB); waited_ms += 10) {
		if (errno != EWOULDBLOCK)
			return -errno;
		if (waited_ms % STATE_LOCK_MS == 0 && !has_changed_hands(fd, &holder) && waited_ms)
			return -EBUSY;
		nanosleep(&nap, NULL);
	}
	return 0;
}

/* Takes a directory of pins apart, at most one level of subdirectories deep. */
static int remove_tree(int parent_fd, const char *name, int depth)
{
	_cleanup_closedir_ DIR *dir = opendir_at(parent_fd, name);
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0) && errno == EISDIR && depth > 0)
			remove_tree(dirfd(dir), entry->d_name, depth - 1);
	}
	return unlinkat(parent_fd, name, AT_REMOVEDIR) ? -errno : 0;
}

/* Needs the root's lock. */
static void sweep_leftovers(int root_fd)
{
	_cleanup_closedir_ DIR *dir = opendir_at(root_fd, ".");
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '_')
			remove_tree(root_fd, entry->d_name, 1);
	}
}

static int open_root_locked(int *fd)
{
	int err = open_root(true, fd);

	if (!err)
		err = lock_directory(*fd);
	if (!err)
		sweep_leftovers(*fd);
	return err;
}

int state_lock_all(const struct state *state, int *fd)
{
	*fd = -1;
	return state->root_fd >= 0 ? 0 : open_root_locked(fd);
}

int state_sweep(void)
{
	_cleanup_close_ int root = -1;
	int err = open_root(false, &root);

	if (err)
		return err == -ENOENT || err == -ENODEV ? 0 : err;
	err = lock_directory(root);
	if (!err)
		sweep_leftovers(root);
	return err;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

int state_names(char (**names)[LB_NAME_MAX + 1], size_t *count)
{
	_cleanup_closedir_ DIR *dir = NULL;
	_cleanup_close_ int root = -1;
	struct dirent *entry;
	void *grown;
	int err;

	*names = NULL;
	*count = 0;
	err = open_root(false, &root);
	if (err)
		return err == -ENOENT ? 0 : err;
	dir = opendir_at(root, ".");
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (parse_name(entry->d_name))
			continue;
		grown = realloc(*names, (*count + 1) * sizeof(**names));
		if (!grown)
			return -ENOMEM;
		*names = grown;
		strcpy((*names)[(*count)++], entry->d_name);
	}
	if (*count)
		qsort(*names, *count, sizeof(**names), compare_names);
	return 0;
}

/* Not where the directory was renamed or removed, say while we waited for its lock. */
bool state_is_there(const struct state *state)
{
	struct stat ours, there;

	return !fstat(state->dir_fd, &ours) && !stat(state->dir, &there) &&
	       ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

int state_open(struct state *state, const char *name, enum state_mode mode)
{
	_cleanup_close_ int root = -1;
	int err;

	state_clear(state);
	snprintf(state->name, sizeof(state->name), "%s", name);
	snprintf(state->dir, sizeof(state->dir), "%s/%s", STATE_ROOT, name);
	err = open_root(false, &root);
	if (err)
		return err;
	err = open_directory(state->dir, &state->dir_fd);
	if (!err && mode == STATE_LOCK)
		err = state_lock(state);
	else if (!err && !state_is_there(state))
		err = -ENOENT;
	if (!err)
		err = state_maps_open(state);
	if (err)
		state_close(state);
	return err;
}

void state_close(struct state *state)
{
	if (state->fresh)
		remove_tree(state->root_fd, strrchr(state->dir, '/') + 1, 1);
	state_maps_close(state);
	close_fd(&state->dir_fd);
	close_fd(&state->root_fd);
	state_clear(state);
}

int state_lock(struct state *state)
{
	int err = lock_directory(state->dir_fd);

	if (!err && !state_is_there(state)) {
		state_unlock(state);
		err = -ENOENT;
	}
	return err;
}

void state_unlock(struct state *state)
{
	flock(state->dir_fd, LOCK_UN);
}

int state_create(struct state *state, const char *name)
{
	char path[STATE_PATH_BYTES];
	int err;

	state_clear(state);
	snprintf(state->name, sizeof(state->name), "%s", name);
	snprintf(state->dir, sizeof(state->dir), "%s/_new-%d", STATE_ROOT, getpid());
	err = open_root_locked(&state->root_fd);
	snprintf(path, sizeof(path), "%s/%s", STATE_ROOT, name);
	if (!err && !access(path, F_OK))
		err = -EEXIST;
	if (!err && mkdir(state->dir, 0700))
		err = -errno;
	if (!err) {
		state->fresh = true;
		err = open_directory(state->dir, &state->dir_fd);
		if (!err)
			err = lock_directory(state->dir_fd);
	}
	if (err)
		state_close(state);
	return err;
}

int state_commit(struct state *state)
{
	char path[STATE_DIR_BYTES];

	snprintf(path, sizeof(path), "%s/%s", STATE_ROOT, state->name);
	if (renameat2(AT_FDCWD, state->dir, AT_FDCWD, path, RENAME_NOREPLACE))
		return -errno;
	strcpy(state->dir, path);
	state->fresh = false;
	close_fd(&state->root_fd);
	return 0;
}

int state_remove(const char *name)
{
	_cleanup_close_ int root = -1;
	_cleanup_close_ int dir = -1;
	char gone[32];
	int err = open_root_locked(&root);

	if (err)
		return err;
	snprintf(gone, sizeof(gone), "_gone-%d", getpid());
	dir = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	if (renameat2(root, name, root, gone, RENAME_NOREPLACE))
		return -errno;
	return remove_tree(root, gone, 1);
}
