// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Lines out of bytes that come in any pieces; and how much is taken of a process in a second. */
#include <string.h>

#include "check.h"
#include "keeper/budget.h"
#include "keeper/lines.h"

/* What comes, in pieces of so many bytes, and the lines that are taken, each with a '|' behind. */
static const struct {
	const char *bytes;
	size_t piece;
	const char *want;
} rows[] = {
	{ "", 1, "" },
	{ "a", 1, "" },
	{ "a\n", 1, "a|" },
	{ "a\n", 2, "a|" },
	{ "a\nb", 3, "a|" },
	{ "a\nb\n", 1, "a|b|" },
	{ "a\nb\n", 4, "a|b|" },
	{ "\n\n\n", 2, "" },
	{ "\n\na\n\nb\n\n", 3, "a|b|" },
	{ "one\ntwo\nthree\nfo", 5, "one|two|three|" },
};

static void put(struct lines *lines, const char *bytes, size_t n)
{
	size_t room;
	char *at = lines_room(lines, &room);

	assert_true(n <= room);
	memcpy(at, bytes, n);
	lines_add(lines, n);
}

static void take_all(struct lines *lines, char *out)
{
	const char *line;
	size_t n;

	while (lines_has_one(lines)) {
		line = lines_take(lines, &n);
		assert_non_null(line);
		assert_true(n > 0);
		strncat(out, line, n);
		strcat(out, "|");
	}
	assert_null(lines_take(lines, &n));
}

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lines lines = { 0 };
		char got[64] = "";

		for (size_t at = 0, left; (left = strlen(rows[i].bytes) - at) > 0;) {
			size_t n = left < rows[i].piece ? left : rows[i].piece;

			put(&lines, rows[i].bytes + at, n);
			take_all(&lines, got);
			at += n;
		}
		if (strcmp(got, rows[i].want))
			fail_msg("\"%s\" by %zu: \"%s\", want \"%s\"", rows[i].bytes, rows[i].piece,
				 got, rows[i].want);
	}
}

/* The longest fits, whatever came before it; for one more there is no room. */
static void test_longest_line(void **state)
{
	static char bytes[LINES_MOST_BYTES];
	struct lines lines = { 0 };
	size_t room, n;

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	put(&lines, "first\n", 6);
	assert_non_null(lines_take(&lines, &n));
	bytes[sizeof(bytes) - 1] = '\n';
	put(&lines, bytes, sizeof(bytes));
	assert_non_null(lines_take(&lines, &n));
	assert_int_equal(n, sizeof(bytes) - 1);
	bytes[sizeof(bytes) - 1] = 'x';
	put(&lines, bytes, sizeof(bytes));
	assert_false(lines_has_one(&lines));
	lines_room(&lines, &room);
	assert_int_equal(room, 0);
}

#define SECOND 1000000

static void test_budget(void **state)
{
	struct budget budget = { 0 };

	(void)state;
	budget_begin(&budget, 5 * SECOND);
	assert_false(budget_is_spent(&budget));
	budget.messages = BUDGET_MOST_MESSAGES;
	assert_true(budget_is_spent(&budget));
	assert_false(budget_is_over(&budget));
	budget.messages++;
	assert_true(budget_is_over(&budget));
	budget_begin(&budget, 6 * SECOND - 1);
	assert_true(budget_is_over(&budget));
	budget_begin(&budget, 6 * SECOND);
	assert_false(budget_is_spent(&budget));
	budget.bytes = BUDGET_MOST_BYTES;
	assert_true(budget_is_spent(&budget));
	assert_false(budget_is_over(&budget));
	budget.bytes++;
	assert_true(budget_is_over(&budget));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_longest_line),
		cmocka_unit_test(test_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
