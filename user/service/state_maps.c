// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is pinned in a service's directory: by which path, opened, and mapped. See state.h. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "service/state.h"
#include "service/state_check.h"

static const char *const map_names[MAP_COUNT] = {
	[MAP_CONFIG] = "lb_config",	[MAP_WORKERS] = "lb_workers",
	[MAP_COOKIES] = "lb_cookies",	[MAP_SCHEDULE] = "lb_schedule",
	[MAP_LOAD] = "lb_load",		[MAP_STATS] = "lb_stats",
	[MAP_COUNTERS] = "lb_counters", [MAP_RECENT] = "lb_recent",
	[MAP_CURSOR] = "lb_cursor",	[MAP_SOCKETS] = "lb_sockets",
	[MAP_QUEUES] = "lb_queues",	[MAP_MIGRATED] = "lb_migrated",
	[MAP_CONNS] = "lb_conns",	[MAP_WAKE] = "lb_wake",
	[MAP_STALLS] = "lb_stalls",	[MAP_FLOWS] = "lb_flows",
	[MAP_HOLD] = "lb_hold",		[MAP_WAITING] = "lb_waiting",
	[MAP_IDLE] = "lb_idle",		[MAP_ASK] = "lb_ask",
	[MAP_LATENCY] = "lb_latency",	[MAP_TRACE] = "lb_trace",
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

static int map_array(int fd, struct state_array *array)
{
	void *at = mmap(NULL, array->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	/* the size fits, so it was made read-only */
	if (at == MAP_FAILED)
		return errno == ENOMEM ? -ENOMEM : -EUCLEAN;
	array->at = at;
	return 0;
}

static void unmap_array(struct state_array *array)
{
	if (array->at)
		munmap(array->at, array->bytes);
	*array = (struct state_array){ 0 };
}

/* What is mapped of the maps that listeners share. */
static const enum state_map mapped[] = { MAP_CONFIG,   MAP_WORKERS, MAP_LOAD,	 MAP_STATS,
					 MAP_SCHEDULE, MAP_HOLD,    MAP_WAITING, MAP_IDLE };

int state_map_shared(struct state *state)
{
	int err = 0;

	for (int i = 0; !err && i < MAP_SHARED_COUNT; i++) {
		if (state->maps[i] >= 0)
			err = state_check_map(i, state->maps[i], &state->arrays[i]);
	}
	for (size_t i = 0; !err && i < sizeof(mapped) / sizeof(mapped[0]); i++)
		err = map_array(state->maps[mapped[i]], &state->arrays[mapped[i]]);
	state->config = state->arrays[MAP_CONFIG].at;
	state->schedule = state->arrays[MAP_SCHEDULE].at;
	return err;
}

int state_map_listener(struct state *state, uint32_t listener)
{
	struct state_listener *own = &state->listeners[listener];
	struct state_array sockets;
	int err;

	err = state_check_map(MAP_SOCKETS, own->sockets_fd, &sockets);
	if (!err)
		err = state_check_map(MAP_QUEUES, own->queues_fd, &own->queues);
	if (!err)
		err = state_check_map(MAP_STALLS, own->stalls_fd, &own->stalls);
	if (!err)
		err = state_check_steer(own->prog_fd);
	if (!err)
		err = map_array(own->queues_fd, &own->queues);
	return err ? err : map_array(own->stalls_fd, &own->stalls);
}

static int get_pin(const char *path, int *fd)
{
	struct stat st;

	*fd = bpf_obj_get(path);
	if (*fd >= 0)
		return 0;
	/* of what is no pin at all the kernel says that it may not be opened */
	if (errno == ENOENT || (!lstat(path, &st) && !S_ISREG(st.st_mode)))
		return -EUCLEAN;
	return -errno;
}

static int open_listener(struct state *state, uint32_t listener)
{
	struct state_listener *own = &state->listeners[listener];
	const struct {
		const char *file;
		int *fd;
	} pins[] = {
		{ map_names[MAP_SOCKETS], &own->sockets_fd },
		{ map_names[MAP_QUEUES], &own->queues_fd },
		{ map_names[MAP_STALLS], &own->stalls_fd },
		{ "lb_steer", &own->prog_fd },
	};
	char path[STATE_PATH_BYTES];
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(pins) / sizeof(pins[0]); i++) {
		state_listener_path(state, listener, pins[i].file, path);
		err = get_pin(path, pins[i].fd);
	}
	return err ? err : state_map_listener(state, listener);
}

static bool is_optional(enum state_map map)
{
	return map == MAP_CURSOR || map == MAP_CONNS || map == MAP_LATENCY || map == MAP_TRACE;
}

static void open_tracking(struct state *state)
{
	char path[STATE_PATH_BYTES];

	snprintf(path, sizeof(path), "%s/lb_track", state->dir);
	get_pin(path, &state->track_prog_fd);
	snprintf(path, sizeof(path), "%s/lb_track_link", state->dir);
	get_pin(path, &state->track_link_fd);
}

int state_maps_open(struct state *state)
{
	char path[STATE_PATH_BYTES];
	struct lb_config config;
	int err;

	for (int i = 0; i < MAP_SHARED_COUNT; i++) {
		state_pin_path(state, i, 0, path);
		err = get_pin(path, &state->maps[i]);
		if (err && !(is_optional(i) && err == -EUCLEAN))
			return err;
		err = i == MAP_CONFIG ? state_check_config(state->maps[i], &config) : 0;
		if (err)
			return err;
	}
	open_tracking(state);
	err = state_map_shared(state);
	for (uint32_t i = 0; !err && i < config.nr_listeners; i++) {
		err = open_listener(state, i);
		state->nr_listeners = i + 1;
	}
	return err;
}

void state_maps_clear(struct state *state)
{
	state->track_prog_fd = -1;
	state->track_link_fd = -1;
	for (int i = 0; i < MAP_SHARED_COUNT; i++)
		state->maps[i] = -1;
	for (int i = 0; i < LB_MAX_LISTENERS; i++)
		state->listeners[i] = (struct state_listener){ -1, -1, -1, -1, { 0 }, { 0 } };
}

void state_maps_close(struct state *state)
{
	struct state_listener *own;

	for (int i = 0; i < MAP_SHARED_COUNT; i++)
		unmap_array(&state->arrays[i]);
	for (int i = 0; i < LB_MAX_LISTENERS; i++) {
		own = &state->listeners[i];
		unmap_array(&own->queues);
		unmap_array(&own->stalls);
		close_fd(&own->sockets_fd);
		close_fd(&own->queues_fd);
		close_fd(&own->stalls_fd);
		close_fd(&own->prog_fd);
	}
	for (int i = 0; i < MAP_SHARED_COUNT; i++)
		close_fd(&state->maps[i]);
	close_fd(&state->track_prog_fd);
	close_fd(&state->track_link_fd);
}

/* What lb_config says, for a service whose program is not pinned any more. */
static size_t configured_ids(const char *name, uint32_t *ids, size_t max)
{
	_cleanup_close_ int fd = -1;
	struct lb_config config;
	char path[STATE_PATH_BYTES];
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/%s/%s", STATE_ROOT, name, map_names[MAP_CONFIG]);
	fd = bpf_obj_get(path);
	if (fd < 0 || state_check_config(fd, &config))
		return 0;
	for (uint32_t i = 0; i < config.nr_listeners && n < max; i++)
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
		if (fd >= 0 && !state_check_steer(fd) && !bpf_obj_get_info_by_fd(fd, &info, &len))
			ids[n++] = info.id;
	}
	return n;
}
