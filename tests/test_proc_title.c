// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a process says of itself: its number in Node.js's cluster, or its title. */
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "host/proc_title.h"

/* With the NULs between words, but without the one that the compiler adds. */
#define BYTES(text) text, sizeof(text) - 1

static void test_titles(void **state)
{
	static const struct {
		const char *name;
		const char *environment;
		size_t nr_environment;
		const char *words;
		size_t nr_words;
		const char *want; /* NULL: it says nothing */
	} rows[] = {
		{ "nothing", BYTES(""), BYTES(""), NULL },
		{ "a command and its words", BYTES("A=1\0B=2\0"), BYTES("node\0app.js\0"), NULL },
		{ "Node.js's cluster", BYTES("A=1\0NODE_UNIQUE_ID=3\0"), BYTES("node\0app.js\0"),
		  "cluster worker 3" },
		{ "the last one, without an end", BYTES("NODE_UNIQUE_ID=12"), BYTES("node\0"),
		  "cluster worker 12" },
		{ "another variable that ends alike", BYTES("OLD_NODE_UNIQUE_ID=3\0"),
		  BYTES("node\0"), NULL },
		{ "no number", BYTES("NODE_UNIQUE_ID=x\0NODE_UNIQUE_ID=\0"), BYTES("node\0"),
		  NULL },
		{ "too long for one", BYTES("NODE_UNIQUE_ID=11111111111111111111\0"),
		  BYTES("node\0"), NULL },
		{ "a title", BYTES("A=1\0"), BYTES("gunicorn: worker [app]\0\0\0"),
		  "gunicorn: worker [app]" },
		{ "a title and spaces up to the old end", BYTES(""),
		  BYTES("nginx: worker process   "), "nginx: worker process" },
		{ "spaces alone", BYTES(""), BYTES("   "), NULL },
		{ "a space in a later word", BYTES(""), BYTES("sh\0-c\0sleep 1\0"), NULL },
		{ "the number says more than the title", BYTES("NODE_UNIQUE_ID=1\0"),
		  BYTES("my app\0"), "cluster worker 1" },
		{ "bytes that are no text", BYTES(""), BYTES("a \033[2J\0"), "a \\u001b[2J" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char got[PROC_TITLE_BYTES] = "left over";
		bool says = proc_title_of(rows[i].environment, rows[i].nr_environment,
					  rows[i].words, rows[i].nr_words, got);

		check("proc_title_of", rows[i].name, says, rows[i].want != NULL);
		if (strcmp(got, rows[i].want ? rows[i].want : ""))
			fail_msg("%s: got \"%s\"", rows[i].name, got);
	}
}

/* What is longer than there is room for ends in the middle, and is text still. */
static void test_a_long_title(void **state)
{
	char words[200], got[PROC_TITLE_BYTES];

	(void)state;
	memset(words, 'x', sizeof(words));
	words[1] = ' ';
	assert_true(proc_title_of("", 0, words, sizeof(words), got));
	assert_int_equal(strlen(got), PROC_TITLE_BYTES - 1);
}

static void test_processes(void **state)
{
	char got[PROC_TITLE_BYTES];

	(void)state;
	assert_false(proc_title(getpid(), got));
	assert_false(proc_title(0, got));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_titles),
		cmocka_unit_test(test_a_long_title),
		cmocka_unit_test(test_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
