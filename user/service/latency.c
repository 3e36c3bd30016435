// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See latency.h. The pin of lb_latency comes last and goes first: it says whether it is on. */
#include "service/latency.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/cgroup.h"
#include "service/busy.h"
#include "service/service.h"
#include "service/track.h"
#include "latency.skel.h"

#define ROOT_CGROUP 1 /* the id of the host's root, in whatever namespace we are */

/* Program and pin have one name. */
static const struct hook {
	const char *name;
	enum bpf_attach_type type;
} hooks[] = {
	{ "lb_lifetime", BPF_CGROUP_SOCK_OPS },
	{ "lb_accepted4", BPF_CGROUP_INET4_GETPEERNAME },
	{ "lb_accepted6", BPF_CGROUP_INET6_GETPEERNAME },
	{ "lb_set_option", BPF_CGROUP_SETSOCKOPT },
	{ "lb_request", BPF_CGROUP_INET_INGRESS },
	{ "lb_answer", BPF_CGROUP_INET_EGRESS },
};
#define HOOKS (sizeof(hooks) / sizeof(hooks[0]))

/* --- may it be --- */

static bool can_measure(const struct state *state)
{
	struct lb_sizes sizes;

	state_sizes(state, &state->listeners[0], &sizes);
	return LB_HAS(sizes.conn, struct lb_conn, timing);
}

const char *latency_obstacle(const struct state *state)
{
	uint64_t cgroup = track_cgroup(state);

	if (!service_counts(state))
		return "it is measured of TCP connections, and of UDP there are none";
	if (track_obstacle())
		return track_obstacle();
	if (!track_is_on(state))
		return "the kernel does not count its connections; lbctl attach again, lbctl "
		       "doctor shows what that takes";
	if (!can_measure(state))
		return "an earlier lbctl made it, whose connections have no place for what is "
		       "measured; stop and run it again, or detach and attach it";
	if (cgroup == ROOT_CGROUP)
		return "its sockets have no cgroup in common but the root, where each packet of "
		       "the host would pay for it; start the server as a systemd unit, or by "
		       "lbctl run, which puts it into a cgroup of its own";
	return NULL;
}

const char *latency_error(int err)
{
	switch (err) {
	case -EPERM:
	case -EACCES:
		return "not permitted: CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are needed, and no "
		       "program above in the cgroup tree may claim it for itself; run as root";
	case -EOPNOTSUPP:
		return "the kernel refused a program; LBCTL_DEBUG=1 shows why, lbctl doctor what "
		       "this kernel has";
	case -E2BIG:
		return "64 programs, the kernel's most, are attached to its cgroup already";
	default:
		return strerror(-err);
	}
}

static int load(struct latency *skel)
{
	int err = bpf_object__load_skeleton(skel->skeleton);

	return !err || err == -EPERM || err == -ENOMEM ? err : -EOPNOTSUPP;
}

int latency_try(void)
{
	struct latency *skel = latency__open();
	int err = skel ? load(skel) : -errno;

	latency__destroy(skel);
	return err;
}

bool latency_is_on(const struct state *state)
{
	return state->maps[MAP_LATENCY] >= 0;
}

/* A service that an earlier lbctl made has no place for it. */
static bool can_remember(const struct state *state)
{
	return LB_HAS(state->arrays[MAP_CONFIG].value_bytes, struct lb_config, latency);
}

static void remember(const struct state *state, uint64_t one_in)
{
	if (can_remember(state))
		__atomic_store_n(&state->config->latency, one_in, __ATOMIC_RELEASE);
}

uint64_t latency_one_in(const struct state *state)
{
	uint64_t one_in = can_remember(state) ? state->config->latency : 0;

	if (!latency_is_on(state))
		return 0;
	return one_in ? one_in : 1;
}

/* --- on and off --- */

static void hook_path(const struct state *state, const char *name, char out[STATE_PATH_BYTES])
{
	snprintf(out, STATE_PATH_BYTES, "%s/latency%s%s", state->dir, *name ? "/" : "", name);
}

static void remove_hooks(const struct state *state)
{
	char path[STATE_PATH_BYTES];

	busy_stop(state);
	for (size_t i = 0; i < HOOKS; i++) {
		hook_path(state, hooks[i].name, path);
		unlink(path);
	}
	hook_path(state, "", path);
	rmdir(path);
}

static int attach_hook(const struct state *state, const struct bpf_object *object,
		       const struct hook *hook, int cgroup)
{
	const struct bpf_program *program = bpf_object__find_program_by_name(object, hook->name);
	_cleanup_close_ int link = -1;
	char path[STATE_PATH_BYTES];

	link = bpf_link_create(bpf_program__fd(program), cgroup, hook->type, NULL);
	if (link < 0)
		return -errno;
	hook_path(state, hook->name, path);
	return bpf_obj_pin(link, path) ? -errno : 0;
}

