/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Slips of the finger find their word; other words find none. */
#include <string.h>

#include "base/suggest.h"
#include "check.h"

#define LETTERS_16 "abcdefghijklmnop"
#define LETTERS_64 LETTERS_16 LETTERS_16 LETTERS_16 LETTERS_16

static const char *const words[] = {
	"web",	      "api",	    "attach", "detach",	  "set-policy",
	"set-weight", "least-load", "y",      LETTERS_64, LETTERS_64 "-and-more",
};

static void test_suggest(void **state)
{
	static const struct {
		const char *name, *input, *want;
	} rows[] = {
		{ "the word itself", "web", "web" },
		{ "neighbours swapped", "wbe", "web" },
		{ "letter dropped", "we", "web" },
		{ "letter added", "webb", "web" },
		{ "letter changed", "wed", "web" },
		{ "only case differs", "WEB", "web" },
		{ "two slips in three letters", "wxy", NULL },
		{ "two slips in four letters", "wweeb", "web" },
		{ "nearer one wins", "attaxh", "attach" },
		{ "nearer one wins, other", "detaxh", "detach" },
		{ "three slips in nine letters", "sett-polcyi", "set-policy" },
		{ "four slips are too many", "sett--polcyyi", NULL },
		{ "underscore for dash", "set_weight", "set-weight" },
		{ "start of a word is no slip", "least", NULL },
		{ "one letter for another", "x", NULL },
		{ "one letter itself", "y", "y" },
		{ "nothing like it", "frobnicate", NULL },
		{ "longest", LETTERS_64, LETTERS_64 },
		{ "longest, three slips", "xxxdefghijklmnop" LETTERS_16 LETTERS_16 LETTERS_16,
		  LETTERS_64 },
		{ "longest, four slips", "xxxxefghijklmnop" LETTERS_16 LETTERS_16 LETTERS_16,
		  NULL },
		{ "longest, two slips and the last letters swapped",
		  "xxcdefghijklmnop" LETTERS_16 LETTERS_16 "abcdefghijklmnpo", LETTERS_64 },
		{ "three letters less", "set-pol", "set-policy" },
		{ "too long to look at", LETTERS_64 "a", NULL },
		{ "empty", "", NULL },
		{ "null", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *got = suggest(rows[i].input, words, ARRAY_SIZE(words));

		if (!got != !rows[i].want || (got && strcmp(got, rows[i].want)))
			fail_msg("%s: got %s, want %s", rows[i].name, got ? got : "none",
				 rows[i].want ? rows[i].want : "none");
	}
}

static void test_first_wins_a_tie(void **state)
{
	static const char *const candidates[] = { "web1", "web2" };

	(void)state;
	assert_ptr_equal(suggest("web3", candidates, 2), candidates[0]);
	assert_null(suggest("web3", candidates, 0));
	assert_null(suggest("web3", NULL, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_suggest),
		cmocka_unit_test(test_first_wins_a_tie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
