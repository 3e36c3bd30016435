// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Changes that the process without rights hands over, and the token: user/web/change.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "lb_abi.h"
#include "web/change.h"

static void test_commands(void **state)
{
	static const struct {
		struct change change;
		const char *want; /* NULL = none */
	} rows[] = {
		{ { CHANGE_POLICY, 0, LB_POLICY_RR, "web", "" }, "lbctl set-policy web rr" },
		{ { CHANGE_WEIGHT, 2, 7, "web", "" }, "lbctl set-weight web 2 7" },
		{ { CHANGE_WEIGHT, LB_ALL_WORKERS, 256, "web", "" },
		  "lbctl set-weight web all 256" },
		{ { CHANGE_DRAIN, 1023, 0, "a", "" }, "lbctl drain a 1023" },
		{ { CHANGE_RESUME, LB_ALL_WORKERS, 0, "web", "" }, "lbctl resume web all" },
		{ { CHANGE_RELOAD, 99999, 99999, "web", "" }, "lbctl reload web" },
		{ { CHANGE_VERBS, 0, 0, "web", "" }, NULL },
		{ { UINT32_MAX, 0, 0, "web", "" }, NULL },
		{ { CHANGE_POLICY, 0, 9999, "web", "" }, NULL },
		{ { CHANGE_WEIGHT, 2, 0, "web", "" }, NULL },
		{ { CHANGE_WEIGHT, 2, 257, "web", "" }, NULL },
		{ { CHANGE_DRAIN, 1024, 0, "web", "" }, NULL },
		{ { CHANGE_DRAIN, 0, 0, "", "" }, NULL },
		{ { CHANGE_DRAIN, 0, 0, "--all", "" }, NULL },
		{ { CHANGE_DRAIN, 0, 0, "../web", "" }, NULL },
		{ { CHANGE_DRAIN, 0, 0, "web\n", "" }, NULL },
	};
	struct change endless = { .verb = CHANGE_RELOAD };
	struct change_words words;
	char got[160];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int err = change_command(&rows[i].change, &words);

		check("change_command", rows[i].want ? rows[i].want : "none", err,
		      rows[i].want ? 0 : -EINVAL);
		*got = '\0';
		for (size_t j = 0; !err && words.argv[j]; j++)
			snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", j ? " " : "",
				 words.argv[j]);
		if (!err)
			assert_string_equal(got, rows[i].want);
	}
	memset(endless.service, 'a', sizeof(endless.service));
	assert_int_equal(change_command(&endless, &words), -EINVAL);
}

static void test_tokens(void **state)
{
	static const struct {
		const char *given, *token;
		bool differs;
	} rows[] = {
		{ "0123456789abcdef", "0123456789abcdef", false },
		{ "0123456789abcdeg", "0123456789abcdef", true },
		{ "1123456789abcdef", "0123456789abcdef", true },
		{ "0123456789abcde", "0123456789abcdef", true },
		{ "0123456789abcdef0", "0123456789abcdef", true },
		{ "", "0123456789abcdef", true },
		{ "", "", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct change change = { 0 };

		strcpy(change.token, rows[i].given);
		check("token", rows[i].given, change_token_differs(&change, rows[i].token) != 0,
		      rows[i].differs);
	}
}

static void test_token_files(void **state)
{
	static const struct {
		const char *text;
		int err;
	} rows[] = {
		{ "0123456789abcdef", 0 },
		{ "0123456789abcdef\n", 0 },
		{ "Ab+/=-_.~!0123456789\r\n", 0 },
		{ "0123456789abcde\n", -EINVAL },
		{ "", -EINVAL },
		{ "\n0123456789abcdef\n", -EINVAL },
		{ "0123456789abcdef\nmore\n", -EINVAL },
		{ "0123456789 abcdef\n", -EINVAL },
		{ "0123456789abcdef\t\n", -EINVAL },
		{ "0123456789abcd\xc3\xa4\n", -EINVAL },
	};
	char token[CHANGE_TOKEN_BYTES], text[CHANGE_TOKEN_BYTES + 1] = "";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("file", rows[i].text, change_read_token(rows[i].text, token), rows[i].err);
	memset(text, 'x', CHANGE_TOKEN_BYTES - 1);
	assert_int_equal(change_read_token(text, token), 0);
	assert_string_equal(token, text);
	text[CHANGE_TOKEN_BYTES - 1] = 'x';
	assert_int_equal(change_read_token(text, token), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_token_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
