// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See state.h. Everything on bpffs goes by path: bpf(2) knows no directory descriptors. */
#include "state.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"

static const char *const map_names[MAP_COUNT] = {
	[MAP_CONFIG] = "lb_config",	[MAP_WORKERS] = "lb_workers", [MAP_COOKIES] = "lb_cookies",
	[MAP_SCHEDULE] = "lb_schedule", [MAP_LOAD] = "lb_load",	      [MAP_STATS] = "lb_stats",
	[MAP_COUNTERS] = "lb_counters", [MAP_RECENT] = "lb_recent",   [MAP_CURSOR] = "lb_cursor",
	[MAP_SOCKETS] = "lb_sockets",	[MAP_QUEUES] = "lb_queues",   [MAP_MOVED] = "lb_moved",
	[MAP_CONNS] = "lb_conns",	[MAP_STALLS] = "lb_stalls",   [MAP_FLOWS] = "lb_flows",
};

const char *state_map_name(enum state_map map)
{
	return map_names[map];
}

void state_pin_path(const struct state *state, enum state_map map, uint32_t listener,
		    char out[STATE_PATH_BYTES])
{
	if (map >= MAP_SHARED_COUNT)
		state_listener_path(state, listener, state_map_name(map), out);
	else
		snprintf(out, STATE_PATH_BYTES, "%s/%s", state->dir, state_map_name(map));
}

void state_listener_path(const struct state *state, uint32_t listener, const char *file,
			 char out[STATE_PATH_BYTES])
{
	snprintf(out, STATE_PATH_BYTES, "%s/listener%u%s%s", state->dir, listener, *file ? "/" : "",
		 file);
}

int state_reuse_maps(const struct state *state, struct bpf_object *object)
{
	struct bpf_map *map;
	int err = 0;

	for (int i = 0; i < MAP_SHARED_COUNT && !err; i++) {
		map = bpf_object__find_map_by_name(object, map_names[i]);
		if (map && state->maps[i] >= 0)
			err = bpf_map__reuse_fd(map, state->maps[i]);
	}
	return err;
}

int state_pin(const struct state *state, int fd, const char *name)
{
	char path[STATE_PATH_BYTES], fresh[STATE_PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", state->dir, name);
	snprintf(fresh, sizeof(fresh), "%s/%s_new", state->dir, name);
	/* left over from a process that was killed here */
	unlink(fresh);
	if (bpf_obj_pin(fd, fresh))
		return -errno;
	return rename(fresh, path) ? -errno : 0;
}

static void state_clear(struct state *state)
{
	*state = (struct state){
		.root_fd = -1,
		.dir_fd = -1,
		.track_prog_fd = -1,
		.track_link_fd = -1,
		.flows = LB_DEFAULT_FLOWS,
	};
	for (int i = 0; i < MAP_SHARED_COUNT; i++)
		state->maps[i] = -1;
	for (int i = 0; i < LB_MAX_LISTENERS; i++)
		state->listeners[i] = (struct state_listener){ -1, -1, -1, -1, NULL, NULL };
}

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == BPF_FS_MAGIC;
}

