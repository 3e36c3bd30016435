// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * See dispatch.h. Whoever changes the tables holds the lock of all services, but for a service that
 * leaves: its index is its own until it is out of lb_indexes, which is the last that it does.
 */
#include "service/dispatch.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "dispatch.skel.h"
#include "host/cgroup.h"
#include "host/probe.h"
#include "lb_dispatch.h"

enum part { PROGRAM, PROGRAMS, INDEXES, PARTS };

static const char *const part_names[PARTS] = {
	[PROGRAM] = "lb_dispatch",
	[PROGRAMS] = "lb_programs",
	[INDEXES] = "lb_indexes",
};

/* The shared program and its tables. */
struct shared {
	int fds[PARTS];
	uint32_t id; /* of the program */
};

static void shared_close(struct shared *shared)
{
	for (int i = 0; i < PARTS; i++)
		close_fd(&shared->fds[i]);
}
#define _cleanup_shared_ __attribute__((cleanup(shared_close)))
#define NOT_OPEN ((struct shared){ .fds = { -1, -1, -1 } })

/* --- what is pinned --- */

static int open_pin(const char *dir, const char *file)
{
	char path[STATE_PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return bpf_obj_get(path);
}

/* 0 = it is none of that type, or not open. */
static uint32_t map_id(int fd, enum bpf_map_type type)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) || info.type != (uint32_t)type ||
	    info.key_size != sizeof(uint32_t))
		return 0;
	return info.id;
}

static uint32_t program_id(int fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) ||
	    info.type != BPF_PROG_TYPE_SOCK_OPS)
		return 0;
	return info.id;
}

/* All of it, or nothing. */
static bool open_pinned(const char *dir, struct shared *shared)
{
	for (int i = 0; i < PARTS; i++)
		shared->fds[i] = open_pin(dir, part_names[i]);
	shared->id = program_id(shared->fds[PROGRAM]);
	if (shared->id && map_id(shared->fds[PROGRAMS], BPF_MAP_TYPE_PROG_ARRAY) &&
	    map_id(shared->fds[INDEXES], BPF_MAP_TYPE_HASH))
		return true;
	shared_close(shared);
	return false;
}

static int load(struct shared *shared)
{
	struct dispatch *skel = dispatch__open();
	int err = skel ? 0 : -errno;

	if (skel) {
		skel->rodata->lb_can_cast = probe_features()->cast;
		err = dispatch__load(skel);
	}
	if (!err) {
		const int fds[PARTS] = {
			[PROGRAM] = bpf_program__fd(skel->progs.lb_dispatch),
			[PROGRAMS] = bpf_map__fd(skel->maps.lb_programs),
			[INDEXES] = bpf_map__fd(skel->maps.lb_indexes),
		};

		for (int i = 0; i < PARTS && !err; i++) {
			shared->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
			err = shared->fds[i] < 0 ? -errno : 0;
		}
		shared->id = program_id(shared->fds[PROGRAM]);
	}
	dispatch__destroy(skel);
	return err;
}

/* --- all services --- */

struct neighbours {
	char (*names)[LB_NAME_MAX + 1];
	size_t count;
};

static void neighbour_dir(const struct neighbours *all, size_t i, char dir[STATE_DIR_BYTES])
{
	snprintf(dir, STATE_DIR_BYTES, "%s/%s", STATE_ROOT, all->names[i]);
}

/* The service's own, else another one's, else a new one; pinned in the service's directory. */
static int find_shared(const struct state *state, const struct neighbours *all,
		       struct shared *shared)
{
	char dir[STATE_DIR_BYTES];
	bool found = false;
	int err = 0;

	if (open_pinned(state->dir, shared))
		return 0;
	for (size_t i = 0; i < all->count && !found; i++) {
		neighbour_dir(all, i, dir);
		found = open_pinned(dir, shared);
	}
	if (!found)
		err = load(shared);
	for (int i = 0; i < PARTS && !err; i++)
		err = state_pin(state, shared->fds[i], part_names[i]);
	return err;
}

/* The link by which the shared program hangs on the cgroup: some service's, or a new one. */
static int find_link(const struct shared *shared, const struct neighbours *all, int cgroup_fd)
{
	const uint64_t cgroup = cgroup_id(cgroup_fd);
	char dir[STATE_DIR_BYTES];
	int fd;

	for (size_t i = 0; i < all->count; i++) {
		_cleanup_close_ int link = -1;
		struct bpf_link_info info = { 0 };
		uint32_t len = sizeof(info);

		neighbour_dir(all, i, dir);
		link = open_pin(dir, "lb_track_link");
		if (link >= 0 && !bpf_obj_get_info_by_fd(link, &info, &len) &&
		    info.type == BPF_LINK_TYPE_CGROUP && info.prog_id == shared->id &&
		    info.cgroup.cgroup_id == cgroup)
			return fd_steal(&link);
	}
	fd = bpf_link_create(shared->fds[PROGRAM], cgroup_fd, BPF_CGROUP_SOCK_OPS, NULL);
	return fd < 0 ? -errno : fd;
}

