/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The arithmetic of a pick: at its limits, then as the policies use it, many picks in a row. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lb_pick.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define TWO_32 (1ULL << 32)

static const uint32_t worker_counts[] = { 1, 2, 3, 4, 7, LB_MAX_WORKERS };
static uint32_t picked[LB_MAX_WORKERS];

static void check(const char *function, const char *name, uint64_t got, uint64_t want)
{
	if (got != want)
		fail_msg("%s, %s: got %" PRIu64 ", want %" PRIu64, function, name, got, want);
}

/* splitmix64 (Steele, Lea, Flood, 2014) */
static uint64_t next_random(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static void test_word(void **state)
{
	static const struct {
		const char *name;
		uint32_t policy, half, length;
		uint64_t want;
	} rows[] = {
		{ "zero", 0, 0, 0, 0 },
		{ "policy only", LB_POLICY_KERNEL, 0, 0, LB_POLICY_KERNEL },
		{ "largest policy", 255, 0, 0, 0xff },
		{ "half only", 0, 1, 0, 0x100 },
		{ "length only", 0, 0, 1, TWO_32 },
		{ "most workers", LB_POLICY_RR, 1, LB_MAX_WORKERS, 0x0000040000000101 },
		{ "full half", LB_POLICY_RR, 1, LB_MAX_SCHEDULE, 0x0000800000000101 },
		{ "all ones", 255, 1, UINT32_MAX, 0xffffffff000001ff },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t word = lb_word_pack(rows[i].policy, rows[i].half, rows[i].length);

		check("lb_word_pack", rows[i].name, word, rows[i].want);
		check("lb_word_policy", rows[i].name, lb_word_policy(word), rows[i].policy);
		check("lb_word_half", rows[i].name, lb_word_half(word), rows[i].half);
		check("lb_word_length", rows[i].name, lb_word_length(word), rows[i].length);
	}
	/* What does not fit must not spill into its neighbours. */
	check("lb_word_pack", "policy 256", lb_word_pack(256, 0, 0), 0);
	check("lb_word_pack", "half 2", lb_word_pack(0, 2, 0), 0);
}

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
		{ "no end of them", INT64_MAX, 0, 1, (1ULL << 34) * 65536 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_conn_cost", rows[i].name,
		      lb_conn_cost(rows[i].live, rows[i].half_open,
				   lb_inverse_weight(rows[i].weight)),
		      rows[i].want);
}

