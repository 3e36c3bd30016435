// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which line of a process's last words is told. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "keeper/words.h"

static const struct {
	const char *name, *text, *want;
} rows[] = {
	{ "nothing", "", "" },
	{ "blank lines", "\n \n\t\n", "" },
	{ "one line", "no such file\n", "no such file" },
	{ "no newline at the end", "one\ntwo", "two" },
	{ "the last of several", "one\ntwo\n\n", "two" },
	{ "Node.js",
	  "/app.js:3\nfoo bar\n    ^^^\n\nSyntaxError: Unexpected identifier\n"
	  "    at wrapSafe (node:internal/error:1)\n\nNode.js v18.19.0\n",
	  "SyntaxError: Unexpected identifier" },
	{ "Python",
	  "Traceback (most recent call last):\n  File \"x.py\", line 1\n    raise\nOSError: [Errno 98]\n",
	  "OSError: [Errno 98]" },
	{ "the last error", "error: first\nok\nERROR: second\nbye\n", "ERROR: second" },
	{ "Go", "panic: boom\n\ngoroutine 1 [running]:\n\tmain.go:5\nexit status 2\n",
	  "panic: boom" },
	{ "not printable", "a\x1b[31mb\xc3\xa4\n", "a?[31mb??" },
};

static void test_which_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t bytes = strlen(rows[i].text);
		/* exactly as long as it is, so that reading on is noticed */
		char *text = malloc(bytes ? bytes : 1), line[WORDS_LINE_BYTES];

		memcpy(text, rows[i].text, bytes);
		words_pick(text, bytes, line);
		free(text);
		if (strcmp(line, rows[i].want))
			fail_msg("%s: got \"%s\", want \"%s\"", rows[i].name, line, rows[i].want);
	}
}

static void test_too_long_is_cut(void **state)
{
	char text[1000], line[WORDS_LINE_BYTES];

	(void)state;
	memset(text, 'x', sizeof(text));
	words_pick(text, sizeof(text), line);
	assert_int_equal(strlen(line), WORDS_LINE_BYTES - 1);
	text[0] = '\n';
	text[WORDS_LINE_BYTES] = '\0';
	words_pick(text, sizeof(text), line);
	assert_int_equal(line[0], 'x');
	assert_int_equal(line[WORDS_LINE_BYTES - 2], 'x');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which_line),
		cmocka_unit_test(test_too_long_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
