// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* When a live count may be called wrong, and by how much. */
#include <inttypes.h>

#include "check.h"
#include "service/recount.h"

static void test_drift(void **state)
{
	static const struct {
		const char *name;
		struct lb_stats before, after;
		uint64_t counted;
		int64_t want;
	} rows[] = {
		{ "right", { .opened = 9, .live = 4 }, { .opened = 9, .live = 4 }, 4, 0 },
		{ "none at all", { .live = 0 }, { .live = 0 }, 0, 0 },
		{ "too many in the counters", { .live = 7 }, { .live = 7 }, 4, -3 },
		{ "too few", { .live = 1 }, { .live = 1 }, 4, 3 },
		{ "below 0", { .live = -2 }, { .live = -2 }, 4, 6 },
		{ "one ended", { .live = 5 }, { .live = 4 }, 5, 0 },
		{ "one opened, one ended",
		  { .opened = 8, .live = 4 },
		  { .opened = 9, .live = 4 },
		  5,
		  0 },
		{ "one moved in, one ended",
		  { .live = 4, .migrated_in = 1 },
		  { .live = 4, .migrated_in = 2 },
		  5,
		  0 },
		{ "other counters move",
		  { .live = 7, .skipped = 1 },
		  { .live = 7, .skipped = 5 },
		  4,
		  -3 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t got = recount_drift(&rows[i].before, &rows[i].after, rows[i].counted);

		if (got != rows[i].want)
			fail_msg("%s: got %" PRId64 ", want %" PRId64, rows[i].name, got,
				 rows[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drift),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
