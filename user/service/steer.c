// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * See steer.h. One object for TCP and one for UDP, and each again for kernels before 5.12 (_v5).
 */
#include "service/steer.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/probe.h"
#include "lb_pick.h"
#include "service/schedule.h"
#include "service/stall.h"
#include "datagram.skel.h"
#include "datagram_v5.skel.h"
#include "steer.skel.h"
#include "steer_v5.skel.h"

/* errno of a map update with an MPTCP socket; the kernel's own, not in <errno.h>. */
#define KERNEL_ENOTSUPP 524

/* Any of the objects below, seen alike. */
struct object {
	void *skel;
	struct bpf_object_skeleton *skeleton;
	struct bpf_object *bpf;
	struct bpf_program *program;
};

#define DEFINE_OPEN(name)                                                                          \
	static int open_##name(struct object *object, uint32_t index,                              \
			       const struct lb_listener *listener, const struct lb_sizes *sizes)   \
	{                                                                                          \
		const struct features *found = probe_features();                                   \
		struct name *skel = name##__open();                                                \
                                                                                                   \
		if (!skel)                                                                         \
			return -errno;                                                             \
		skel->rodata->lb_listener = index;                                                 \
		skel->rodata->lb_port = listener->port;                                            \
		skel->rodata->lb_can_migrate = found->migrate;                                     \
		skel->rodata->lb_can_cast = found->cast;                                           \
		skel->rodata->lb_tick_ns = probe_tick_ns();                                        \
		skel->rodata->lb_sizes = *sizes;                                                   \
		*object =                                                                          \
			(struct object){ skel, skel->skeleton, skel->obj, skel->progs.lb_steer };  \
		return 0;                                                                          \
	}
DEFINE_OPEN(steer)
DEFINE_OPEN(steer_v5)
DEFINE_OPEN(datagram)
DEFINE_OPEN(datagram_v5)

static int object_open(struct object *object, const struct state *state, uint32_t index,
		       const struct lb_listener *listener, bool traces)
{
	bool udp = listener->proto == LB_PROTO_UDP;
	struct lb_sizes sizes;

	*object = (struct object){ 0 };
	state_sizes(state, &state->listeners[index], &sizes);
	/* without the field that switches it on, tracing is dead code */
	if (!traces)
		sizes.config = offsetof(struct lb_config, trace_until_ns);
	if (probe_features()->fetch)
		return (udp ? open_datagram : open_steer)(object, index, listener, &sizes);
	return (udp ? open_datagram_v5 : open_steer_v5)(object, index, listener, &sizes);
}

static void object_close(struct object *object)
{
	if (object->skel)
		bpf_object__destroy_skeleton(object->skeleton);
	free(object->skel);
}

/* Puts the service's maps in place of those that the object would make, and sizes the others. */
static int object_set_maps(struct object *object, const struct state *state, bool traces)
{
	struct bpf_map *flows =
		bpf_object__find_map_by_name(object->bpf, state_map_name(MAP_FLOWS));
	struct bpf_map *trace =
		bpf_object__find_map_by_name(object->bpf, state_map_name(MAP_TRACE));
	int err = state_reuse_maps(state, object->bpf);

	if (!err && !traces)
		err = bpf_map__set_autocreate(trace, false);
	return err || !flows ? err : bpf_map__set_max_entries(flows, state->flows);
}

static int object_load(struct object *object, const struct state *state, uint32_t index,
		       const struct lb_listener *listener, bool traces)
{
	int err = object_open(object, state, index, listener, traces);

	if (!err)
		err = object_set_maps(object, state, traces);
	if (!err) {
		err = bpf_object__load(object->bpf);
		if (err && err != -EPERM && err != -ENOMEM)
			err = -EOPNOTSUPP;
	}
	if (err) {
		object_close(object);
		*object = (struct object){ 0 };
	}
	return err;
}

static int pin_map(struct object *object, struct state *state, enum state_map map, uint32_t index,
		   int *fd)
{
	struct bpf_map *from = bpf_object__find_map_by_name(object->bpf, state_map_name(map));
	char path[STATE_PATH_BYTES];

	if (!from || bpf_map__fd(from) < 0)
		return 0;
	state_pin_path(state, map, index, path);
	*fd = dup(bpf_map__fd(from));
	if (*fd < 0 || bpf_obj_pin(*fd, path))
		return -errno;
	return 0;
}

static int pin_shared_maps(struct object *object, struct state *state)
{
	int err = 0;

	for (int i = 0; i < MAP_SHARED_COUNT && !err; i++) {
		if (state->maps[i] < 0)
			err = pin_map(object, state, i, 0, &state->maps[i]);
	}
	return err;
}

static int pin_listener(struct object *object, struct state *state, uint32_t index)
{
	struct state_listener *own = &state->listeners[index];
	_cleanup_close_ int flows = -1;
	char path[STATE_PATH_BYTES];
	int err;

	state_listener_path(state, index, "", path);
	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	/* left over from an attach that was killed here */
	for (int map = MAP_SHARED_COUNT; map < MAP_COUNT; map++) {
		state_pin_path(state, map, index, path);
		unlink(path);
	}
	state_listener_path(state, index, "lb_steer", path);
	unlink(path);
	err = pin_map(object, state, MAP_SOCKETS, index, &own->sockets_fd);
	if (!err)
		err = pin_map(object, state, MAP_QUEUES, index, &own->queues_fd);
	if (!err)
		err = pin_map(object, state, MAP_STALLS, index, &own->stalls_fd);
	if (!err)
		err = pin_map(object, state, MAP_FLOWS, index, &flows);
	if (err)
		return err;
	own->prog_fd = dup(bpf_program__fd(object->program));
	if (own->prog_fd < 0 || bpf_obj_pin(own->prog_fd, path))
		return -errno;
	return state_map_listener(state, index);
}

