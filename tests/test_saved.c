// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a keeper leaves on cgroups for the next one, and what is none of it. */
#include <signal.h>
#include <stdbool.h>

#include "check.h"
#include "keeper/leftovers.h"
#include "keeper/runner.h"

#define UNSET 77

static void test_names_of_processes(void **state)
{
	static const struct {
		const char *text;
		bool is_one;
		uint32_t worker, generation;
	} rows[] = {
		{ "w0-1", true, 0, 1 },
		{ "w3-7/child", true, 3, 7 },
		{ "w3-7\n", true, 3, 7 },
		{ "w1023-2147483647", true, 1023, INT32_MAX },
		{ "w1024-1", false, 0, 0 },
		{ "w0-0", false, 0, 0 },
		{ "w0-2147483648", false, 0, 0 },
		{ "w0-4294967295", false, 0, 0 },
		{ "w0-99999999999999999999", false, 0, 0 },
		{ "w-1-5", false, 0, 0 },
		{ "w 1-5", false, 0, 0 },
		{ "w1--5", false, 0, 0 },
		{ "w1-5x", false, 0, 0 },
		{ "w1/-5", false, 0, 0 },
		{ "w1", false, 0, 0 },
		{ "w-", false, 0, 0 },
		{ "x1-5", false, 0, 0 },
		{ "", false, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t worker = UNSET, generation = UNSET;

		check("is one", rows[i].text, runner_parse_name(rows[i].text, &worker, &generation),
		      rows[i].is_one);
		check("worker", rows[i].text, worker, rows[i].is_one ? rows[i].worker : UNSET);
		check("generation", rows[i].text, generation,
		      rows[i].is_one ? rows[i].generation : UNSET);
	}
}

/* A signal that there is not would be a stop by SIGKILL at once. */
static void test_notes_of_a_stop(void **state)
{
	static const struct {
		const char *note;
		bool is_one;
		int number;
		enum kill_mode mode;
	} rows[] = {
		{ "15 mixed", true, SIGTERM, KILL_MIXED },
		{ "3 group", true, SIGQUIT, KILL_GROUP },
		{ "9999 group", false, 0, 0 },
		{ "0 mixed", false, 0, 0 },
		{ "-15 mixed", false, 0, 0 },
		{ "15 mixed ", false, 0, 0 },
		{ "15  mixed", false, 0, 0 },
		{ "15", false, 0, 0 },
		{ "123456789 mixed", false, 0, 0 },
		{ " mixed", false, 0, 0 },
		{ "", false, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum kill_mode mode = KILL_PROCESS;
		int number = UNSET;

		check("is one", rows[i].note, leftovers_parse_stop(rows[i].note, &number, &mode),
		      rows[i].is_one);
		check("signal", rows[i].note, number, rows[i].is_one ? rows[i].number : UNSET);
		check("mode", rows[i].note, mode, rows[i].is_one ? rows[i].mode : KILL_PROCESS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_of_processes),
		cmocka_unit_test(test_notes_of_a_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
