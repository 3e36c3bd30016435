/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pinned maps of a service in memory, with values of the least size that is accepted, and what is
 * done with it.
 */
#ifndef FUZZ_MAPS_H
#define FUZZ_MAPS_H

#include <bpf/bpf.h>
#include <errno.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "lb_pick.h"
#include "service/state.h"
#include "service/steer.h"

#define FUZZ_COOKIES 1000 /* a descriptor, of the one map that is looked up by key */
#define FUZZ_LISTENERS 2
#define FUZZ_OPS 8

static struct state state;
static const uint8_t *maps_at, *maps_end;

/* Takes n bytes of the input; behind its end all are 0. */
static inline void maps_take(void *out, size_t n)
{
	size_t left = maps_end - maps_at, taken = n < left ? n : left;

	memset(out, 0, n);
	if (taken)
		memcpy(out, maps_at, taken);
	maps_at += taken;
}

static inline uint8_t maps_byte(void)
{
	return maps_at < maps_end ? *maps_at++ : 0;
}

/* In place of libbpf's: what is looked up is in the input, or not there. */
int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	(void)key;
	errno = ENOENT;
	if (maps_at == maps_end || maps_byte() & 1)
		return -1;
	maps_take(value, fd == FUZZ_COOKIES ? sizeof(struct lb_place) : sizeof(uint64_t));
	return 0;
}

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	(void)fd, (void)key, (void)value, (void)flags;
	return 0;
}

int bpf_map_delete_elem(int fd, const void *key)
{
	(void)fd, (void)key;
	return 0;
}

/* membarrier(2), for which all CPUs would be waited. */
long syscall(long number, ...)
{
	(void)number;
	return 0;
}

static inline void *maps_make(struct state_array *array, uint32_t value_bytes, uint32_t entries)
{
	array->value_bytes = value_bytes;
	array->stride = (value_bytes + 7) & ~7U;
	array->bytes = array->stride * entries;
	array->at = calloc(1, array->bytes);
	return array->at;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	for (int i = 0; i < MAP_SHARED_COUNT; i++)
		state.maps[i] = i == MAP_COOKIES ? FUZZ_COOKIES : -1;
	state.config = maps_make(&state.arrays[MAP_CONFIG], LB_FIRST_config, 1);
	state.schedule = maps_make(&state.arrays[MAP_SCHEDULE], 8, 2 * LB_MAX_SCHEDULE);
	maps_make(&state.arrays[MAP_WORKERS], LB_FIRST_worker, LB_ALL_SLOTS);
	maps_make(&state.arrays[MAP_LOAD], sizeof(struct lb_load), LB_ALL_SLOTS);
	maps_make(&state.arrays[MAP_STATS], LB_FIRST_stats, LB_ALL_SLOTS);
	for (int i = 0; i < FUZZ_LISTENERS; i++) {
		maps_make(&state.listeners[i].queues, LB_FIRST_queue, LB_ALL_SLOTS);
		maps_make(&state.listeners[i].stalls, LB_FIRST_stall, LB_ALL_SLOTS);
	}
	state.nr_listeners = FUZZ_LISTENERS;
	return 0;
}

/* As it is let in by state_check_config(); rows without their end, to be short. */
static inline void maps_fill(uint8_t used, uint16_t word)
{
	uint32_t dirty = state_used_slots(&state) + 1;

	for (int i = 0; i < FUZZ_LISTENERS; i++) {
		memset(state_queue(&state, i, 0), 0, dirty * state.listeners[i].queues.stride);
		memset(state_stall(&state, i, 0), 0, dirty * state.listeners[i].stalls.stride);
	}
	memset(state_stats(&state, 0), 0, dirty * state.arrays[MAP_STATS].stride);
	memset(state_worker(&state, 0), 0, dirty * state.arrays[MAP_WORKERS].stride);
	memset(state.config, maps_byte(), LB_FIRST_config);
	state.config->used_slots = used < 255 ? used % 32 : LB_MAX_SLOTS;
	/* the table of hash takes a thousand times as long as others */
	state.config->word = lb_word_pack(LB_POLICY_RR, word >> 15, word & 1023);
	for (uint32_t slot = 0; slot < state_used_slots(&state) && maps_at < maps_end; slot++) {
		maps_take(state_worker(&state, slot), 12);
		state_queue(&state, slot % FUZZ_LISTENERS, slot)->cookie = maps_byte();
		state_stats(&state, slot)->live = (int8_t)maps_byte();
		memset(state_stall(&state, slot % FUZZ_LISTENERS, slot), slot % 3 * maps_byte(),
		       LB_FIRST_stall);
	}
}

static void maps_publish(uint8_t what)
{
	uint64_t word;

	(void)what;
	if (steer_publish(&state, LB_POLICY_RR))
		return;
	word = state.config->word;
	for (uint32_t i = 0; i < lb_word_length(word); i++)
		FUZZ_CHECK(state.schedule[lb_schedule_key(word, i)] < state_used_slots(&state));
}

/*
 * A byte for each step: the low bits say which of the eight, the others are its argument. With all
 * slots in use a step takes a hundred times as long, so there are few.
 */
static inline void maps_play(const uint8_t *bytes, size_t n, void (*const ops[])(uint8_t))
{
	uint8_t steps[FUZZ_OPS];
	uint16_t word;

	maps_at = bytes;
	maps_end = bytes + n;
	maps_take(steps, sizeof(steps));
	maps_take(&word, sizeof(word));
	maps_fill(maps_byte(), word);
	for (size_t i = 0; i < (state_used_slots(&state) < LB_MAX_SLOTS ? FUZZ_OPS : 2); i++)
		ops[steps[i] % FUZZ_OPS](steps[i] / FUZZ_OPS);
}

#endif
