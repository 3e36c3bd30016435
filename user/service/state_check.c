// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See state_check.h. */
#include "service/state_check.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "lb_pick.h"

/* What a map has to be: value_size between least and most, and at least so many entries. */
struct shape {
	uint32_t type;
	uint32_t key_bytes;
	uint32_t least, most;
	uint32_t entries;
	bool mapped;
};

#define ARRAY BPF_MAP_TYPE_ARRAY, sizeof(uint32_t)
#define BY_COOKIE BPF_MAP_TYPE_HASH, sizeof(uint64_t)
#define VALUE(name) LB_FIRST_##name, LB_MOST_VALUE
#define COPIED(name) LB_FIRST_##name, LB_MOST_COPIED
#define JUST(bytes) (bytes), (bytes)

static const struct shape shapes[MAP_COUNT] = {
	[MAP_CONFIG] = { ARRAY, VALUE(config), 1, true },
	[MAP_WORKERS] = { ARRAY, VALUE(worker), LB_ALL_SLOTS, true },
	[MAP_COOKIES] = { BY_COOKIE, COPIED(place), 1, false },
	[MAP_SCHEDULE] = { ARRAY, JUST(8), 2 * LB_MAX_SCHEDULE, true },
	[MAP_LOAD] = { ARRAY, JUST(sizeof(struct lb_load)), LB_ALL_SLOTS, true },
	[MAP_STATS] = { ARRAY, VALUE(stats), LB_ALL_SLOTS, true },
	[MAP_COUNTERS] = { ARRAY, VALUE(counters), 1, false },
	[MAP_RECENT] = { ARRAY, JUST(8), LB_RECENT_ENTRIES, false },
	[MAP_MIGRATED] = { BY_COOKIE, COPIED(conn), 1, false },
	[MAP_WAKE] = { BPF_MAP_TYPE_RINGBUF, 0, 0, 0, 1, false },
	[MAP_HOLD] = { ARRAY, VALUE(hold), 1, true },
	[MAP_WAITING] = { ARRAY, VALUE(waiting), LB_WAITING_SLOTS, true },
	[MAP_IDLE] = { ARRAY, VALUE(idle), LB_ALL_SLOTS, true },
	[MAP_ASK] = { BPF_MAP_TYPE_RINGBUF, 0, 0, 0, 1, false },
	[MAP_CURSOR] = { ARRAY, JUST(16), 1, false },
	[MAP_CONNS] = { BPF_MAP_TYPE_SK_STORAGE, sizeof(int), COPIED(conn), 0, false },
	[MAP_TRACE] = { BPF_MAP_TYPE_ARRAY_OF_MAPS, sizeof(uint32_t), JUST(4), 1, false },
	[MAP_LATENCY] = { BPF_MAP_TYPE_HASH, sizeof(uint32_t), LB_FIRST_latency, LB_MOST_LATENCY, 1,
			  false },
	[MAP_SOCKETS] = { BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, sizeof(uint32_t), JUST(8), LB_ALL_SLOTS,
			  false },
	[MAP_QUEUES] = { ARRAY, VALUE(queue), LB_ALL_SLOTS, true },
	[MAP_STALLS] = { ARRAY, VALUE(stall), LB_ALL_SLOTS, true },
};

/* Of a program the kernel tells other things in the same place: its type is none of a map's. */
static int map_info(int fd, struct bpf_map_info *info)
{
	uint32_t len = sizeof(*info);

	*info = (struct bpf_map_info){ 0 };
	return bpf_obj_get_info_by_fd(fd, info, &len) ? -errno : 0;
}

static bool fits(const struct bpf_map_info *info, const struct shape *shape)
{
	return info->type == shape->type && info->key_size == shape->key_bytes &&
	       info->value_size >= shape->least && info->value_size <= shape->most &&
	       info->max_entries >= shape->entries &&
	       (!shape->mapped || info->map_flags & BPF_F_MMAPABLE);
}

int state_check_map(enum state_map map, int fd, struct state_array *array)
{
	struct bpf_map_info info;
	int err = map_info(fd, &info);

	if (err)
		return err;
	if (!fits(&info, &shapes[map]))
		return -EUCLEAN;
	array->value_bytes = info.value_size;
	/* as the kernel lays an array out */
	array->stride = (info.value_size + 7) & ~7U;
	array->bytes = info.max_entries * array->stride;
	return 0;
}

int state_check_steer(int fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	return info.type == BPF_PROG_TYPE_SK_REUSEPORT ? 0 : -EUCLEAN;
}

/* Numbers that ours are counted by. */
static bool is_sane(const struct lb_config *config)
{
	return config->used_slots <= LB_MAX_SLOTS && config->nr_listeners <= LB_MAX_LISTENERS &&
	       lb_word_length(config->word) <= LB_MAX_SCHEDULE;
}

/* The version is the first field of the first map in every version there will be. */
int state_check_config(int fd, struct lb_config *config)
{
	char value[LB_MOST_VALUE] = { 0 };
	struct bpf_map_info info;
	uint32_t zero = 0;
	int err = map_info(fd, &info);

	if (err)
		return err;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.key_size != sizeof(zero) ||
	    info.value_size < sizeof(config->abi_version) || info.value_size > sizeof(value))
		return -EUCLEAN;
	if (bpf_map_lookup_elem(fd, &zero, value))
		return -errno;
	memcpy(config, value, sizeof(*config));
	if (config->abi_version != LB_ABI_VERSION)
		return -ESTALE;
	return fits(&info, &shapes[MAP_CONFIG]) && is_sane(config) ? 0 : -EUCLEAN;
}
