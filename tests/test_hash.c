/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Policy hash: from addresses to indices, and the table: its shares, and what moves in a change. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "lb_hash.h"
#include "service/schedule.h"
#include "service/service.h"

#define CLIENTS 100000

static uint64_t before[LB_MAX_SCHEDULE], after[LB_MAX_SCHEDULE];
static struct schedule_item items[LB_MAX_SLOTS];
static uint32_t workers[LB_MAX_SLOTS]; /* of the items */
static unsigned int share[LB_MAX_SLOTS];

static void test_prefix_mask(void **state)
{
	static const struct {
		const char *name;
		uint64_t bits, want;
	} rows[] = {
		{ "none", 0, 0 },
		{ "one", 1, 1ULL << 63 },
		{ "half", 32, 0xffffffff00000000 },
		{ "all but one", 63, UINT64_MAX - 1 },
		{ "all", 64, UINT64_MAX },
		{ "more", 65, UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_prefix_mask", rows[i].name, lb_prefix_mask(rows[i].bits), rows[i].want);
}

/* Two clients are one exactly when they differ only below the prefix. */
static void test_prefixes(void **state)
{
	static const struct {
		const char *name;
		uint64_t a[2], b[2], prefix;
		bool same;
	} rows[] = {
		{ "v6 /128, last bit", { 1, 2 }, { 1, 3 }, 128, false },
		{ "v6 /127, last bit", { 1, 2 }, { 1, 3 }, 127, true },
		{ "v6 /127, the one before", { 1, 2 }, { 1, 0 }, 127, false },
		{ "v6 /64, all of the low half", { 1, 0 }, { 1, UINT64_MAX }, 64, true },
		{ "v6 /64, high half", { 1, 0 }, { 0, 0 }, 64, false },
		{ "v6 /63, last of the high half", { 1, 0 }, { 0, 7 }, 63, true },
		{ "v6 /1", { 1, 0 }, { UINT64_MAX >> 1, 7 }, 1, true },
		{ "v6 halves exchanged", { 1, 2 }, { 2, 1 }, 128, false },
	};
	static const struct {
		const char *name;
		uint32_t a, b;
		uint64_t prefix;
		bool same;
	} rows4[] = {
		{ "v4 /32", 0x7f000001, 0x7f000002, 32, false },
		{ "v4 /31, other pair", 0x7f000001, 0x7f000002, 31, false },
		{ "v4 /31, same pair", 0x7f000002, 0x7f000003, 31, true },
		{ "v4 /24", 0x7f000001, 0x7f0000ff, 24, true },
		{ "v4 /24, next", 0x7f000001, 0x7f000101, 24, false },
		{ "v4 /1", 0, 0x7fffffff, 1, true },
		{ "v4 /1, other half", 0, 0x80000000, 1, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_hash_ipv6", rows[i].name,
		      lb_hash_ipv6(rows[i].a[0], rows[i].a[1], rows[i].prefix) ==
			      lb_hash_ipv6(rows[i].b[0], rows[i].b[1], rows[i].prefix),
		      rows[i].same);
	for (size_t i = 0; i < ARRAY_SIZE(rows4); i++)
		check("lb_hash_ipv4", rows4[i].name,
		      lb_hash_ipv4(rows4[i].a, rows4[i].prefix) ==
			      lb_hash_ipv4(rows4[i].b, rows4[i].prefix),
		      rows4[i].same);
	assert_true(lb_is_mapped(0, 0xffff7f000001));
	assert_false(lb_is_mapped(0, 0x7f000001));
	assert_false(lb_is_mapped(1, 0xffff7f000001));
}

static size_t build(size_t n, uint64_t *table, size_t max)
{
	size_t length = 0;

	assert_int_equal(schedule_build_hash(items, workers, n, table, max, &length), 0);
	return length;
}

static void number_workers(size_t n)
{
	for (size_t i = 0; i < n; i++)
		items[i] = (struct schedule_item){ .slot = workers[i] = i, .weight = 1 };
}

static void count_shares(const uint64_t *table, size_t length)
{
	memset(share, 0, sizeof(share));
	for (size_t i = 0; i < length; i++) {
		assert_true(table[i] < LB_MAX_SLOTS);
		share[table[i]]++;
	}
}

/* Every worker has its share of the entries, to one entry. */
static void test_equal_shares(void **state)
{
	static const size_t counts[] = { 1, 2, 3, 4, 7, 16, 100, 512, LB_MAX_WORKERS };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		size_t n = counts[i], length;

		number_workers(n);
		length = build(n, before, LB_MAX_SCHEDULE);
		count_shares(before, length);
		for (size_t slot = 0; slot < n; slot++)
			assert_in_range(share[slot], length / n, length / n + 1);
	}
}

/* To as many entries as there are items: the last round of turns ends before all had theirs. */
static void test_weighted_shares(void **state)
{
	static const uint32_t weights[] = { 1, 2, 3, 10, 256, 5 };
	uint32_t sum = 0;
	size_t length;

	(void)state;
	number_workers(ARRAY_SIZE(weights));
	for (size_t i = 0; i < ARRAY_SIZE(weights); i++) {
		items[i].weight = weights[i];
		sum += weights[i];
	}
	length = build(ARRAY_SIZE(weights), before, 8192);
	count_shares(before, length);
	for (size_t i = 0; i < ARRAY_SIZE(weights); i++) {
		double want = (double)length * weights[i] / sum;

		if (share[i] < want - ARRAY_SIZE(weights) || share[i] > want + ARRAY_SIZE(weights))
			fail_msg("weight %u: got %u entries, want %.1f", weights[i], share[i],
				 want);
	}
}

/* Of CLIENTS, those whose worker is another one; slots are compared, so they must be kept. */
static unsigned int moved_clients(const uint64_t *from, const uint64_t *to, size_t length)
{
	unsigned int moved = 0;

	for (uint32_t i = 0; i < CLIENTS; i++) {
		uint64_t index = lb_hash_ipv4(0x0a000000 + i * 7, 32) % length;

		moved += from[index] != to[index];
	}
	return moved;
}

/* One leaves, or joins again: its own share moves, and at most a tenth of the clients besides. */
static void test_disruption(void **state)
{
	static const size_t counts[] = { 2, 3, 4, 8, 16, 64, 256, 512, LB_MAX_WORKERS };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		size_t n = counts[i], length, max = LB_MAX_SCHEDULE;

		for (size_t gone = 0; gone < n; gone += n / 2) {
			unsigned int moved, own = 0;

			number_workers(n);
			length = build(n, before, max);
			memmove(items + gone, items + gone + 1, (n - gone - 1) * sizeof(*items));
			memmove(workers + gone, workers + gone + 1,
				(n - gone - 1) * sizeof(*workers));
			assert_int_equal(build(n - 1, after, max), length);
			for (uint32_t c = 0; c < CLIENTS; c++)
				own += before[lb_hash_ipv4(0x0a000000 + c * 7, 32) % length] ==
				       gone;
			moved = moved_clients(before, after, length);
			assert_true(moved >= own);
			if (moved > own + CLIENTS / 10)
				fail_msg("%zu workers without %zu: got %u moved, want at most %u",
					 n, gone, moved, own + CLIENTS / 10);
		}
	}
}

/* A reload gives a worker another slot, and its clients stay with it. */
static void test_worker_decides_not_slot(void **state)
{
	size_t length, n = 16;

	(void)state;
	number_workers(n);
	length = build(n, before, LB_MAX_SCHEDULE);
	items[3].slot = 40;
	build(n, after, LB_MAX_SCHEDULE);
	for (size_t i = 0; i < length; i++)
		assert_int_equal(after[i], before[i] == 3 ? 40 : before[i]);
}

/*
 * Both slots of a worker are up for a moment of a reload: they share what it has, and nobody else's
 * clients move.
 */
static void test_two_slots_of_a_worker(void **state)
{
	size_t length;

	(void)state;
	number_workers(4);
	length = build(4, before, LB_MAX_SCHEDULE);
	memmove(&items[2], &items[1], 3 * sizeof(items[0]));
	memmove(&workers[2], &workers[1], 3 * sizeof(workers[0]));
	items[1] = (struct schedule_item){ .slot = 4, .weight = 1 };
	workers[1] = 0;
	assert_int_equal(build(5, after, LB_MAX_SCHEDULE), length);
	count_shares(after, length);
	assert_in_range(share[0], length / 8, length / 8 + 1);
	assert_in_range(share[4], length / 8, length / 8 + 1);
	for (size_t i = 0; i < length; i++)
		assert_int_equal(after[i] == 4 ? 0 : after[i], before[i]);
}

/* Clients in a row, as on one network, spread as evenly as chance has it. */
static void test_clients_are_even(void **state)
{
	size_t n = 16, length;
	double chi = 0;

	(void)state;
	number_workers(n);
	length = build(n, before, LB_MAX_SCHEDULE);
	memset(share, 0, sizeof(share));
	for (uint32_t i = 0; i < CLIENTS; i++)
		share[before[lb_hash_ipv4(0xc0a80000 + i, 32) % length]]++;
	for (size_t i = 0; i < n; i++) {
		double expected = (double)CLIENTS / n;

		chi += (share[i] - expected) * (share[i] - expected) / expected;
	}
	/* 15 degrees of freedom, and the entries' own unevenness of 0.2 % */
	if (chi > 45)
		fail_msg("got chi-square %.1f, want about 15", chi);
}

/* The draws for clients of one worker go to all others, not to its neighbour. */
static void test_draws_are_even(void **state)
{
	size_t n = 8, length;
	unsigned int drawn = 0;

	(void)state;
	number_workers(n);
	length = build(n, before, LB_MAX_SCHEDULE);
	memset(share, 0, sizeof(share));
	for (uint32_t i = 0; i < CLIENTS; i++) {
		uint64_t hash = lb_hash_ipv4(i, 32);

		if (before[lb_hash_draw(hash, 0) % length])
			continue;
		share[before[lb_hash_draw(hash, 1) % length]]++;
		drawn++;
	}
	for (size_t i = 0; i < n; i++)
		assert_in_range(share[i], drawn / n * 85 / 100, drawn / n * 115 / 100);
}

static void test_limits(void **state)
{
	size_t length = 99;

	(void)state;
	number_workers(20);
	assert_int_equal(schedule_build_hash(items, workers, 0, before, 100, &length), 0);
	assert_int_equal(length, 0);
	length = 99;
	before[0] = 77;
	assert_int_equal(schedule_build_hash(items, workers, 20, before, 19, &length), -E2BIG);
	items[5].weight = 0;
	assert_int_equal(schedule_build_hash(items, workers, 20, before, 100, &length), -EINVAL);
	assert_int_equal(length, 99);
	assert_int_equal(before[0], 77);
	assert_int_equal(build(1, before, 2), 2);
	assert_int_equal(build(5, before, 6), 5);
	count_shares(before, 5);
	for (size_t slot = 0; slot < 5; slot++)
		assert_int_equal(share[slot], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefix_mask),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_equal_shares),
		cmocka_unit_test(test_weighted_shares),
		cmocka_unit_test(test_disruption),
		cmocka_unit_test(test_worker_decides_not_slot),
		cmocka_unit_test(test_two_slots_of_a_worker),
		cmocka_unit_test(test_clients_are_even),
		cmocka_unit_test(test_draws_are_even),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
