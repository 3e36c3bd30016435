// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See track.h. */
#include "service/track.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/cgroup.h"
#include "host/probe.h"
#include "service/dispatch.h"
#include "service/stall.h"
#include "track.skel.h"
#include "track_v5.skel.h"

#define LINK_NAME "lb_track_link"

const char *track_obstacle(void)
{
	char mount[PATH_MAX];

	if (!probe_features()->track)
		return "this kernel has no sockops programs or no socket storage";
	if (cgroup_mount(mount))
		return "no cgroup v2 is mounted (mount -t cgroup2 none /sys/fs/cgroup)";
	return NULL;
}

const char *track_error(int err)
{
	const char *obstacle = track_obstacle();

	if (obstacle)
		return obstacle;
	switch (err) {
	case -EPERM:
	case -EACCES:
		return "not permitted: CAP_NET_ADMIN and CAP_BPF are needed, and no other program "
		       "above in the cgroup tree may claim it for itself";
	case -EOPNOTSUPP:
		return "the kernel refused the program";
	case -E2BIG:
		return "64 programs, the kernel's most, count connections in its cgroup already";
	default:
		return strerror(-err);
	}
}

static int pin_copy(const struct state *state, int fd, const char *name, int *out)
{
	_cleanup_close_ int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int err;

	if (copy < 0)
		return -errno;
	err = state_pin(state, copy, name);
	if (!err)
		*out = fd_steal(&copy);
	return err;
}

/* Some emulated processors can't: better known now than with a worker's socket in hand. */
static int try_mark(int conns_fd)
{
	_cleanup_close_ int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const char mark[LB_MOST_COPIED] = { 0 };

	if (socket_fd < 0 || bpf_map_update_elem(conns_fd, &socket_fd, mark, BPF_ANY))
		return -errno;
	return 0;
}

/* Either object, seen alike. */
struct object {
	void *skel;
	struct bpf_object_skeleton *skeleton;
	struct bpf_object *bpf;
	const struct bpf_map *conns;
	const struct bpf_program *program;
};

#define DEFINE_OPEN(name)                                                                          \
	static int open_##name(struct object *object, const struct lb_sizes *sizes)                \
	{                                                                                          \
		struct name *skel = name##__open();                                                \
                                                                                                   \
		if (!skel)                                                                         \
			return -errno;                                                             \
		skel->rodata->lb_can_cast = probe_features()->cast;                                \
		skel->rodata->lb_tick_ns = probe_tick_ns();                                        \
		skel->rodata->lb_sizes = *sizes;                                                   \
		skel->rodata->lb_can_see_task = libbpf_probe_bpf_helper(BPF_PROG_TYPE_SOCK_OPS,    \
									BPF_FUNC_get_current_task, \
									NULL) == 1;                \
		*object = (struct object){ skel, skel->skeleton, skel->obj, skel->maps.lb_conns,   \
					   skel->progs.lb_track };                                 \
		return 0;                                                                          \
	}
DEFINE_OPEN(track)
DEFINE_OPEN(track_v5)

static int pin_program(struct state *state, const struct object *object)
{
	int conns_fd = bpf_map__fd(object->conns), err = try_mark(conns_fd);

	if (!err && state->maps[MAP_CONNS] < 0)
		err = pin_copy(state, conns_fd, state_map_name(MAP_CONNS), &state->maps[MAP_CONNS]);
	if (!err)
		err = pin_copy(state, bpf_program__fd(object->program), "lb_track",
			       &state->track_prog_fd);
	return err;
}

static int load_program(struct state *state)
{
	struct lb_sizes sizes;
	struct object object;
	int err;

	state_sizes(state, &state->listeners[0], &sizes);
	err = probe_features()->fetch ? open_track(&object, &sizes) :
					open_track_v5(&object, &sizes);
	if (err)
		return err;
	err = state_reuse_maps(state, object.bpf);
	if (!err) {
		err = bpf_object__load_skeleton(object.skeleton);
		if (err && err != -EPERM && err != -ENOMEM)
			err = -EOPNOTSUPP;
	}
	if (!err)
		err = pin_program(state, &object);
	bpf_object__destroy_skeleton(object.skeleton);
	free(object.skel);
	return err;
}

uint64_t track_cgroup(const struct state *state)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);

	if (state->track_link_fd < 0 || bpf_obj_get_info_by_fd(state->track_link_fd, &info, &len))
		return 0;
	return info.cgroup.cgroup_id;
}

