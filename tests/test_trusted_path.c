// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Paths that others can change, and those that they can't. Some rows take root. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "host/trusted_path.h"

/* Below the test's own directory, which is in /tmp, where others may write and not remove. */
static int set_up(void **state)
{
	static char directory[] = "/tmp/lbctl-test-path-XXXXXX";

	*state = directory;
	return !mkdtemp(directory) || chdir(directory) || mkdir("ours", 0755) ||
	       mkdir("ours/sub", 0755) || mkdir("open", 0755) || chmod("open", 0777) ||
	       mkdir("open/sub", 0755) || mkdir("sticky", 0755) || chmod("sticky", 01777) ||
	       mkdir("sticky/sub", 0755) || symlink("ours/sub", "link") ||
	       symlink("open/sub", "link-open") || symlink("link-open", "link-link") ||
	       symlink("loop", "loop") || symlink("../../ours", "ours/sub/up");
}

static int tear_down(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", (char *)*state);
	return chdir("/") || system(command);
}

static void test_paths(void **state)
{
	static const struct {
		const char *path;
		int want;
	} rows[] = {
		{ "ours/sub/x", 0 },
		{ "ours//sub/./x", 0 },
		{ "x", 0 },
		{ "open/x", 0 },
		{ "open/sub/x", -EXDEV },
		{ "open/sub/../../ours/x", -EXDEV },
		{ "ours/../open/x", 0 },
		{ "sticky/sub/x", 0 },
		{ "link/x", 0 },
		{ "link-open/x", -EXDEV },
		{ "link-link/x", -EXDEV },
		{ "loop/x", -ELOOP },
		{ "ours/sub/up/sub/x", 0 },
		{ "ours/none/x", -ENOENT },
		{ "/x", 0 },
		{ "/etc/x", 0 },
	};
	char path[256];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		check("relative", rows[i].path, trusted_path(rows[i].path, NULL), rows[i].want);
		if (*rows[i].path == '/')
			continue;
		snprintf(path, sizeof(path), "%s/%s", (char *)*state, rows[i].path);
		check("absolute", path, trusted_path(path, NULL), rows[i].want);
	}
}

/* A directory that a group may write to is the business of who is in that group. */
static void test_groups(void **state)
{
	const struct passwd member = { .pw_name = "nobody-of-that-name", .pw_gid = getegid() };
	const struct passwd other = { .pw_name = "nobody-of-that-name", .pw_gid = 54321 };

	(void)state;
	assert_int_equal(chmod("ours", 0775), 0);
	assert_int_equal(trusted_path("ours/sub/x", NULL), 0);
	assert_int_equal(trusted_path("ours/sub/x", &other), 0);
	assert_int_equal(trusted_path("ours/sub/x", &member), -EXDEV);
	assert_int_equal(chmod("ours", 0755), 0);
}

static void test_owner(void **state)
{
	(void)state;
	if (geteuid())
		skip();
	assert_int_equal(chown("ours", 65534, -1), 0);
	assert_int_equal(trusted_path("ours/sub/x", NULL), -EXDEV);
	/* what stands there is its owner's, and the way to it root's */
	assert_int_equal(trusted_path("ours/x", NULL), 0);
	assert_int_equal(chown("ours", 0, -1), 0);
	assert_int_equal(chown("sticky/sub", 65534, -1), 0);
	assert_int_equal(trusted_path("sticky/sub/x", NULL), -EXDEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_owner),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
