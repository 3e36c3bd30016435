// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* When a worker that has more memory than it may is replaced, and how often. */
#include <signal.h>

#include "check.h"
#include "keeper/outgrown.h"

#define WORKERS 2
#define SEC 1000000ULL

static const struct plan_options options = {
	.restart_delay_us = PLAN_FIRST_BACKOFF_US,
	.stop_signal = SIGTERM,
};

static struct plan plan;
static struct worker workers[WORKERS];

static void begin(uint64_t now_us)
{
	plan_init(&plan, &options, workers, WORKERS, WORKERS);
	for (int w = 0; w < WORKERS; w++)
		workers[w].at[ROLE_CURRENT] = (struct process){
			.state = LIFE_ONLINE,
			.started_us = now_us,
		};
}

static struct process *current(void)
{
	return &workers[0].at[ROLE_CURRENT];
}

/* Looked at once a second, as by a keeper: what that makes of one which is always too large. */
static uint32_t replaced_in(uint64_t seconds, uint64_t over_after_us, bool comes)
{
	uint64_t now_us = 1000 * SEC, until_us = now_us + seconds * SEC;
	uint32_t replaced = 0;

	begin(now_us);
	for (; now_us < until_us; now_us += SEC) {
		if (!current()->over_us && now_us >= current()->started_us + over_after_us)
			current()->over_us = now_us;
		if (!outgrown_is_due(&plan, 0, now_us))
			continue;
		replaced++;
		if (comes)
			*current() = (struct process){
				.state = LIFE_ONLINE,
				.started_us = now_us + SEC / 2,
			};
	}
	return replaced;
}

static void test_how_often(void **state)
{
	static const struct {
		const char *name;
		uint64_t seconds, over_after_us;
		bool comes; /* a new process, each time */
		uint32_t want;
	} rows[] = {
		{ "never", 60, 3600 * SEC, true, 0 },
		{ "once", 1, 0, true, 1 },
		{ "at once each time", 10, 0, true, 6 },
		{ "and then every ten seconds", 120, 0, true, 18 },
		{ "no new process comes", 120, 0, false, 18 },
		{ "after nine seconds each time", 121, 9 * SEC, true, 12 },
		{ "after a minute each time", 601, 60 * SEC, true, 9 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("replaced", rows[i].name,
		      replaced_in(rows[i].seconds, rows[i].over_after_us, rows[i].comes),
		      rows[i].want);
}

/* Long enough within the limit, and the count begins anew. */
static void test_in_a_row(void **state)
{
	static const struct {
		const char *name;
		uint64_t over_after_us;
		uint32_t want;
	} rows[] = {
		{ "soon", 1, 6 },
		{ "as long as counts", PLAN_STEADY_US, 6 },
		{ "later", PLAN_STEADY_US + 1, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(1000 * SEC);
		workers[0].outgrown = 5;
		workers[0].outgrown_us = 999 * SEC;
		current()->over_us = current()->started_us + rows[i].over_after_us;
		check("due", rows[i].name, outgrown_is_due(&plan, 0, 2000 * SEC), 1);
		check("in a row", rows[i].name, workers[0].outgrown, rows[i].want);
		check("when", rows[i].name, workers[0].outgrown_us, 2000 * SEC);
		check("worker 1", rows[i].name, workers[1].outgrown, 0);
	}
}

static void stop(void)
{
	plan_stop(&plan, 0);
}

static void scale(void)
{
	plan_scale(&plan, 1, 0);
}

static void has_successor(void)
{
	workers[0].at[ROLE_NEXT].state = LIFE_STARTING;
}

static void says_that_it_stops(void)
{
	current()->state = LIFE_DRAINING;
}

static void is_small(void)
{
	current()->over_us = 0;
}

static void nothing(void)
{
}

/* Whatever is going on comes first. */
static void test_not_now(void **state)
{
	static const struct {
		const char *name;
		void (*happens)(void);
		bool due;
	} rows[] = {
		{ "nothing", nothing, true },
		{ "it stops", stop, false },
		{ "a scale", scale, false },
		{ "a successor", has_successor, false },
		{ "says STOPPING=1", says_that_it_stops, false },
		{ "is small", is_small, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(1000 * SEC);
		current()->over_us = 1001 * SEC;
		rows[i].happens();
		check("due", rows[i].name, outgrown_is_due(&plan, 0, 1001 * SEC), rows[i].due);
		check("counted", rows[i].name, workers[0].outgrown, rows[i].due);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_how_often),
		cmocka_unit_test(test_in_a_row),
		cmocka_unit_test(test_not_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
