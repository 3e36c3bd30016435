/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Environments by version: who has which, what is kept, and what is no environment. */
#include <errno.h>
#include <stddef.h>

#include "check.h"
#include "keeper/environments.h"

static void add(struct environments **list, uint32_t version, uint32_t oldest, const char *variable)
{
	json_t *variables = json_pack("[s, s]", variable, "B=2");

	assert_int_equal(environments_add(list, version, oldest, variables), 0);
	json_decref(variables);
}

static void test_versions(void **state)
{
	struct environments *list = NULL;

	(void)state;
	assert_null(environments_of(list, 7));
	add(&list, 3, 0, "A=3");
	add(&list, 5, 2, "A=5");
	assert_null(environments_of(list, 2));
	assert_string_equal(environments_of(list, 3)[0], "A=3");
	assert_string_equal(environments_of(list, 4)[0], "A=3");
	assert_string_equal(environments_of(list, 5)[0], "A=5");
	assert_string_equal(environments_of(list, 9)[1], "B=2");
	assert_null(environments_of(list, 9)[2]);
	/* nobody needs the first one any more; of versions that some have it stays */
	add(&list, 8, 5, "A=8");
	assert_null(environments_of(list, 4));
	assert_string_equal(environments_of(list, 5)[0], "A=5");
	assert_string_equal(environments_of(list, 8)[0], "A=8");
	environments_free(list);
}

static void test_what_is_none(void **state)
{
	static const struct {
		const char *text;
		int want;
	} rows[] = {
		{ "[]", 0 },
		{ "[\"A=\", \"B=c=d\"]", 0 },
		{ "{}", -EINVAL },
		{ "\"A=1\"", -EINVAL },
		{ "[1]", -EINVAL },
		{ "[\"A\"]", -EINVAL },
		{ "[\"=A\"]", -EINVAL },
		{ "[\"A=1\", null]", -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		json_t *value = json_loads(rows[i].text, JSON_DECODE_ANY, NULL);

		check("environment", rows[i].text, environments_check(value), rows[i].want);
		json_decref(value);
	}
	check("environment", "none", environments_check(NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
