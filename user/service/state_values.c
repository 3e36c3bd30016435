// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Values of maps, copied as a whole: theirs may be longer or shorter than ours. See state.h. */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "service/state.h"

static size_t common_bytes(const struct state_array *array, size_t bytes)
{
	return array->value_bytes < bytes ? array->value_bytes : bytes;
}

static void copy_entry(const struct state_array *array, uint32_t slot, void *out, size_t bytes)
{
	size_t common = common_bytes(array, bytes);

	memcpy(out, state_entry(array, slot), common);
	memset((char *)out + common, 0, bytes - common);
}

struct lb_worker state_worker_copy(const struct state *state, uint32_t slot)
{
	struct lb_worker copy;

	copy_entry(&state->arrays[MAP_WORKERS], slot, &copy, sizeof(copy));
	return copy;
}

struct lb_stats state_stats_copy(const struct state *state, uint32_t slot)
{
	struct lb_stats copy;

	copy_entry(&state->arrays[MAP_STATS], slot, &copy, sizeof(copy));
	return copy;
}

void state_worker_set(struct state *state, uint32_t slot, const struct lb_worker *worker)
{
	const struct state_array *array = &state->arrays[MAP_WORKERS];
	size_t common = common_bytes(array, sizeof(*worker));
	char *entry = state_entry(array, slot);

	memcpy(entry, worker, common);
	memset(entry + common, 0, array->stride - common);
}

int state_lookup(const struct state *state, enum state_map map, const void *key, void *value,
		 size_t bytes)
{
	char theirs[LB_MOST_VALUE];

	memset(theirs, 0, bytes);
	if (bpf_map_lookup_elem(state->maps[map], key, theirs))
		return -errno;
	memcpy(value, theirs, bytes);
	return 0;
}

int state_update(const struct state *state, enum state_map map, const void *key, const void *value,
		 size_t bytes)
{
	char theirs[LB_MOST_COPIED] = { 0 };

	memcpy(theirs, value, bytes);
	return bpf_map_update_elem(state->maps[map], key, theirs, BPF_ANY) ? -errno : 0;
}

void state_delete(const struct state *state, enum state_map map, const void *key)
{
	bpf_map_delete_elem(state->maps[map], key);
}

int state_place(const struct state *state, uint64_t cookie, struct lb_place *place)
{
	if (state_lookup(state, MAP_COOKIES, &cookie, place, sizeof(*place)))
		return -ENOENT;
	return place->slot < state_used_slots(state) && place->listener < state->nr_listeners ?
		       0 :
		       -ENOENT;
}

void state_sizes(const struct state *state, const struct state_listener *listener,
		 struct lb_sizes *sizes)
{
#define OURS(array, name)                                                                          \
	((array)->value_bytes ? (array)->value_bytes : (uint32_t)sizeof(struct lb_##name))
	*sizes = (struct lb_sizes){
		.config = OURS(&state->arrays[MAP_CONFIG], config),
		.worker = OURS(&state->arrays[MAP_WORKERS], worker),
		.stats = OURS(&state->arrays[MAP_STATS], stats),
		.counters = OURS(&state->arrays[MAP_COUNTERS], counters),
		.queue = OURS(&listener->queues, queue),
		.stall = OURS(&listener->stalls, stall),
		.place = OURS(&state->arrays[MAP_COOKIES], place),
		.conn = OURS(&state->arrays[MAP_MIGRATED], conn),
		.hold = OURS(&state->arrays[MAP_HOLD], hold),
		.waiting = OURS(&state->arrays[MAP_WAITING], waiting),
		.idle = OURS(&state->arrays[MAP_IDLE], idle),
		.latency = OURS(&state->arrays[MAP_LATENCY], latency),
	};
	/* a service may have got the one later than the other, by another lbctl */
	if (sizes->conn > OURS(&state->arrays[MAP_CONNS], conn))
		sizes->conn = OURS(&state->arrays[MAP_CONNS], conn);
#undef OURS
}