/* --- the tables --- */

/* Ids of the lb_track of all services, 0 for one that has none. The caller frees it. */
static uint32_t *list_programs(const struct neighbours *all)
{
	uint32_t *ids = calloc(all->count + 1, sizeof(*ids));
	char dir[STATE_DIR_BYTES];

	for (size_t i = 0; ids && i < all->count; i++) {
		_cleanup_close_ int fd = -1;

		neighbour_dir(all, i, dir);
		fd = open_pin(dir, "lb_track");
		ids[i] = program_id(fd);
	}
	return ids;
}

static bool has_id(const uint32_t *ids, size_t count, uint32_t id)
{
	for (size_t i = 0; i < count; i++) {
		if (id && ids[i] == id)
			return true;
	}
	return false;
}

static void take_out(const struct shared *shared, uint32_t conns, uint32_t index)
{
	bpf_map_delete_elem(shared->fds[PROGRAMS], &index);
	bpf_map_delete_elem(shared->fds[INDEXES], &conns);
}

/* Entries of services that are gone are taken out; *used says which indexes are left. */
static int sweep(const struct shared *shared, const struct neighbours *all, uint32_t own,
		 bool used[LB_MAX_COUNTED])
{
	_cleanup_free_ uint32_t *ids = list_programs(all);
	uint32_t conns, next, index, program;
	int err;

	if (!ids)
		return -ENOMEM;
	err = bpf_map_get_next_key(shared->fds[INDEXES], NULL, &next);
	while (!err) {
		conns = next;
		err = bpf_map_get_next_key(shared->fds[INDEXES], &conns, &next);
		if (bpf_map_lookup_elem(shared->fds[INDEXES], &conns, &index))
			continue;
		program = 0;
		bpf_map_lookup_elem(shared->fds[PROGRAMS], &index, &program);
		if (conns != own && !has_id(ids, all->count, program))
			take_out(shared, conns, index);
		else if (index < LB_MAX_COUNTED)
			used[index] = true;
	}
	return 0;
}

/* Puts the service's lb_track into the tables. -ENOSPC when they are full. */
static int enter(const struct state *state, const struct shared *shared,
		 const struct neighbours *all)
{
	_cleanup_free_ bool *used = calloc(LB_MAX_COUNTED, sizeof(*used));
	uint32_t conns = map_id(state->maps[MAP_CONNS], BPF_MAP_TYPE_SK_STORAGE), index = 0;
	int err = used && conns ? sweep(shared, all, conns, used) : -ENOMEM;

	if (err)
		return err;
	if (bpf_map_lookup_elem(shared->fds[INDEXES], &conns, &index)) {
		while (index < LB_MAX_COUNTED && used[index])
			index++;
		if (index == LB_MAX_COUNTED)
			return -ENOSPC;
		if (bpf_map_update_elem(shared->fds[INDEXES], &conns, &index, BPF_NOEXIST))
			return -errno;
	}
	return bpf_map_update_elem(shared->fds[PROGRAMS], &index, &state->track_prog_fd, BPF_ANY) ?
		       -errno :
		       0;
}

/* --- */

bool dispatch_is_on(const struct state *state)
{
	_cleanup_shared_ struct shared shared = NOT_OPEN;
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info), conns, index, program;

	if (state->track_link_fd < 0 || !open_pinned(state->dir, &shared) ||
	    bpf_obj_get_info_by_fd(state->track_link_fd, &info, &len) || info.prog_id != shared.id)
		return false;
	conns = map_id(state->maps[MAP_CONNS], BPF_MAP_TYPE_SK_STORAGE);
	return !bpf_map_lookup_elem(shared.fds[INDEXES], &conns, &index) &&
	       !bpf_map_lookup_elem(shared.fds[PROGRAMS], &index, &program) &&
	       program == program_id(state->track_prog_fd);
}

int dispatch_join(const struct state *state, int cgroup_fd)
{
	_cleanup_shared_ struct shared shared = NOT_OPEN;
	_cleanup_close_ int lock = -1;
	struct neighbours all;
	int err = state_lock_all(state, &lock);

	if (!err)
		err = state_names(&all.names, &all.count);
	if (err)
		return err;
	err = find_shared(state, &all, &shared);
	if (!err)
		err = enter(state, &shared, &all);
	if (!err)
		err = find_link(&shared, &all, cgroup_fd);
	free(all.names);
	return err;
}

void dispatch_leave(const char *dir)
{
	_cleanup_shared_ struct shared shared = NOT_OPEN;
	_cleanup_close_ int conns_fd = -1;
	uint32_t conns, index;

	if (!open_pinned(dir, &shared))
		return;
	conns_fd = open_pin(dir, state_map_name(MAP_CONNS));
	conns = map_id(conns_fd, BPF_MAP_TYPE_SK_STORAGE);
	if (conns && !bpf_map_lookup_elem(shared.fds[INDEXES], &conns, &index))
		take_out(&shared, conns, index);
}