static int attach_hooks(const struct state *state, const struct bpf_object *object)
{
	_cleanup_close_ int cgroup = cgroup_open(track_cgroup(state));
	char path[STATE_PATH_BYTES];
	int err = 0;

	if (cgroup < 0)
		return cgroup;
	remove_hooks(state);
	hook_path(state, "", path);
	if (mkdir(path, 0700))
		return -errno;
	for (size_t i = 0; !err && i < HOOKS; i++)
		err = attach_hook(state, object, &hooks[i], cgroup);
	if (err)
		remove_hooks(state);
	return err;
}

static int pin_map(struct state *state, const struct bpf_map *map)
{
	_cleanup_close_ int copy = -1;
	int err;

	if (latency_is_on(state))
		return 0;
	copy = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return -errno;
	err = state_pin(state, copy, state_map_name(MAP_LATENCY));
	if (!err)
		state->maps[MAP_LATENCY] = fd_steal(&copy);
	return err;
}

/* Where it is attached; 0 = nowhere, or that is gone. */
static uint64_t hooked_cgroup(const struct state *state)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);
	char path[STATE_PATH_BYTES];
	_cleanup_close_ int link = -1;

	hook_path(state, hooks[HOOKS - 1].name, path);
	link = bpf_obj_get(path);
	if (link < 0 || bpf_obj_get_info_by_fd(link, &info, &len))
		return 0;
	return info.cgroup.cgroup_id;
}

/* No open connection has it: the last one was given out at least the time of a load ago. */
static uint32_t new_number(void)
{
	struct timespec now;
	uint32_t ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = now.tv_sec * 1000 + now.tv_nsec / 1000000;
	return ms ? ms : 1;
}

int latency_start(struct state *state, uint64_t one_in)
{
	bool was_on = latency_is_on(state) && latency_one_in(state) == one_in;
	struct latency *skel;
	int err;

	if (was_on && hooked_cgroup(state) == track_cgroup(state)) {
		/* there may be more listeners */
		busy_start(state);
		return 0;
	}
	if (!was_on)
		latency_stop(state);
	skel = latency__open();
	if (!skel)
		return -errno;
	skel->rodata->lb_one_in = one_in;
	skel->rodata->lb_number = new_number();
	err = state_reuse_maps(state, skel->obj);
	if (!err)
		err = load(skel);
	if (!err)
		err = attach_hooks(state, skel->obj);
	if (!err)
		err = pin_map(state, skel->maps.lb_latency);
	latency__destroy(skel);
	if (!err) {
		remember(state, one_in);
		/* the times are worth it without that */
		busy_start(state);
	}
	/* one that could not follow is tried again when its sockets are looked at next */
	if (err && !was_on)
		latency_stop(state);
	return err;
}

void latency_stop(struct state *state)
{
	char path[STATE_PATH_BYTES];

	remember(state, 0);
	state_pin_path(state, MAP_LATENCY, 0, path);
	unlink(path);
	close_fd(&state->maps[MAP_LATENCY]);
	remove_hooks(state);
}

void latency_follow(struct state *state)
{
	char path[STATE_PATH_BYTES];

	/* who opened the service a while ago may not know that it was switched off */
	state_pin_path(state, MAP_LATENCY, 0, path);
	if (latency_is_on(state) && !access(path, F_OK) && !latency_obstacle(state))
		latency_start(state, latency_one_in(state));
}

/* --- what was measured --- */

void latency_add(const struct state *state, uint32_t slot, struct lb_latency *sum)
{
	union {
		struct lb_latency latency;
		char bytes[LB_MOST_LATENCY];
	} one = { 0 };
	const uint64_t *from = (const uint64_t *)&one.latency;
	uint64_t *to = (uint64_t *)sum;

	if (!latency_is_on(state) ||
	    bpf_map_lookup_elem(state->maps[MAP_LATENCY], &slot, one.bytes))
		return;
	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += from[i];
}

uint64_t latency_count(const struct lb_histogram *histogram)
{
	uint64_t count = 0;

	for (int i = 0; i < LB_LATENCY_BUCKETS; i++)
		count += histogram->buckets[i].count;
	return count;
}

uint64_t latency_sum_ns(const struct lb_histogram *histogram)
{
	uint64_t sum_ns = 0;

	for (int i = 0; i < LB_LATENCY_BUCKETS; i++)
		sum_ns += histogram->buckets[i].sum_ns;
	return sum_ns;
}

uint64_t latency_quantile(const struct lb_histogram *histogram, double share)
{
	double rank = share * latency_count(histogram);
	uint64_t seen = 0;

	for (int i = 0; i < LB_LATENCY_BUCKETS; i++) {
		const struct lb_bucket *bucket = &histogram->buckets[i];

		seen += bucket->count;
		if (bucket->count && seen >= rank)
			return bucket->sum_ns / bucket->count;
	}
	return 0;
}
