// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* From looks at a service to the facts that lbctl explain goes by. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cmd/explain_looks.h"

/* What came between two looks, in one cgroup. */
static void test_throttled_between_looks(void **state)
{
	static const struct {
		const char *name, *first, *last, *want;
		uint64_t periods, throttled, us;
	} rows[] = {
		{ "the same cgroup", "/c/web", "/c/web", "/c/web", 50, 20, 2000 },
		{ "another one", "/c/web", "/c/api", "", 0, 0, 0 },
		{ "a limit since", "", "/c/web", "", 0, 0, 0 },
		{ "none", "", "", "", 50, 20, 2000 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct explain_looks *looks = NULL;
		const struct throttle *got;

		for (int k = 0; k < 2; k++) {
			struct view view = { .nr_workers = 1,
					     .workers = calloc(1, sizeof(*view.workers)) };
			struct throttle *to = &view.workers->throttle;

			view.workers->state = "up";
			*to = (struct throttle){ .periods = 100 + 50 * k,
						 .throttled = 10 + 20 * k,
						 .throttled_us = 3000 + 2000 * k };
			strcpy(to->cgroup, k ? rows[i].last : rows[i].first);
			if (k)
				explain_looks_add(looks, &view, 5);
			else
				looks = explain_looks_new(&view);
		}
		got = &explain_looks_facts(looks)->workers[0].throttle;
		if (strcmp(got->cgroup, rows[i].want))
			fail_msg("%s: of %s", rows[i].name, got->cgroup);
		check("periods", rows[i].name, got->periods, rows[i].periods);
		check("throttled", rows[i].name, got->throttled, rows[i].throttled);
		check("throttled_us", rows[i].name, got->throttled_us, rows[i].us);
		explain_looks_free(looks);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_throttled_between_looks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
