/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table: known orders, exact shares, even spread, and what is refused. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "lb_abi.h"
#include "service/schedule.h"

#define MOST_ITEMS 8
#define UNTOUCHED 0x7777777777777777ULL

static uint64_t table[LB_MAX_SCHEDULE];
static struct schedule_item items[LB_MAX_WORKERS];

/* splitmix64 (Steele, Lea, Flood, 2014) */
static uint64_t next_random(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static void show(const uint64_t *slots, size_t n, char *out, size_t len)
{
	size_t used = 0;

	*out = '\0';
	for (size_t i = 0; i < n && used < len; i++)
		used += snprintf(out + used, len - used, "%s%llu", i ? " " : "",
				 (unsigned long long)slots[i]);
}

static void test_order(void **state)
{
	static const struct {
		const char *name;
		struct schedule_item input[MOST_ITEMS];
		size_t n;
		const char *want;
	} rows[] = {
		{ "none", { { 0 } }, 0, "" },
		{ "one", { { 5, 1 } }, 1, "5" },
		{ "one, heavy", { { 5, 256 } }, 1, "5" },
		{ "two", { { 0, 1 }, { 1, 1 } }, 2, "0 1" },
		{ "order of the items, not of the slots",
		  { { 9, 1 }, { 2, 1 }, { 4, 1 } },
		  3,
		  "9 2 4" },
		{ "equal weights", { { 0, 7 }, { 1, 7 }, { 2, 7 }, { 3, 7 } }, 4, "0 1 2 3" },
		{ "divided by 50", { { 0, 100 }, { 1, 50 } }, 2, "0 1 0" },
		{ "nginx's example 5 1 1", { { 0, 5 }, { 1, 1 }, { 2, 1 } }, 3, "0 0 1 0 2 0 0" },
		{ "3 1 1 1", { { 0, 3 }, { 1, 1 }, { 2, 1 }, { 3, 1 } }, 4, "0 1 0 2 3 0" },
		{ "5 1", { { 0, 5 }, { 1, 1 } }, 2, "0 0 0 1 0 0" },
		{ "highest slot", { { UINT32_MAX, 1 }, { 0, 1 } }, 2, "4294967295 0" },
		{ "the same slot twice", { { 3, 1 }, { 3, 1 } }, 2, "3 3" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t length = UNTOUCHED;
		char got[200];
		int err;

		err = schedule_build(rows[i].input, rows[i].n, table, ARRAY_SIZE(table), &length);
		if (err)
			fail_msg("%s: got %d, want 0", rows[i].name, err);
		show(table, length, got, sizeof(got));
		if (strcmp(got, rows[i].want))
			fail_msg("%s: got %s, want %s", rows[i].name, got, rows[i].want);
	}
}

static void test_limits(void **state)
{
	static const struct {
		const char *name;
		struct schedule_item input[MOST_ITEMS];
		size_t n, max;
		int want_err;
		size_t want_length;
	} rows[] = {
		{ "none into no room", { { 0 } }, 0, 0, 0, 0 },
		{ "one into no room", { { 0, 1 } }, 1, 0, -E2BIG, 0 },
		{ "just fits", { { 0, 3 }, { 1, 2 } }, 2, 5, 0, 5 },
		{ "one too many", { { 0, 3 }, { 1, 2 } }, 2, 4, -E2BIG, 0 },
		{ "fits once divided", { { 0, 300 }, { 1, 200 } }, 2, 5, 0, 5 },
		{ "largest weights, equal", { { 0, UINT32_MAX }, { 1, UINT32_MAX } }, 2, 5, 0, 2 },
		{ "sum beyond 32 bits", { { 0, UINT32_MAX }, { 1, 2 } }, 2, 5, -E2BIG, 0 },
		{ "weight 0", { { 0, 1 }, { 1, 0 } }, 2, 5, -EINVAL, 0 },
		{ "all weights 0", { { 0, 0 }, { 1, 0 } }, 2, 5, -EINVAL, 0 },
		{ "weight 0 after too many", { { 0, 9 }, { 1, 1 }, { 2, 0 } }, 3, 5, -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		/* Exactly as large as promised: the sanitizer sees a write beyond it. */
		uint64_t *room = malloc(rows[i].max ? rows[i].max * sizeof(*room) : 1);
		size_t want = rows[i].want_err ? UNTOUCHED : rows[i].want_length;
		size_t length = UNTOUCHED;
		int err;

		assert_non_null(room);
		for (size_t j = 0; j < rows[i].max; j++)
			room[j] = UNTOUCHED;
		err = schedule_build(rows[i].input, rows[i].n, room, rows[i].max, &length);
		if (err != rows[i].want_err || length != want)
			fail_msg("%s: got %d, length %zu, want %d, length %zu", rows[i].name, err,
				 length, rows[i].want_err, want);
		for (size_t j = err ? 0 : length; j < rows[i].max; j++)
			if (room[j] != UNTOUCHED)
				fail_msg("%s: got a write to entry %zu, want none", rows[i].name,
					 j);
		free(room);
	}
}

/* Slots 0 .. n - 1 with these weights; the table's length. */
static size_t build(const uint32_t *weights, size_t n)
{
	size_t length;

	for (size_t i = 0; i < n; i++)
		items[i] = (struct schedule_item){ .slot = i, .weight = weights[i] };
	assert_int_equal(schedule_build(items, n, table, ARRAY_SIZE(table), &length), 0);
	return length;
}

/* Longest run of one slot, the table walked twice. */
static size_t longest_run(uint64_t slot, size_t length)
{
	size_t run = 0, longest = 0;

	for (size_t i = 0; i < 2 * length; i++) {
		run = table[i % length] == slot ? run + 1 : 0;
		if (run > longest)
			longest = run;
	}
	return longest;
}

static void test_no_bursts(void **state)
{
	static const struct {
		const char *name;
		uint32_t weights[MOST_ITEMS];
		size_t n, want; /* most in a row to one slot */
	} rows[] = {
		{ "equal", { 1, 1, 1, 1 }, 4, 1 },
		{ "2 1 1", { 2, 1, 1 }, 3, 2 },
		{ "3 1 1 1", { 3, 1, 1, 1 }, 4, 2 },
		{ "4 3 3", { 4, 3, 3 }, 3, 2 },
		{ "8 7", { 8, 7 }, 2, 2 },
		{ "5 1", { 5, 1 }, 2, 5 },
		{ "256 255 1", { 256, 255, 1 }, 3, 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t length = build(rows[i].weights, rows[i].n);

		for (size_t slot = 0; slot < rows[i].n; slot++) {
			size_t got = longest_run(slot, length);

			if (got > rows[i].want)
				fail_msg("%s, slot %zu: got %zu in a row, want at most %zu",
					 rows[i].name, slot, got, rows[i].want);
		}
	}
}

/*
 * After any number of turns, starting with the first and going on past the end: how far is a slot
 * ahead of its share (turns * weight / sum), and how far behind? In units of 1 / sum turns.
 */
static void measure_spread(const uint32_t *weights, size_t n, size_t length, int64_t *ahead,
			   int64_t *behind)
{
	static int64_t counts[LB_MAX_WORKERS];

	memset(counts, 0, sizeof(counts));
	*ahead = *behind = 0;
	for (size_t turn = 1; turn <= 2 * length; turn++) {
		counts[table[(turn - 1) % length]]++;
		for (size_t slot = 0; slot < n; slot++) {
			int64_t off = counts[slot] * length - (int64_t)turn * weights[slot];

			if (off > *ahead)
				*ahead = off;
			if (-off > *behind)
				*behind = -off;
		}
	}
	for (size_t slot = 0; slot < n; slot++)
		if (counts[slot] != 2 * (int64_t)weights[slot])
			fail_msg("%zu slots, slot %zu: got %lld turns in two rounds, want %u", n,
				 slot, (long long)counts[slot], 2 * weights[slot]);
}

static void test_two_workers_every_prefix(void **state)
{
	static const uint32_t rows[][2] = {
		{ 5, 1 },   { 1, 5 },	{ 2, 1 },     { 3, 2 },	    { 7, 5 },
		{ 100, 1 }, { 1, 256 }, { 256, 255 }, { 255, 128 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t length = build(rows[i], 2);
		int64_t ahead, behind;

		measure_spread(rows[i], 2, length, &ahead, &behind);
		if (2 * ahead > (int64_t)length || 2 * behind > (int64_t)length)
			fail_msg("%u:%u: got %lld ahead, %lld behind, want at most half of %zu",
				 rows[i][0], rows[i][1], (long long)ahead, (long long)behind,
				 length);
	}
}

static uint32_t gcd(uint32_t a, uint32_t b)
{
	return b ? gcd(b, a % b) : a;
}

/* Weights from a fixed seed, their common divisor taken out. */
static void draw_weights(uint64_t *seed, uint32_t most, uint32_t *weights, size_t n)
{
	uint32_t divisor = 0;

	for (size_t i = 0; i < n; i++) {
		weights[i] = 1 + next_random(seed) % most;
		divisor = gcd(divisor, weights[i]);
	}
	for (size_t i = 0; i < n; i++)
		weights[i] /= divisor;
}

static void test_random_weights(void **state)
{
	static const struct {
		size_t n;
		uint32_t most;
		int times;
	} rows[] = {
		{ 1, LB_MAX_WEIGHT, 10 },
		{ 2, LB_MAX_WEIGHT, 100 },
		{ 3, LB_MAX_WEIGHT, 100 },
		{ 4, 10, 100 },
		{ 16, LB_MAX_WEIGHT, 10 },
		{ 64, LB_MAX_WEIGHT, 1 },
		{ 200, 4, 1 },
	};
	static uint32_t weights[LB_MAX_WORKERS];
	uint64_t seed = 1;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int time = 0; time < rows[i].times; time++) {
			int64_t ahead, behind;
			size_t length;

			draw_weights(&seed, rows[i].most, weights, rows[i].n);
			length = build(weights, rows[i].n);
			measure_spread(weights, rows[i].n, length, &ahead, &behind);
			if (ahead >= (int64_t)length || behind >= (int64_t)length)
				fail_msg("%zu slots: got %lld ahead, %lld behind, want below %zu",
					 rows[i].n, (long long)ahead, (long long)behind, length);
		}
	}
}

static void test_most_workers(void **state)
{
	static uint32_t weights[LB_MAX_WORKERS];
	static uint32_t counts[LB_MAX_WORKERS];
	uint32_t sum = 0;
	size_t length;
	int err;

	(void)state;
	for (size_t i = 0; i < LB_MAX_WORKERS; i++)
		weights[i] = LB_MAX_WEIGHT;
	assert_int_equal(build(weights, LB_MAX_WORKERS), LB_MAX_WORKERS);
	for (size_t i = 0; i < LB_MAX_WORKERS; i++)
		assert_int_equal(table[i], i);

	/* A full half: 32 turns on average, some with 1 so that nothing can be divided. */
	for (size_t i = 0; i < LB_MAX_WORKERS; i++)
		sum += weights[i] = i ? 1 + i * 62 / (LB_MAX_WORKERS - 1) : 1;
	weights[0] += LB_MAX_SCHEDULE - sum;
	assert_int_equal(build(weights, LB_MAX_WORKERS), LB_MAX_SCHEDULE);
	for (size_t i = 0; i < LB_MAX_SCHEDULE; i++)
		counts[table[i]]++;
	for (size_t i = 0; i < LB_MAX_WORKERS; i++)
		assert_int_equal(counts[i], weights[i]);

	items[1].weight++;
	err = schedule_build(items, LB_MAX_WORKERS, table, LB_MAX_SCHEDULE, &length);
	assert_int_equal(err, -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_no_bursts),
		cmocka_unit_test(test_two_workers_every_prefix),
		cmocka_unit_test(test_random_weights),
		cmocka_unit_test(test_most_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
