/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The arithmetic of a pick: at its limits, then as the policies use it, many picks in a row. */
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "lb_pick.h"

static const uint32_t worker_counts[] = { 1, 2, 3, 4, 7, LB_MAX_WORKERS };
static uint32_t picked[LB_MAX_WORKERS];

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

		check("lb_schedule_key", rows[i].name, lb_schedule_key(word, rows[i].index),
		      rows[i].want);
	}
}

static void test_schedule_key_every_entry(void **state)
{
	(void)state;
	for (uint32_t half = 0; half < 2; half++) {
		for (uint32_t length = 1; length <= LB_MAX_SCHEDULE; length = length * 2 + 1) {
			uint64_t word = lb_word_pack(LB_POLICY_RR, half, length);

			for (uint32_t index = 0; index < length; index++) {
				uint32_t got = lb_schedule_key(word, index);

				check("lb_schedule_key", "every entry", got,
				      half * LB_MAX_SCHEDULE + index);
			}
		}
	}
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
		uint32_t key = lb_schedule_key(word, start + i);

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
			picked[lb_schedule_key(word, (uint32_t)next_random(&seed))]++;
		for (uint32_t w = 0; w < workers; w++)
			chi += (picked[w] - expected) * (picked[w] - expected) / expected;
		if ((chi - freedom) * (chi - freedom) > 25 * 2 * freedom)
			fail_msg("%u workers: got chi-square %.1f, want near %.0f", workers, chi,
				 freedom);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_word),
		cmocka_unit_test(test_open_states),
		cmocka_unit_test(test_policies_fit_the_word),
		cmocka_unit_test(test_schedule_key),
		cmocka_unit_test(test_schedule_key_every_entry),
		cmocka_unit_test(test_queue_is_full),
		cmocka_unit_test(test_recent),
		cmocka_unit_test(test_rr_is_exact),
		cmocka_unit_test(test_rr_at_the_end_of_the_counter),
		cmocka_unit_test(test_random_is_even),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
