/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When a connection is held, and where: the arithmetic of include/lb_hold.h. */
#include "check.h"
#include "lb_hold.h"
#include "lb_pick.h"

#define MS 1000000ULL
#define US 1000ULL

static void test_pays(void **state)
{
	static const struct {
		const char *name;
		uint64_t always, work, delay, want;
	} rows[] = {
		{ "nothing is known yet", 0, 0, 0, 0 },
		{ "cheap work", 0, 2999 * US, 1 * US, 0 },
		{ "3 ms, and little delay", 0, 3 * MS, 150 * US, 1 },
		{ "3 ms, and too much delay", 0, 3 * MS, 151 * US, 0 },
		{ "dear work excuses a delay", 0, 100 * MS, 5 * MS, 1 },
		{ "always", 1, 0, 5 * MS, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_hold_pays", rows[i].name,
		      lb_hold_pays(rows[i].always, rows[i].work, rows[i].delay), rows[i].want);
}

static void test_far(void **state)
{
	static const struct {
		const char *name;
		uint64_t rtt, work, want;
	} rows[] = {
		{ "nothing is known yet", 0, 0, 0 },
		{ "the same host", 30 * US, 20 * MS, 0 },
		{ "work takes longer", 19 * MS, 20 * MS, 0 },
		{ "the round trip does", 20 * MS, 20 * MS, 1 },
		{ "cheap work", 100 * MS, 2999 * US, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_hold_is_far", rows[i].name, lb_hold_is_far(rows[i].rtt, rows[i].work),
		      rows[i].want);
}

static void test_average(void **state)
{
	static const struct {
		const char *name;
		uint64_t before, sample, want;
	} rows[] = {
		{ "the first", 0, 160, 160 },
		{ "the same", 160, 160, 160 },
		{ "a sixteenth of the way up", 160, 320, 170 },
		{ "and down", 160, 0, 150 },
		{ "one worker hung, of cheap work", 160, 2000000000, 160 + 2250000 - 10 },
		{ "of dear work", 16000000, 2000000000, 16000000 + 8000000 - 1000000 },
		{ "one that never ended", 160ULL << 32, ~0ULL,
		  (160ULL << 32) + (LB_HOLD_MOST_SAMPLE_NS >> 4) - (10ULL << 32) },
		{ "the first never ended", 0, ~0ULL, LB_HOLD_MOST_SAMPLE_NS },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_hold_average", rows[i].name,
		      lb_hold_average(rows[i].before, rows[i].sample), rows[i].want);
}

static void test_patience(void **state)
{
	const uint64_t ms = 1000000;
	const struct {
		const char *name;
		uint64_t work, longest, want;
	} rows[] = {
		{ "cheap", 1 * ms, 1 * ms, 100 * ms },
		{ "dear", 45 * ms, 150 * ms, 360 * ms },
		{ "mostly cheap", 16 * ms, 150 * ms, 300 * ms },
	};
	uint64_t longest = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_hold_patience", rows[i].name,
		      lb_hold_patience(rows[i].work, rows[i].longest), rows[i].want);
	longest = lb_hold_longest(longest, 64 * ms);
	check("lb_hold_longest", "the first", longest, 64 * ms);
	check("lb_hold_longest", "a shorter one", lb_hold_longest(longest, ms), 63 * ms);
	check("lb_hold_longest", "a longer one", lb_hold_longest(longest, 65 * ms), 65 * ms);
}

static void test_unanswered(void **state)
{
	static const struct {
		const char *name;
		uint64_t asked, now, want;
	} rows[] = {
		{ "nobody asked", 0, 1000 * MS, 0 },
		{ "just now", 1000 * MS, 1000 * MS, 0 },
		{ "20 ms", 1000 * MS, 1020 * MS, 0 },
		{ "more", 1000 * MS, 1020 * MS + 1, 1 },
		{ "another CPU's clock is ahead", 1000 * MS, 999 * MS, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_hold_is_unanswered", rows[i].name,
		      lb_hold_is_unanswered(rows[i].asked, rows[i].now), rows[i].want);
}

static void test_awaited(void **state)
{
	static const struct {
		const char *name;
		struct lb_idle idle;
		uint64_t now, want;
	} rows[] = {
		{ "never chosen", { .slept_ns = 5 * MS }, 6 * MS, 0 },
		{ "chosen a moment ago", { .chosen_ns = 5 * MS }, 5 * MS + 300 * US, 1 },
		{ "a while ago", { .chosen_ns = 5 * MS }, 5 * MS + 300 * US + 1, 0 },
		{ "it slept since", { .chosen_ns = 5 * MS, .slept_ns = 5 * MS + 1 }, 5 * MS + 2, 0 },
		{ "it got another one since",
		  { .chosen_ns = 4 * MS, .given_ns = 5 * MS, .slept_ns = 4 * MS + 1 },
		  5 * MS + 2,
		  1 },
		{ "another CPU's clock is ahead", { .chosen_ns = 5 * MS }, 4 * MS, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_hold_is_awaited", rows[i].name,
		      lb_hold_is_awaited(&rows[i].idle, rows[i].now), rows[i].want);
}

static void test_places(void **state)
{
	static const struct {
		const char *name;
		uint64_t open, taken, occupied, closing, want;
	} rows[] = {
		{ "there are none", 0, 0, 0, 0, 0 },
		{ "the highest is kept", 0xf0, 0, 0, 0, 0x70 },
		{ "of all", ~0ULL, 0, 0, 0, ~0ULL >> 1 },
		{ "not the chosen ones", 0xf, 0x3, 0, 0, 0x4 },
		{ "all chosen, none occupied", 0xf, 0xf, 0, 0, 0 },
		{ "one is being emptied", 0xf, 0, 0, 0x1, 0x6 },
		{ "all occupied", 0xf, 0xf, 0xf, 0, 0 },
		{ "a single one is kept", 0x1, 0, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_hold_free", rows[i].name,
		      lb_hold_free(rows[i].open, rows[i].taken, rows[i].occupied, rows[i].closing),
		      rows[i].want);
}

/* Of every set of neighbours and from every first bit: the nearest one above, or the lowest. */
static void test_pick_of_a_set(void **state)
{
	(void)state;
	for (uint32_t low = 0; low < 64; low++) {
		for (uint32_t high = low; high < 64; high++) {
			uint64_t set = (~0ULL << low) & (~0ULL >> (63 - high));

			for (uint32_t first = 0; first < 64; first++) {
				uint32_t want = first < low || first > high ? low : first;

				if (lb_hold_pick(set, first) != want)
					fail_msg("%llx from %u: got %u, want %u",
						 (unsigned long long)set, first,
						 lb_hold_pick(set, first), want);
			}
		}
	}
}

/* Busy ones come after all that are idle, whatever these cost, and before none at all. */
static void test_busy_keys(void **state)
{
	const uint64_t dearest = lb_key((1ULL << 49) - 1, 2047), cheap = lb_key(1, 0);

	(void)state;
	check("lb_key_busy", "idle stays", lb_key_busy(cheap, 0), cheap);
	assert_true(lb_key_busy(cheap, 1) > dearest);
	assert_true(lb_key_busy(dearest, 1) < LB_KEY_NONE);
	check("lb_key_busy", "none stays", lb_key_busy(LB_KEY_NONE, 1), LB_KEY_NONE);
	check("lb_key_busy", "a probe stays", lb_key_busy(7, 1), 7);
	check("lb_key_is_busy", "idle", lb_key_is_busy(dearest), 0);
	check("lb_key_is_busy", "busy", lb_key_is_busy(lb_key_busy(cheap, 1)), 1);
	check("lb_key_is_busy", "none", lb_key_is_busy(LB_KEY_NONE), 1);
	check("lb_key_position", "of a busy one", lb_key_position(lb_key_busy(dearest, 1)), 2047);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pays),	      cmocka_unit_test(test_average),
		cmocka_unit_test(test_far),	      cmocka_unit_test(test_average),
		cmocka_unit_test(test_patience),      cmocka_unit_test(test_unanswered),
		cmocka_unit_test(test_awaited),	      cmocka_unit_test(test_places),
		cmocka_unit_test(test_pick_of_a_set), cmocka_unit_test(test_busy_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
