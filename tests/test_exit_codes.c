// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which exit statuses a text names. */
#include <errno.h>
#include <string.h>

#include "base/exit_codes.h"
#include "check.h"

#define UNTOUCHED 7

static void test_codes(void **state)
{
	static const struct {
		const char *text;
		int want_err;
		int has[4]; /* and no others; ends with -1 */
	} rows[] = {
		{ "0", 0, { 0, -1 } },
		{ "255", 0, { 255, -1 } },
		{ "0,3", 0, { 0, 3, -1 } },
		{ "63,64,128", 0, { 63, 64, 128, -1 } },
		{ "3,3", 0, { 3, -1 } },
		{ "256", -ERANGE, { UNTOUCHED, -1 } },
		{ "0,256", -ERANGE, { UNTOUCHED, -1 } },
		{ "", -EINVAL, { UNTOUCHED, -1 } },
		{ ",", -EINVAL, { UNTOUCHED, -1 } },
		{ "1,", -EINVAL, { UNTOUCHED, -1 } },
		{ ",1", -EINVAL, { UNTOUCHED, -1 } },
		{ "1,,2", -EINVAL, { UNTOUCHED, -1 } },
		{ "1, 2", -EINVAL, { UNTOUCHED, -1 } },
		{ "1-3", -EINVAL, { UNTOUCHED, -1 } },
		{ "-1", -EINVAL, { UNTOUCHED, -1 } },
		{ "x", -EINVAL, { UNTOUCHED, -1 } },
		{ "00000000000000000000000000000000000001", -EINVAL, { UNTOUCHED, -1 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct exit_codes codes = { 0 };
		const int *next = rows[i].has;

		codes.bits[0] = 1ULL << UNTOUCHED;
		check("result", rows[i].text, exit_codes_parse(rows[i].text, &codes),
		      rows[i].want_err);
		for (int status = 0; status <= EXIT_CODES_MOST; status++) {
			bool want = status == *next;

			if (exit_codes_has(&codes, status) != want)
				fail_msg("\"%s\": %d is %s", rows[i].text, status,
					 want ? "missing" : "in it");
			next += want;
		}
		check("killed", rows[i].text, exit_codes_has(&codes, -1), 0);
		check("beyond", rows[i].text, exit_codes_has(&codes, EXIT_CODES_MOST + 1), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