/* Opens the directory of all services. With `make` it is made, and bpffs mounted, if missing. */
static int open_root(bool make, int *fd)
{
	if (!is_bpffs(STATE_BPFFS)) {
		if (!make || mount("bpf", STATE_BPFFS, "bpf", 0, "mode=0700"))
			return -ENODEV;
	}
	if (make && mkdir(STATE_ROOT, 0755) && errno != EEXIST)
		return -errno;
	*fd = open(STATE_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd < 0 ? -errno : 0;
}

static int lock_directory(int fd)
{
	const struct timespec nap = { .tv_nsec = 10 * 1000 * 1000 };

	for (int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB); waited_ms += 10) {
		if (errno != EWOULDBLOCK)
			return -errno;
		if (waited_ms >= STATE_LOCK_MS)
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

static int map_info(int fd, struct bpf_map_info *info)
{
	uint32_t len = sizeof(*info);

	*info = (struct bpf_map_info){ 0 };
	return bpf_obj_get_info_by_fd(fd, info, &len) ? -errno : 0;
}

static size_t array_bytes(const struct bpf_map_info *info)
{
	return (size_t)info->max_entries * ((info->value_size + 7) & ~7U);
}

static int map_array(int fd, void **out)
{
	struct bpf_map_info info;
	int err = map_info(fd, &info);

	if (err)
		return err;
	*out = mmap(NULL, array_bytes(&info), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*out != MAP_FAILED)
		return 0;
	*out = NULL;
	return -errno;
}

static void unmap_array(int fd, void *at)
{
	struct bpf_map_info info;

	if (at && !map_info(fd, &info))
		munmap(at, array_bytes(&info));
}

int state_map_shared(struct state *state)
{
	int err = map_array(state->maps[MAP_CONFIG], (void **)&state->config);

	if (!err)
		err = map_array(state->maps[MAP_WORKERS], (void **)&state->workers);
	if (!err)
		err = map_array(state->maps[MAP_LOAD], (void **)&state->load);
	if (!err)
		err = map_array(state->maps[MAP_STATS], (void **)&state->stats);
	if (!err)
		err = map_array(state->maps[MAP_SCHEDULE], (void **)&state->schedule);
	return err;
}

int state_map_listener(struct state *state, uint32_t listener)
{
	struct state_listener *own = &state->listeners[listener];
	int err = map_array(own->queues_fd, (void **)&own->queues);

	return err ? err : map_array(own->stalls_fd, (void **)&own->stalls);
}

static int get_pin(const char *path, int *fd)
{
	*fd = bpf_obj_get(path);
	if (*fd >= 0)
		return 0;
	return errno == ENOENT ? -EUCLEAN : -errno;
}

/* The version is the first field of the first map in every version there will be. */
static int check_version(int config_fd)
{
	_cleanup_free_ char *value = NULL;
	struct bpf_map_info info;
	uint32_t zero = 0;
	int err = map_info(config_fd, &info);

	if (err)
		return err;
	value = calloc(1, info.value_size + sizeof(uint32_t));
	if (!value)
		return -ENOMEM;
	if (bpf_map_lookup_elem(config_fd, &zero, value))
		return -errno;
	if (info.value_size != sizeof(struct lb_config) || *(uint32_t *)value != LB_ABI_VERSION)
		return -ESTALE;
	return 0;
}

static int open_listener(struct state *state, uint32_t listener)
{
	struct state_listener *own = &state->listeners[listener];
	char path[STATE_PATH_BYTES];
	int err;

	state_pin_path(state, MAP_SOCKETS, listener, path);
	err = get_pin(path, &own->sockets_fd);
	if (err)
		return err;
	state_pin_path(state, MAP_QUEUES, listener, path);
	err = get_pin(path, &own->queues_fd);
	if (err)
		return err;
	state_pin_path(state, MAP_STALLS, listener, path);
	err = get_pin(path, &own->stalls_fd);
	if (err)
		return err;
	state_listener_path(state, listener, "lb_steer", path);
	err = get_pin(path, &own->prog_fd);
	return err ? err : state_map_listener(state, listener);
}

static bool is_optional(enum state_map map)
{
	return map == MAP_CURSOR || map == MAP_CONNS;
}

static void open_tracking(struct state *state)
{
	char path[STATE_PATH_BYTES];

	snprintf(path, sizeof(path), "%s/lb_track", state->dir);
	get_pin(path, &state->track_prog_fd);
	snprintf(path, sizeof(path), "%s/lb_track_link", state->dir);
	get_pin(path, &state->track_link_fd);
}

static int open_maps(struct state *state)
{
	char path[STATE_PATH_BYTES];
	int err;

	for (int i = 0; i < MAP_SHARED_COUNT; i++) {
		state_pin_path(state, i, 0, path);
		err = get_pin(path, &state->maps[i]);
		if (err && !(is_optional(i) && err == -EUCLEAN))
			return err;
		err = i == MAP_CONFIG ? check_version(state->maps[i]) : 0;
		if (err)
			return err;
	}
	open_tracking(state);
	err = state_map_shared(state);
	for (uint32_t i = 0; !err && i < state->config->nr_listeners; i++) {
		err = open_listener(state, i);
		state->nr_listeners = i + 1;
	}
	return err;
}

/* Was the directory renamed or removed while we waited for its lock? */
static bool still_there(const struct state *state)
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
	state->dir_fd = open(state->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = state->dir_fd < 0 ? -errno : 0;
	if (!err && mode == STATE_LOCK)
		err = lock_directory(state->dir_fd);
	if (!err && !still_there(state))
		err = -ENOENT;
	if (!err)
		err = open_maps(state);
	if (err)
		state_close(state);
	return err;
}

void state_close(struct state *state)
{
	struct state_listener *own;

	if (state->fresh)
		remove_tree(state->root_fd, strrchr(state->dir, '/') + 1, 1);
	unmap_array(state->maps[MAP_CONFIG], state->config);
	unmap_array(state->maps[MAP_WORKERS], state->workers);
	unmap_array(state->maps[MAP_LOAD], state->load);
	unmap_array(state->maps[MAP_STATS], state->stats);
	unmap_array(state->maps[MAP_SCHEDULE], state->schedule);
	for (int i = 0; i < LB_MAX_LISTENERS; i++) {
		own = &state->listeners[i];
		unmap_array(own->queues_fd, own->queues);
		unmap_array(own->stalls_fd, own->stalls);
		close_fd(&own->sockets_fd);
		close_fd(&own->queues_fd);
		close_fd(&own->stalls_fd);
		close_fd(&own->prog_fd);
	}
	for (int i = 0; i < MAP_SHARED_COUNT; i++)
		close_fd(&state->maps[i]);
	close_fd(&state->track_prog_fd);
	close_fd(&state->track_link_fd);
	close_fd(&state->dir_fd);
	close_fd(&state->root_fd);
	state_clear(state);
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
	if (!err && mkdir(state->dir, 0755))
		err = -errno;
	if (!err) {
		state->fresh = true;
		state->dir_fd = open(state->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		err = state->dir_fd < 0 ? -errno : lock_directory(state->dir_fd);
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

/* What lb_config says, for a service whose program is not pinned any more. */
static size_t configured_ids(const char *name, uint32_t *ids, size_t max)
{
	_cleanup_close_ int fd = -1;
	struct lb_config config;
	char path[STATE_PATH_BYTES];
	uint32_t zero = 0;
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/%s/%s", STATE_ROOT, name, map_names[MAP_CONFIG]);
	fd = bpf_obj_get(path);
	if (fd < 0 || check_version(fd) || bpf_map_lookup_elem(fd, &zero, &config))
		return 0;
	for (uint32_t i = 0; i < config.nr_listeners && i < LB_MAX_LISTENERS && n < max; i++)
		ids[n++] = config.listeners[i].prog_id;
	return n;
}

int state_program_ids(const char *name, uint32_t *ids, size_t max)
{
	size_t n = configured_ids(name, ids, max);
	struct bpf_prog_info info;
	char path[STATE_PATH_BYTES];
	uint32_t len;

	for (unsigned int i = 0; i < LB_MAX_LISTENERS && n < max; i++) {
		_cleanup_close_ int fd = -1;

		snprintf(path, sizeof(path), "%s/%s/listener%u/lb_steer", STATE_ROOT, name, i);
		fd = bpf_obj_get(path);
		if (fd < 0 && errno == EPERM)
			return -EPERM;
		info = (struct bpf_prog_info){ 0 };
		len = sizeof(info);
		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len))
			ids[n++] = info.id;
	}
	return n;
}
