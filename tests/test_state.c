// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Entries of mapped maps whose values are shorter or longer than our structs. */
#include "check.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lb_abi.h"
#include "service/service.h"
#include "service/state.h"

#define SLOTS 4

/* As if a field had been appended. */
struct longer {
	struct lb_stats first;
	uint64_t appended;
};

static struct state state;

/* The memory ends where the map does, so that ASan sees what reads on. */
static void map_as(enum state_map map, uint32_t value_bytes)
{
	struct state_array *array = &state.arrays[map];

	*array = (struct state_array){
		.bytes = (size_t)value_bytes * SLOTS,
		.stride = value_bytes,
		.value_bytes = value_bytes,
	};
	array->at = malloc(array->bytes);
	assert_non_null(array->at);
	memset(array->at, 0xee, array->bytes);
}

static void unmap(enum state_map map)
{
	free(state.arrays[map].at);
	state.arrays[map] = (struct state_array){ 0 };
}

static void test_entries_are_reached_by_stride(void **unused)
{
	static const uint32_t sizes[] = { LB_FIRST_stats, LB_FIRST_stats + 8, 4096 };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		map_as(MAP_STATS, sizes[i]);
		for (uint32_t slot = 0; slot < SLOTS; slot++) {
			assert_ptr_equal(state_stats(&state, slot),
					 (char *)state.arrays[MAP_STATS].at + slot * sizes[i]);
			state_stats(&state, slot)->selected = slot;
		}
		for (uint32_t slot = 0; slot < SLOTS; slot++)
			check("state_stats_copy", "selected",
			      state_stats_copy(&state, slot).selected, slot);
		unmap(MAP_STATS);
	}
}

/* A map that lacks the end of our struct: the rest is 0 and nothing behind the map is read. */
static void test_copy_of_a_shorter_entry(void **unused)
{
	struct lb_worker row;

	(void)unused;
	map_as(MAP_WORKERS, 24);
	row = state_worker_copy(&state, SLOTS - 1);
	assert_int_equal(row.pid, 0xeeeeeeee);
	assert_int_equal(row.restarts, 0);
	assert_int_equal(row.generation, 0);
	unmap(MAP_WORKERS);
}

static void test_setting_an_entry(void **unused)
{
	static const uint32_t sizes[] = { 24, sizeof(struct lb_worker), 48 };
	const struct lb_worker row = { .worker = 7, .generation = 9 };
	const unsigned char *next;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		map_as(MAP_WORKERS, sizes[i]);
		state_worker_set(&state, 1, &row);
		assert_int_equal(state_worker(&state, 1)->worker, 7);
		check("generation", "as far as there is one",
		      state_worker_copy(&state, 1).generation, sizes[i] < 32 ? 0 : 9);
		next = (const unsigned char *)state_worker(&state, 2);
		/* what we don't know of is 0, the neighbours are as they were */
		for (uint32_t at = sizeof(row); at < sizes[i]; at++)
			assert_int_equal(next[(int)at - (int)sizes[i]], 0);
		assert_int_equal(next[0], 0xee);
		assert_int_equal(next[-1 - (int)sizes[i]], 0xee);
		unmap(MAP_WORKERS);
	}
}

static void test_appended_field(void **unused)
{
	static const struct {
		const char *name;
		uint32_t bytes;
		uint64_t want;
	} rows[] = {
		{ "before it was appended", LB_FIRST_stats, 0 },
		{ "half of it", LB_FIRST_stats + 4, 0 },
		{ "just", sizeof(struct longer), 42 },
		{ "more were appended", sizeof(struct longer) + 8, 42 },
	};
	struct longer entry = { .appended = 42 };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct state_array array = { .value_bytes = rows[i].bytes };

		check("state_field", rows[i].name, state_field(&array, &entry, appended),
		      rows[i].want);
	}
}

/* What a program is told: the map's size, ours where there is no map yet, the lesser of two. */
static void test_sizes(void **unused)
{
	const struct state_listener none = { 0 };
	struct lb_sizes sizes;

	(void)unused;
	state.arrays[MAP_STATS].value_bytes = LB_FIRST_stats + 8;
	state.arrays[MAP_CONNS].value_bytes = LB_FIRST_conn;
	state.arrays[MAP_MIGRATED].value_bytes = LB_FIRST_conn + 8;
	state_sizes(&state, &none, &sizes);
	check("stats", "the map's", sizes.stats, LB_FIRST_stats + 8);
	check("conn", "the lesser", sizes.conn, LB_FIRST_conn);
	check("queue", "ours", sizes.queue, sizeof(struct lb_queue));
	check("config", "ours", sizes.config, sizeof(struct lb_config));
}

/* --- what somebody else has put into the maps --- */

static struct lb_place found;

/* In place of libbpf's: the one entry of lb_cookies. */
int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	(void)fd;
	(void)key;
	memcpy(value, &found, sizeof(found));
	return 0;
}

static void test_places(void **unused)
{
	static const struct {
		const char *name;
		struct lb_place place;
		int want;
	} rows[] = {
		{ "the first", { .slot = 0, .listener = 0 }, 0 },
		{ "the last", { .slot = SLOTS - 1, .listener = 1 }, 0 },
		{ "a slot that nobody had", { .slot = SLOTS, .listener = 0 }, -ENOENT },
		{ "no slot", { .slot = LB_NO_SLOT, .listener = 0 }, -ENOENT },
		{ "no such listener", { .slot = 0, .listener = 2 }, -ENOENT },
		{ "no listener", { .slot = 0, .listener = UINT32_MAX }, -ENOENT },
	};
	struct lb_config config = { .used_slots = SLOTS };
	struct lb_place place;

	(void)unused;
	state.config = &config;
	state.nr_listeners = 2;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		found = rows[i].place;
		assert_int_equal(state_place(&state, 1, &place), rows[i].want);
	}
	state.config = NULL;
	state.nr_listeners = 0;
}

/* Who counts workers gets room for them, and numbers them. */
static void test_rows_of_no_worker(void **unused)
{
	static const uint32_t numbers[] = { 2, LB_MAX_WORKERS, UINT32_MAX, 0 };
	struct lb_config config = { .used_slots = SLOTS };

	(void)unused;
	map_as(MAP_WORKERS, sizeof(struct lb_worker));
	state.config = &config;
	for (uint32_t slot = 0; slot < SLOTS; slot++)
		state_worker_set(&state, slot,
				 &(struct lb_worker){ .worker = numbers[slot],
						      .state = LB_SLOT_UP });
	check("service_workers", "2, too high, -1, 0", service_workers(&state), 3);
	state.config = NULL;
	unmap(MAP_WORKERS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries_are_reached_by_stride),
		cmocka_unit_test(test_copy_of_a_shorter_entry),
		cmocka_unit_test(test_setting_an_entry),
		cmocka_unit_test(test_appended_field),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_rows_of_no_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
