// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The arithmetic of stalls: ages, and when a held slot gets a probe or is trusted again. */
#include "check.h"
#include "lb_stall.h"

#define SECOND 1000000000ULL

static void test_age(void **state)
{
	static const struct {
		const char *name;
		uint64_t oldest_ns, now_ns, want;
	} rows[] = {
		{ "just seen", 5 * SECOND, 5 * SECOND, 0 },
		{ "a second", 5 * SECOND, 6 * SECOND, SECOND },
		{ "another CPU is ahead", 5 * SECOND, 5 * SECOND - 4000000, 0 },
		{ "a month", SECOND, 2592001 * SECOND, 2592000 * SECOND },
		{ "the clock wraps", -SECOND, SECOND, 2 * SECOND },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct lb_stall stall = { .oldest_ns = rows[i].oldest_ns };
		uint64_t got = lb_stall_age_ns(&stall, rows[i].now_ns);

		if (got != rows[i].want)
			fail_msg("%s: got %llu, want %llu", rows[i].name, (unsigned long long)got,
				 (unsigned long long)rows[i].want);
	}
}

static void test_hold(void **state)
{
	static const struct {
		const char *name;
		struct lb_stall stall;
		uint64_t now_ns;
		int held, due, accepted;
	} rows[] = {
		{ "never rescued", { 0 }, 9 * SECOND, 0, 1, 0 },
		{ "just rescued", { .rescued_ns = SECOND }, SECOND, 1, 0, 0 },
		{ "time for a probe", { .rescued_ns = SECOND }, 2 * SECOND, 1, 1, 0 },
		{ "probe under way",
		  { .rescued_ns = SECOND, .probed_ns = 2 * SECOND },
		  2 * SECOND + LB_PROBE_GRACE_NS,
		  1,
		  0,
		  0 },
		{ "probe accepted",
		  { .rescued_ns = SECOND, .probed_ns = 2 * SECOND },
		  2 * SECOND + LB_PROBE_GRACE_NS + 1,
		  1,
		  0,
		  1 },
		{ "probe of an earlier rescue",
		  { .rescued_ns = 3 * SECOND, .probed_ns = 2 * SECOND },
		  4 * SECOND - 1,
		  1,
		  0,
		  0 },
		{ "accepted since",
		  { .rescued_ns = SECOND, .accepted_ns = SECOND },
		  2 * SECOND,
		  0,
		  1,
		  0 },
		{ "rescued again",
		  { .rescued_ns = 4 * SECOND, .accepted_ns = 3 * SECOND },
		  4 * SECOND,
		  1,
		  0,
		  0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int held = lb_is_held(&rows[i].stall);
		int due = lb_probe_is_due(&rows[i].stall, rows[i].now_ns);
		int accepted = lb_probe_is_accepted(&rows[i].stall, rows[i].now_ns);

		if (held != rows[i].held || due != rows[i].due || accepted != rows[i].accepted)
			fail_msg("%s: got held %d, due %d, accepted %d; want %d, %d, %d",
				 rows[i].name, held, due, accepted, rows[i].held, rows[i].due,
				 rows[i].accepted);
	}
}

static void test_at_work(void **state)
{
	static const struct {
		const char *name;
		uint64_t rescued_ns, ended_ns;
		int want;
	} rows[] = {
		{ "ended none", SECOND, 0, 0 },
		{ "ended one before", SECOND, SECOND, 0 },
		{ "ended one since", SECOND, SECOND + 1, 1 },
		{ "ended one while it is rescued", SECOND + LB_PROBE_NS, SECOND + 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct lb_stall stall = { .rescued_ns = rows[i].rescued_ns };
		const struct lb_stats stats = { .ended_ns = rows[i].ended_ns };

		if (lb_is_at_work(&stall, &stats) != rows[i].want)
			fail_msg("%s: want %d", rows[i].name, rows[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_at_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