/* Numbers as in the kernel's tcp_states.h. */
static void test_open_states(void **state)
{
	static const struct {
		const char *name;
		uint32_t tcp_state;
		bool want;
	} rows[] = {
		{ "ESTABLISHED", 1, true }, { "SYN_SENT", 2, false },
		{ "SYN_RECV", 3, true },    { "FIN_WAIT1", 4, false },
		{ "FIN_WAIT2", 5, false },  { "TIME_WAIT", 6, false },
		{ "CLOSE", 7, false },	    { "CLOSE_WAIT", 8, true },
		{ "LAST_ACK", 9, false },   { "LISTEN", 10, false },
		{ "CLOSING", 11, false },   { "NEW_SYN_RECV", 12, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_state_is_open", rows[i].name, lb_state_is_open(rows[i].tcp_state),
		      rows[i].want);
}

static void test_policies_fit_the_word(void **state)
{
	(void)state;
#define X(number, id, name, summary)                                                               \
	check("lb_word_policy", name, lb_word_policy(lb_word_pack(number, 1, UINT32_MAX)), number);
	LB_POLICIES(X)
#undef X
}

static void test_schedule_key(void **state)
{
	static const struct {
		const char *name;
		uint32_t half, length;
		uint64_t index;
		uint32_t want;
	} rows[] = {
		{ "first", 0, 4, 0, 0 },
		{ "last", 0, 4, 3, 3 },
		{ "wraps", 0, 4, 4, 0 },
		{ "first, other half", 1, 4, 0, LB_MAX_SCHEDULE },
		{ "last, other half", 1, 4, 3, LB_MAX_SCHEDULE + 3 },
		{ "one entry", 0, 1, UINT64_MAX, 0 },
		{ "full half, last", 0, LB_MAX_SCHEDULE, LB_MAX_SCHEDULE - 1, LB_MAX_SCHEDULE - 1 },
		{ "full half, wraps", 0, LB_MAX_SCHEDULE, LB_MAX_SCHEDULE, 0 },
		{ "both full, last", 1, LB_MAX_SCHEDULE, LB_MAX_SCHEDULE - 1,
		  2 * LB_MAX_SCHEDULE - 1 },
		{ "before 2^32", 0, 3, TWO_32 - 1, 0 },
		{ "at 2^32, nothing is cut", 0, 3, TWO_32, 1 },
		{ "after 2^32", 0, 3, TWO_32 + 1, 2 },
		{ "before 2^64", 0, 4, UINT64_MAX, 3 },
		{ "before 2^64, 3 entries", 0, 3, UINT64_MAX, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t word = lb_word_pack(LB_POLICY_RR, rows[i].half, rows[i].length);

		check("lb_schedule_key", rows[i].name,
		      lb_schedule_key(word, LB_MAX_SCHEDULE, rows[i].index), rows[i].want);
	}
}

static void test_schedule_key_every_entry(void **state)
{
	(void)state;
	for (uint32_t half = 0; half < 2; half++) {
		for (uint32_t length = 1; length <= LB_MAX_SCHEDULE; length = length * 2 + 1) {
			uint64_t word = lb_word_pack(LB_POLICY_RR, half, length);

			for (uint32_t index = 0; index < length; index++) {
				uint32_t got = lb_schedule_key(word, LB_MAX_SCHEDULE, index);

				check("lb_schedule_key", "every entry", got,
				      half * LB_MAX_SCHEDULE + index);
			}
		}
	}
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
		(1ULL << 34) - 2,
		(1ULL << 34) - 1,
		1ULL << 34,
		(1ULL << 34) + 1,
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

				if (lb_key(cost, LB_SCAN_WINDOW - 1) >= LB_KEY_SILENT)
					fail_msg("%#" PRIx64 " + %#" PRIx64
						 ", weight %u: got cost %#" PRIx64
						 ", want less than 2^51",
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
		{ "cheapest, first", 0, 0 },
		{ "cheapest, last of a window", 0, LB_SCAN_WINDOW - 1 },
		{ "idle", 65536, 5 },
		{ "any slot", 65536, LB_MAX_SLOTS - 1 },
		{ "dearest", (1ULL << 51) - 1, LB_MAX_SLOTS - 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t key = lb_key(rows[i].cost, rows[i].position);

		check("lb_key_position", rows[i].name, lb_key_position(key), rows[i].position);
		check("lb_key", rows[i].name, key >> LB_KEY_POSITION_BITS, rows[i].cost);
		check("lb_key, fresh", rows[i].name, key < LB_KEY_SILENT, 1);
	}
}

/* In the order in which a scan prefers them; the minimum must agree for every pair. */
static void test_key_min(void **state)
{
	const uint64_t keys[] = {
		lb_key(0, 0),  lb_key(0, 1),	  lb_key(0, LB_MAX_SLOTS - 1),
		lb_key(1, 0),  lb_key(65536, 3),  lb_key((1ULL << 51) - 1, LB_MAX_SLOTS - 1),
		LB_KEY_SILENT, LB_KEY_SILENT + 1, LB_KEY_SILENT + LB_MAX_SLOTS - 1,
		LB_KEY_NONE,   (1ULL << 63) - 1,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		for (size_t j = i; j < ARRAY_SIZE(keys); j++) {
			check("lb_key_min", "lower first", lb_key_min(keys[i], keys[j]), keys[i]);
			check("lb_key_min", "higher first", lb_key_min(keys[j], keys[i]), keys[i]);
		}
	}
}

static void test_key_silent_first(void **state)
{
	const struct {
		const char *name;
		uint64_t input;
		int want; /* position, or -1 when it is no silent key */
	} rows[] = {
		{ "silent, first", LB_KEY_SILENT, 0 },
		{ "silent, last of a window", LB_KEY_SILENT + LB_SCAN_WINDOW - 1,
		  LB_SCAN_WINDOW - 1 },
		{ "silent, any slot", LB_KEY_SILENT + LB_MAX_SLOTS - 1, LB_MAX_SLOTS - 1 },
		{ "none", LB_KEY_NONE, -1 },
		{ "cheapest", lb_key(0, 0), -1 },
		{ "idle", lb_key(65536, 5), -1 },
		{ "dearest", lb_key((1ULL << 51) - 1, LB_MAX_SLOTS - 1), -1 },
		{ "what a scan starts with", LB_KEY_SILENT << 1, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t key = lb_key_silent_first(rows[i].input);
		int got = lb_key_is_position(key) ? (int)key : -1;

		if (got != rows[i].want)
			fail_msg("%s: got %d, want %d", rows[i].name, got, rows[i].want);
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

static void test_queue_is_full(void **state)
{
	static const struct {
		const char *name;
		uint32_t queued, half_open, backlog;
		int want;
	} rows[] = {
		{ "empty", 0, 0, 511, 0 },
		{ "at the backlog: one more fits", 511, 0, 511, 0 },
		{ "beyond", 512, 0, 511, 1 },
		{ "half-open count", 500, 11, 511, 0 },
		{ "half-open make it full", 500, 12, 511, 1 },
		{ "backlog 0 takes one", 0, 0, 0, 0 },
		{ "backlog 0 has one", 1, 0, 0, 1 },
		{ "sum beyond 32 bits", UINT32_MAX, 1, UINT32_MAX, 1 },
		{ "both largest", UINT32_MAX, UINT32_MAX, UINT32_MAX, 1 },
		{ "largest backlog", UINT32_MAX, 0, UINT32_MAX, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_queue_is_full", rows[i].name,
		      lb_queue_is_full(rows[i].queued, rows[i].half_open, rows[i].backlog),
		      rows[i].want);
}

static void test_recent(void **state)
{
	static const struct {
		const char *name;
		uint32_t hash, slot, asked, want;
	} rows[] = {
		{ "slot 0", 0x12345678, 0, 0x12345678, 0 },
		{ "last slot", 0x12345678, LB_MAX_SLOTS - 1, 0x12345678, LB_MAX_SLOTS - 1 },
		{ "hash 0, slot 0", 0, 0, 0, 0 },
		{ "hash of all ones", UINT32_MAX, 5, UINT32_MAX, 5 },
		{ "largest slot", 7, UINT32_MAX - 1, 7, UINT32_MAX - 1 },
		{ "no slot stays none", 7, LB_NO_SLOT, 7, LB_NO_SLOT },
		{ "another hash", 7, 5, 8, LB_NO_SLOT },
		{ "hash 0 is another hash", 7, 5, 0, LB_NO_SLOT },
		{ "top bit differs", 7, 5, 0x80000007, LB_NO_SLOT },
		{ "slot is no hash", 0, 6, 7, LB_NO_SLOT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_recent_slot", rows[i].name,
		      lb_recent_slot(lb_recent_pack(rows[i].hash, rows[i].slot), rows[i].asked),
		      rows[i].want);
	check("lb_recent_slot", "empty entry, hash 0", lb_recent_slot(0, 0), LB_NO_SLOT);
	check("lb_recent_slot", "empty entry", lb_recent_slot(0, 7), LB_NO_SLOT);
}

/* One connection for each index from `start` on, over a table of `workers` equal workers. */
static void walk(uint32_t workers, uint64_t start, uint32_t connections)
{
	uint64_t word = lb_word_pack(LB_POLICY_RR, 1, workers);

	memset(picked, 0, sizeof(picked));
	for (uint32_t i = 0; i < connections; i++) {
		uint32_t key = lb_schedule_key(word, LB_MAX_SCHEDULE, start + i);

		assert_true(key >= LB_MAX_SCHEDULE && key - LB_MAX_SCHEDULE < workers);
		picked[key - LB_MAX_SCHEDULE]++;
	}
}

static uint32_t spread(uint32_t workers)
{
	uint32_t least = UINT32_MAX, most = 0;

	for (uint32_t i = 0; i < workers; i++) {
		least = picked[i] < least ? picked[i] : least;
		most = picked[i] > most ? picked[i] : most;
	}
	return most - least;
}

/*
 * Wherever the counter stands, also across 2^32, any number of connections differs by at most
 * one between workers, and whole rounds by none.
 */
static void test_rr_is_exact(void **state)
{
	static const uint64_t starts[] = {
		0,	    1,	    1023,	TWO_32 - 2048,	    TWO_32 - 5,
		TWO_32 - 1, TWO_32, 1ULL << 63, UINT64_MAX - 65536,
	};
	static const uint32_t connections[] = { 0, 1, 2, 3, 5, 200, 1023, 1024, 1025, 10000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(worker_counts); i++) {
		uint32_t workers = worker_counts[i];

		for (size_t j = 0; j < ARRAY_SIZE(starts) * ARRAY_SIZE(connections); j++) {
			uint64_t start = starts[j / ARRAY_SIZE(connections)];
			uint32_t n = connections[j % ARRAY_SIZE(connections)];
			uint32_t got, want = n % workers ? 1 : 0;

			walk(workers, start, n);
			got = spread(workers);
			if (got != want)
				fail_msg("%u workers, %u from %" PRIu64 ": got spread %u, want %u",
					 workers, n, start, got, want);
		}
	}
}

/*
 * Where the counter itself wraps, 2^64 is a whole number of rounds only for a power of two; with
 * any other length the round at the wrap is cut short. What comes before it and what comes after
 * it are each exact, so together they are off by two at most, once. Nobody gets there: at a
 * thousand million connections a second it takes 584 years.
 */
static void test_rr_at_the_end_of_the_counter(void **state)
{
	static const struct {
		uint32_t workers, want; /* largest spread of whole rounds */
	} rows[] = { { 1, 0 }, { 2, 0 }, { 4, 0 }, { LB_MAX_WORKERS, 0 }, { 3, 2 }, { 7, 2 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t got;

		walk(rows[i].workers, UINT64_MAX - 3 * rows[i].workers, 10 * rows[i].workers);
		got = spread(rows[i].workers);
		if (got > rows[i].want)
			fail_msg("%u workers: got spread %u, want at most %u", rows[i].workers, got,
				 rows[i].want);
	}
}

/* An entry of the longest table comes up at most 1 in 100,000 more often than another. */
_Static_assert(TWO_32 / LB_MAX_SCHEDULE >= 100000, "32 random bits are enough");

/* A 32-bit random number as the index, as in the kernel; chi-square at five standard deviations. */
static void test_random_is_even(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(worker_counts); i++) {
		uint32_t workers = worker_counts[i];
		uint64_t word = lb_word_pack(LB_POLICY_RANDOM, 0, workers);
		const double expected = 1000, freedom = workers - 1;
		double chi = 0;

		memset(picked, 0, sizeof(picked));
		for (uint32_t n = 0; n < workers * expected; n++)
			picked[lb_schedule_key(word, LB_MAX_SCHEDULE,
					       (uint32_t)next_random(&seed))]++;
		for (uint32_t w = 0; w < workers; w++)
			chi += (picked[w] - expected) * (picked[w] - expected) / expected;
		if ((chi - freedom) * (chi - freedom) > 25 * 2 * freedom)
			fail_msg("%u workers: got chi-square %.1f, want near %.0f", workers, chi,
				 freedom);
	}
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
	if (least >= LB_KEY_SILENT)
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
		cmocka_unit_test(test_word),
		cmocka_unit_test(test_conn_cost),
		cmocka_unit_test(test_open_states),
		cmocka_unit_test(test_policies_fit_the_word),
		cmocka_unit_test(test_schedule_key),
		cmocka_unit_test(test_schedule_key_every_entry),
		cmocka_unit_test(test_inverse_weight),
		cmocka_unit_test(test_load_cost),
		cmocka_unit_test(test_load_cost_is_monotonic),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_key_min),
		cmocka_unit_test(test_key_silent_first),
		cmocka_unit_test(test_scan_slot),
		cmocka_unit_test(test_report_time),
		cmocka_unit_test(test_report_is_stale),
		cmocka_unit_test(test_queue_is_full),
		cmocka_unit_test(test_recent),
		cmocka_unit_test(test_rr_is_exact),
		cmocka_unit_test(test_rr_at_the_end_of_the_counter),
		cmocka_unit_test(test_random_is_even),
		cmocka_unit_test(test_least_load_spreads_a_burst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