static uint32_t program_id(int fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static void init_config(struct lb_config *config)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	config->created_ns = (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	config->stale_ns = LB_DEFAULT_STALE_MS * 1000000ULL;
	config->stall_ns = LB_DEFAULT_STALL_MS * 1000000ULL;
	config->hold_ns = LB_HOLD_AUTO;
	config->group = LB_NO_GROUP;
	config->hash_prefix4 = 32;
	config->hash_prefix6 = 128;
	config->abi_version = LB_ABI_VERSION;
}

int steer_add_listener(struct state *state, const struct lb_listener *listener)
{
	uint32_t index = state->nr_listeners;
	struct lb_listener *entry;
	struct object object;
	int err;

	if (index >= LB_MAX_LISTENERS)
		return -E2BIG;
	err = object_load(&object, state, index, listener, true);
	/* what an old kernel refuses to trace it steers all the same */
	if (err == -EOPNOTSUPP)
		err = object_load(&object, state, index, listener, false);
	if (!err)
		err = pin_shared_maps(&object, state);
	if (!err)
		err = pin_listener(&object, state, index);
	object_close(&object);
	if (!err && !state->config) {
		err = state_map_shared(state);
		if (!err)
			init_config(state->config);
	}
	if (err)
		return err;
	entry = &state->config->listeners[index];
	*entry = *listener;
	entry->prog_id = program_id(state->listeners[index].prog_fd);
	state->nr_listeners = index + 1;
	state->config->nr_listeners = index + 1;
	return 0;
}

int steer_register(const struct state *state, uint32_t listener, uint32_t slot, int socket_fd)
{
	uint64_t value = socket_fd;

	if (!bpf_map_update_elem(state->listeners[listener].sockets_fd, &slot, &value, BPF_ANY))
		return 0;
	return errno == KERNEL_ENOTSUPP ? -EOPNOTSUPP : -errno;
}

void steer_unregister(const struct state *state, uint32_t listener, uint32_t slot)
{
	bpf_map_delete_elem(state->listeners[listener].sockets_fd, &slot);
}

uint64_t steer_registered_cookie(const struct state *state, uint32_t listener, uint32_t slot)
{
	uint64_t cookie = 0;

	if (bpf_map_lookup_elem(state->listeners[listener].sockets_fd, &slot, &cookie))
		return 0;
	return cookie;
}

int steer_attach(const struct state *state, uint32_t listener, int socket_fd)
{
	const int *prog_fd = &state->listeners[listener].prog_fd;

	return setsockopt(socket_fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, prog_fd,
			  sizeof(*prog_fd)) ?
		       -errno :
		       0;
}

int steer_detach(int socket_fd)
{
	const int none = 0;

	return setsockopt(socket_fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &none, sizeof(none)) ?
		       -errno :
		       0;
}

struct numbered_item {
	uint32_t worker;
	struct schedule_item item;
};

static int compare_workers(const void *a, const void *b)
{
	const struct numbered_item *x = a, *y = b;

	return x->worker < y->worker ? -1 : x->worker > y->worker;
}

static bool drains(const struct state *state)
{
	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		if (state_worker(state, slot)->state == LB_SLOT_DRAINING)
			return true;
	}
	return false;
}

/* The slots that take connections, in the order of their workers' numbers. */
static size_t collect_up(const struct state *state, struct schedule_item *items, uint32_t *workers)
{
	struct numbered_item up[LB_MAX_SLOTS];
	const struct lb_worker *worker;
	size_t n = 0;

	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		worker = state_worker(state, slot);
		if (worker->state != LB_SLOT_UP)
			continue;
		up[n].worker = worker->worker;
		up[n++].item = (struct schedule_item){ slot, worker->weight };
	}
	if (n)
		qsort(up, n, sizeof(up[0]), compare_workers);
	for (size_t i = 0; i < n; i++) {
		items[i] = up[i].item;
		workers[i] = up[i].worker;
	}
	return n;
}

int steer_publish(struct state *state, uint32_t policy)
{
	struct lb_config *config = state->config;
	uint32_t half = !lb_word_half(config->word);
	struct schedule_item items[LB_MAX_SLOTS];
	uint32_t workers[LB_MAX_SLOTS];
	uint64_t word, *table = state->schedule + half * LB_MAX_SCHEDULE;
	size_t n, length;
	int err;

	n = collect_up(state, items, workers);
	for (size_t i = 0; policy == LB_POLICY_KERNEL && i < n; i++)
		items[i].weight = 1;
	/* Programs that still walk the half which the last change left must be done with it. */
	syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	if (policy == LB_POLICY_HASH)
		err = schedule_build_hash(items, workers, n, table, LB_MAX_SCHEDULE, &length);
	else
		err = schedule_build(items, n, table, LB_MAX_SCHEDULE, &length);
	if (err)
		return err;
	word = lb_word_pack(policy, half, length) | (drains(state) ? LB_WORD_LEAVES_OUT : 0);
	__atomic_store_n(&config->word, word, __ATOMIC_RELEASE);
	return 0;
}

bool steer_is_published(const struct state *state, uint32_t slot)
{
	uint64_t word = __atomic_load_n(&state->config->word, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < lb_word_length(word); i++) {
		if (state->schedule[lb_schedule_key(word, i)] == slot)
			return true;
	}
	return false;
}
