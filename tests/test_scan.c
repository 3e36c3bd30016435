/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The arithmetic of a scan: costs, keys and their minimum, which reports are believed. */
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "lb_pick.h"

static uint32_t picked[LB_MAX_WORKERS];

static void test_conn_cost(void **state)
{
	static const struct {
		const char *name;
		int64_t live;
		uint32_t half_open, weight;
		uint64_t want;
	} rows[] = {
		{ "idle", 0, 0, 1, 65536 },
		{ "open", 5, 0, 1, 6 * 65536 },
		{ "half-open", 0, 5, 1, 6 * 65536 },
		{ "both", 2, 3, 1, 6 * 65536 },
		{ "twice the weight", 5, 0, 2, 6 * 32768 },
		{ "below 0", -7, 0, 1, 65536 },
		{ "far below 0", INT64_MIN, 2, 1, 3 * 65536 },
		{ "no end of them", INT64_MAX, 0, 1, (1ULL << 32) * 65536 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_conn_cost", rows[i].name,
		      lb_conn_cost(rows[i].live, rows[i].half_open,
				   lb_inverse_weight(rows[i].weight)),
		      rows[i].want);
}

static void test_inverse_weight(void **state)
{
	static const struct {
		const char *name;
		uint32_t input, want;
	} rows[] = {
		{ "none counts as 1", 0, 65536 },
		{ "1", 1, 65536 },
		{ "2", 2, 32768 },
		{ "3, rounded down", 3, 21845 },
		{ "heaviest", LB_MAX_WEIGHT, 256 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_inverse_weight", rows[i].name, lb_inverse_weight(rows[i].input),
		      rows[i].want);
	for (uint32_t weight = 1; weight < LB_MAX_WEIGHT; weight++)
		assert_true(lb_inverse_weight(weight) > lb_inverse_weight(weight + 1));
}

static void test_load_cost(void **state)
{
	static const struct {
		const char *name;
		uint64_t load, since;
		uint32_t weight;
		uint64_t want;
	} rows[] = {
		{ "idle", 0, 0, 1, 65536 },
		{ "idle, heavy", 0, 0, 256, 256 },
		{ "load", 9, 0, 1, 10 * 65536 },
		{ "selected since counts as load", 4, 5, 1, 10 * 65536 },
		{ "twice the weight, half the cost", 9, 0, 2, 5 * 65536 },
		{ "a load of 32 bits", UINT32_MAX, 0, 1, TWO_32 * 65536 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_load_cost", rows[i].name,
		      lb_load_cost(rows[i].load, rows[i].since, lb_inverse_weight(rows[i].weight)),
		      rows[i].want);
	/* A worker that reports nonsense is as loaded as can be, and no more. */
	check("lb_load_cost", "all ones", lb_load_cost(UINT64_MAX, 0, 65536),
	      lb_load_cost(1ULL << 40, 0, 65536));
}

/* More load, more selected: never cheaper. More weight: cheaper. Always a key of a fresh slot. */
static void test_load_cost_is_monotonic(void **state)
{
	static const uint64_t steps[] = {
		0,
		1,
		2,
		100,
		65535,
		65536,
		65537,
		TWO_32 - 1,
		TWO_32,
		(1ULL << 33) - 2,
		(1ULL << 33) - 1,
		1ULL << 33,
		(1ULL << 33) + 1,
		1ULL << 40,
		UINT64_MAX - 1,
		UINT64_MAX,
	};

	(void)state;
	for (uint32_t weight = 1; weight <= LB_MAX_WEIGHT; weight++) {
		const uint32_t inverse = lb_inverse_weight(weight);
		const uint32_t heavier = lb_inverse_weight(weight + 1);

		for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
			for (size_t j = 0; j < ARRAY_SIZE(steps); j++) {
				uint64_t cost = lb_load_cost(steps[i], steps[j], inverse);

				if (lb_key(cost, LB_SCAN_WINDOW - 1) >= LB_KEY_NONE)
					fail_msg("%#" PRIx64 " + %#" PRIx64
						 ", weight %u: got cost %#" PRIx64
						 ", want less than 2^50",
						 steps[i], steps[j], weight, cost);
				assert_true(lb_load_cost(steps[i], steps[j], heavier) < cost);
				if (i)
					assert_true(lb_load_cost(steps[i - 1], steps[j], inverse) <=
						    cost);
				if (j)
					assert_true(lb_load_cost(steps[i], steps[j - 1], inverse) <=
						    cost);
			}
		}
	}
}

static void test_key(void **state)
{
	static const struct {
		const char *name;
		uint64_t cost;
		uint32_t position;
	} rows[] = {
		{ "cheapest, first", 1, 0 },
		{ "cheapest, last of a window", 1, LB_SCAN_WINDOW - 1 },
		{ "idle", 65536, 5 },
		{ "any slot", 65536, LB_MAX_SLOTS - 1 },
		{ "dearest", (1ULL << 50) - 1, LB_MAX_SLOTS - 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t key = lb_key(rows[i].cost, rows[i].position);

		check("lb_key_position", rows[i].name, lb_key_position(key), rows[i].position);
		check("lb_key", rows[i].name, key >> (LB_KEY_POSITION_BITS + 1), rows[i].cost);
		check("lb_key, none", rows[i].name, lb_key_is_none(key), 0);
		check("lb_key, silent", rows[i].name, lb_key_is_silent(key), 0);
	}
	check("lb_key_is_silent", "last slot", lb_key_is_silent(LB_MAX_SLOTS - 1), 1);
	check("lb_key_is_none", "none", lb_key_is_none(LB_KEY_NONE), 1);
	check("lb_key_is_silent", "none", lb_key_is_silent(LB_KEY_NONE), 0);
}

/* In the order in which a scan prefers them; the minimum must agree for every pair. */
static void test_key_min(void **state)
{
	const uint64_t keys[] = {
		0,
		1,
		LB_MAX_SLOTS - 1,
		lb_key(1, 0),
		lb_key(1, 1),
		lb_key(1, LB_MAX_SLOTS - 1),
		lb_key(2, 0),
		lb_key(65536, 3),
		lb_key((1ULL << 50) - 1, LB_MAX_SLOTS - 1),
		LB_KEY_NONE,
		(1ULL << 63) - 1,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		for (size_t j = i; j < ARRAY_SIZE(keys); j++) {
			check("lb_key_min", "lower first", lb_key_min(keys[i], keys[j]), keys[i]);
			check("lb_key_min", "higher first", lb_key_min(keys[j], keys[i]), keys[i]);
		}
	}
}

/* A result keeps the minimum whole and tells whether any key was fresh. */
static void test_key_result(void **state)
{
	const struct {
		const char *name;
		uint64_t keys[2], least;
		bool fresh;
	} rows[] = {
		{ "none", { LB_KEY_NONE, LB_KEY_NONE }, LB_KEY_NONE, false },
		{ "silent only", { 5, LB_KEY_NONE }, 5, false },
		{ "silent slots only", { 5, LB_MAX_SLOTS - 1 }, 5, false },
		{ "silent before fresh", { 5, lb_key(1, 6) }, 5, true },
		{ "fresh only", { LB_KEY_NONE, lb_key(65536, 6) }, lb_key(65536, 6), true },
		{ "dearest",
		  { LB_KEY_NONE, lb_key((1ULL << 50) - 1, LB_MAX_SLOTS - 1) },
		  lb_key((1ULL << 50) - 1, LB_MAX_SLOTS - 1),
		  true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t least = lb_key_min(rows[i].keys[0], rows[i].keys[1]);
		uint64_t result = lb_key_result(least, rows[i].keys[0] | rows[i].keys[1]);

		check("lb_result_least", rows[i].name, lb_result_least(result), rows[i].least);
		check("lb_result_is_fresh", rows[i].name, lb_result_is_fresh(result),
		      rows[i].fresh);
	}
}

static void test_scan_slot(void **state)
{
	static const struct {
		const char *name;
		uint32_t first, used, position, want;
	} rows[] = {
		{ "one slot", 0, 1, 0, 0 },
		{ "start", 2, 4, 0, 2 },
		{ "last", 2, 4, 1, 3 },
		{ "wraps", 2, 4, 2, 0 },
		{ "all the way round", 2, 4, 3, 1 },
		{ "most slots, last", LB_MAX_SLOTS - 1, LB_MAX_SLOTS, 0, LB_MAX_SLOTS - 1 },
		{ "most slots, wraps", LB_MAX_SLOTS - 1, LB_MAX_SLOTS, LB_MAX_SLOTS - 1,
		  LB_MAX_SLOTS - 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_scan_slot", rows[i].name,
		      lb_scan_slot(rows[i].first, rows[i].used, rows[i].position), rows[i].want);
}

static void test_report_time(void **state)
{
	static const struct {
		const char *name;
		uint64_t reported, now, want;
	} rows[] = {
		{ "never", 0, 1000, 0 },
		{ "past", 900, 1000, 900 },
		{ "now", 1000, 1000, 1000 },
		{ "future", 1001, 1000, 1000 },
		{ "all ones", UINT64_MAX, 1000, 1000 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_report_time", rows[i].name, lb_report_time(rows[i].reported, rows[i].now),
		      rows[i].want);
}

static void test_report_is_stale(void **state)
{
	static const struct {
		const char *name;
		uint64_t at, now, stale;
		int want;
	} rows[] = {
		{ "never reported", 0, 1000, 100, 1 },
		{ "never reported, at the start of time", 0, 0, 100, 1 },
		{ "just made", 1000, 1000, 100, 0 },
		{ "as old as allowed", 900, 1000, 100, 0 },
		{ "older", 899, 1000, 100, 1 },
		{ "another CPU's later time", 1001, 1000, 100, 0 },
		{ "much later", UINT64_MAX, 1000, 100, 0 },
		{ "nothing is too old", 1, UINT64_MAX, UINT64_MAX, 0 },
		{ "no age allowed, just made", 1000, 1000, 0, 0 },
		{ "no age allowed", 999, 1000, 0, 1 },
		{ "oldest", 1, UINT64_MAX, UINT64_MAX - 2, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_report_is_stale", rows[i].name,
		      lb_report_is_stale(rows[i].at, rows[i].now, rows[i].stale), rows[i].want);
}

/* One scan of least-load over workers whose reports are all fresh. */
static uint32_t cheapest(const uint64_t *load, const uint32_t *weights, uint32_t workers,
			 uint64_t start)
{
	uint32_t first = workers ? start % workers : 0;
	uint64_t least = LB_KEY_NONE;

	for (uint32_t i = 0; i < workers; i++) {
		uint32_t slot = lb_scan_slot(first, workers, i);
		uint64_t cost =
			lb_load_cost(load[slot], picked[slot], lb_inverse_weight(weights[slot]));

		least = lb_key_min(least, lb_key(cost, i));
	}
	if (lb_key_is_none(least))
		return LB_NO_SLOT;
	return lb_scan_slot(first, workers, lb_key_position(least));
}

/* No report comes in during a burst: what was selected since the last one must spread it. */
static void test_least_load_spreads_a_burst(void **state)
{
	static const struct {
		const char *name;
		uint32_t workers;
		uint64_t load[4];
		uint32_t weights[4], connections, want[4];
	} rows[] = {
		{ "one", 1, { 9 }, { 1 }, 100, { 100 } },
		{ "two idle", 2, { 0, 0 }, { 1, 1 }, 100, { 50, 50 } },
		{ "four idle", 4, { 0, 0, 0, 0 }, { 1, 1, 1, 1 }, 100, { 25, 25, 25, 25 } },
		{ "by weight", 3, { 0, 0, 0 }, { 2, 1, 1 }, 100, { 50, 25, 25 } },
		{ "levels the loads", 2, { 30, 0 }, { 1, 1 }, 100, { 35, 65 } },
		{ "levels the loads by weight", 2, { 0, 50 }, { 1, 3 }, 50, { 25, 25 } },
		{ "busy beyond what comes", 2, { 1000, 0 }, { 1, 1 }, 100, { 0, 100 } },
		{ "a report of all ones", 2, { UINT64_MAX, 0 }, { 1, 1 }, 100, { 0, 100 } },
		{ "all spoilt", 2, { UINT64_MAX, UINT64_MAX - 1 }, { 1, 1 }, 100, { 50, 50 } },
	};

	(void)state;
	check("least-load", "no workers", cheapest(NULL, NULL, 0, 5), LB_NO_SLOT);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		memset(picked, 0, sizeof(picked));
		for (uint32_t n = 0; n < rows[i].connections; n++)
			picked[cheapest(rows[i].load, rows[i].weights, rows[i].workers, n)]++;
		for (uint32_t w = 0; w < rows[i].workers; w++)
			if (picked[w] != rows[i].want[w])
				fail_msg("%s, worker %u: got %u, want %u", rows[i].name, w,
					 picked[w], rows[i].want[w]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conn_cost),
		cmocka_unit_test(test_inverse_weight),
		cmocka_unit_test(test_load_cost),
		cmocka_unit_test(test_load_cost_is_monotonic),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_key_min),
		cmocka_unit_test(test_key_result),
		cmocka_unit_test(test_scan_slot),
		cmocka_unit_test(test_report_time),
		cmocka_unit_test(test_report_is_stale),
		cmocka_unit_test(test_least_load_spreads_a_burst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
