/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files of variables: what systemd.exec(5) says of EnvironmentFile=, and what is refused. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/envfile.h"
#include "check.h"

static char got[1024];

/* "NAME=VALUE|" for each. */
static void note(void *arg, const char *name, const char *value)
{
	size_t len = strlen(got);

	(void)arg;
	snprintf(got + len, sizeof(got) - len, "%s=%s|", name, value);
}

static void test_files(void **state)
{
	static const struct {
		const char *name, *text, *want;
		int err;
		unsigned int line; /* of an error */
	} rows[] = {
		{ "nothing", "", "", 0, 0 },
		{ "one", "A=b\n", "A=b|", 0, 0 },
		{ "no newline at the end", "A=b", "A=b|", 0, 0 },
		{ "no value", "A=\nB=\n", "A=|B=|", 0, 0 },
		{ "twice: the last counts, by who sets it", "A=1\nA=2\n", "A=1|A=2|", 0, 0 },
		{ "comments", "# A=1\n;B=2\n  # C=3\n\n \t\nE=4\n#", "E=4|", 0, 0 },
		{ "no comment within a value", "A=b # c\n", "A=b # c|", 0, 0 },
		{ "spaces", "  A \t= b c \t\r\nB=2\r\n", "A=b c|B=2|", 0, 0 },
		{ "= in a value", "A=b=c==\n", "A=b=c==|", 0, 0 },
		{ "single quotes", "A='b \\n \"c\" $d  '\n", "A=b \\n \"c\" $d  |", 0, 0 },
		{ "double quotes", "A=\"b 'c'  \"\n", "A=b 'c'  |", 0, 0 },
		{ "escapes in them", "A=\"\\\"\\\\\\`\\$\\n\"\n", "A=\"\\`$\\n|", 0, 0 },
		{ "newline in quotes", "A=\"b\nc\"\nB='d\ne'\n", "A=b\nc|B=d\ne|", 0, 0 },
		{ "joined lines", "A=b\\\nc\nB=\"d\\\ne\"\n", "A=bc|B=de|", 0, 0 },
		{ "escapes outside", "A=\\ b\\'c\\\\\\ \n", "A= b'c\\ |", 0, 0 },
		{ "parts in quotes", "A='b'\"c\" d\n", "A=bcd|", 0, 0 },
		{ "quote within a value", "A=it's\nB=1\n", "A=it's|B=1|", 0, 0 },
		{ "backslash at the very end", "A=b\\", "A=b|", 0, 0 },
		{ "other alphabets", "A=gr\xc3\xbc\xc3\x9f\xff\n", "A=gr\xc3\xbc\xc3\x9f\xff|", 0,
		  0 },
		{ "no =", "A=1\n\nexport\nB=2\n", "A=1|", -EBADMSG, 3 },
		{ "export", "A=1\nexport B=2\n", "A=1|", -EBADMSG, 2 },
		{ "no name", "=1\n", "", -EBADMSG, 1 },
		{ "digit first", "1A=1\n", "", -EBADMSG, 1 },
		{ "odd name", "A-B=1\n", "", -EBADMSG, 1 },
		{ "quote without an end", "A=1\nB='b\nC=3\n", "A=1|", -EBADMSG, 2 },
		{ "double quote without an end", "B=\"b\\\"", "", -EBADMSG, 1 },
		{ "line after joined ones", "A=b\\\nc\nB=\"\n\"\nx\n", "A=bc|B=\n|", -EBADMSG, 5 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		/* of exactly its size, for ASan */
		size_t len = strlen(rows[i].text);
		char *text = malloc(len + !len);
		unsigned int line = 0;
		int err;

		memcpy(text, rows[i].text, len);
		*got = '\0';
		err = envfile_parse(text, len, note, NULL, &line);
		free(text);
		if (err != rows[i].err || strcmp(got, rows[i].want) ||
		    (err && line != rows[i].line))
			fail_msg("%s: got %d \"%s\" line %u, want %d \"%s\" line %u", rows[i].name,
				 err, got, line, rows[i].err, rows[i].want, rows[i].line);
	}
}

static void test_nul(void **state)
{
	static const char text[] = "A=1\nB=2\0C\n";
	unsigned int line = 0;

	(void)state;
	check("NUL", "error", envfile_parse(text, sizeof(text) - 1, note, NULL, &line), -EBADMSG);
	check("NUL", "line", line, 2);
}

static void test_names(void **state)
{
	static const struct {
		const char *name;
		int want;
	} rows[] = {
		{ "A", 1 },  { "_", 1 },   { "a_1", 1 }, { "", 0 },
		{ "1A", 0 }, { "A B", 0 }, { "A=", 0 },	 { "A-B", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("name", rows[i].name, envfile_is_name(rows[i].name), rows[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