/* It was there when the cgroup was chosen. */
static bool is_registered(const struct state *state, uint32_t listener, const struct member *member)
{
	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		if (state_queue(state, listener, slot)->cookie == member->socket.cookie)
			return true;
	}
	return false;
}

/*
 * The cgroup that all listeners are in. While the old one lives, connections that it has may too.
 * *fd stays as it is when there is neither it nor a listener.
 */
static int open_cgroup(const struct state *state, struct reuseport_group *const *groups, int *fd)
{
	uint64_t old_id = track_cgroup(state);
	_cleanup_close_ int old = old_id ? cgroup_open(old_id) : -1;
	_cleanup_free_ uint64_t *ids = NULL;
	size_t n = 0, most = 1;

	for (uint32_t i = 0; i < state->nr_listeners; i++)
		most += groups[i] ? groups[i]->nr_members : 0;
	ids = calloc(most, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	for (uint32_t i = 0; i < state->nr_listeners; i++) {
		for (size_t j = 0; groups[i] && j < groups[i]->nr_members; j++) {
			if (old < 0 || !is_registered(state, i, &groups[i]->members[j]))
				ids[n++] = groups[i]->members[j].socket.cgroup_id;
		}
	}
	if (!n) {
		*fd = fd_steal(&old);
		return 0;
	}
	if (old >= 0)
		ids[n++] = old_id;
	*fd = cgroup_open_common(ids, n);
	return *fd < 0 ? *fd : 0;
}

/*
 * By the program that all services there share, or, where that can't be, by the service's own. In a
 * cgroup that lbctl made for this service there is no other one.
 */
static int attach(const struct state *state, int cgroup, bool is_own)
{
	bool is_there = cgroup_id(cgroup) == track_cgroup(state);
	int link = -ENOTSUP;

	if (is_there && (is_own || dispatch_is_on(state)))
		return -EEXIST;
	if (!is_own)
		link = dispatch_join(state, cgroup);
	if (link >= 0)
		return link;
	/* its own does as well */
	if (is_there)
		return -EEXIST;
	link = bpf_link_create(state->track_prog_fd, cgroup, BPF_CGROUP_SOCK_OPS, NULL);
	return link < 0 ? -errno : link;
}

static int follow(struct state *state, struct reuseport_group *const *groups, uint64_t known)
{
	_cleanup_close_ int cgroup = known ? cgroup_open(known) : -1;
	const bool is_own = cgroup >= 0;
	_cleanup_close_ int link = -1;
	int err = 0;

	if (cgroup < 0)
		err = open_cgroup(state, groups, &cgroup);
	if (err || cgroup < 0)
		return err;
	link = attach(state, cgroup, is_own);
	if (link < 0)
		return link == -EEXIST ? 0 : link;
	err = state_pin(state, link, LINK_NAME);
	if (err)
		return err;
	close_fd(&state->track_link_fd);
	state->track_link_fd = fd_steal(&link);
	return 0;
}

int track_start(struct state *state, struct reuseport_group *const *groups, uint64_t cgroup)
{
	int err = 0;

	if (cgroup && track_cgroup(state) == cgroup)
		return 0;
	if (track_obstacle())
		return probe_features()->track ? -ENOENT : -EOPNOTSUPP;
	if (state->maps[MAP_CONNS] < 0 || state->track_prog_fd < 0)
		err = load_program(state);
	return err ? err : follow(state, groups, cgroup);
}

bool track_is_needed(uint32_t policy)
{
	return policy == LB_POLICY_LEAST_CONN || policy == LB_POLICY_LEAST_LATENCY;
}

bool track_is_on(const struct state *state)
{
	return state->maps[MAP_CONNS] >= 0 && track_cgroup(state);
}

int track_mark(const struct state *state, uint32_t slot, int socket_fd)
{
	const struct lb_conn mark = {
		.slot = slot,
		.generation = state_worker(state, slot)->generation,
	};

	if (state->maps[MAP_CONNS] < 0)
		return 0;
	return state_update(state, MAP_CONNS, &socket_fd, &mark, sizeof(mark));
}

void track_await_programs(void)
{
	syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

void track_begin_slot(struct state *state, uint32_t slot)
{
	__s64 *live = &state_stats(state, slot)->live;

	if (!__atomic_load_n(live, __ATOMIC_RELAXED))
		return;
	__atomic_fetch_add(&state_worker(state, slot)->generation, 1, __ATOMIC_SEQ_CST);
	/* some may have seen the old generation */
	track_await_programs();
	__atomic_store_n(live, 0, __ATOMIC_SEQ_CST);
}
