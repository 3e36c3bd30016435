// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What keeps a process from running: the texts of a cgroup, and which of several has the limit. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "host/throttle.h"

static void test_parse(void **state)
{
	static const struct {
		const char *name, *text;
		int want;
		uint64_t periods, throttled, us;
	} rows[] = {
		{ "all of it",
		  "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 50\nnr_throttled 20\n"
		  "throttled_usec 123456\nnr_bursts 0\nburst_usec 0\n",
		  0, 50, 20, 123456 },
		{ "in another order", "throttled_usec 3\nnr_throttled 2\nnr_periods 1\n", 0, 1, 2,
		  3 },
		{ "none of the controller", "usage_usec 5\nuser_usec 3\nsystem_usec 2\n", -EBADMSG,
		  7, 7, 7 },
		{ "one is missing", "nr_periods 50\nthrottled_usec 1\n", -EBADMSG, 7, 7, 7 },
		{ "no number", "nr_periods many\nnr_throttled 1\nthrottled_usec 1\n", -EBADMSG, 7,
		  7, 7 },
		{ "nothing", "", -EBADMSG, 7, 7, 7 },
		{ "a long word",
		  "nr_periodsssssssssssssssssssssssssssssssssssssssssssssssssssssss 50\n", -EBADMSG,
		  7, 7, 7 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct throttle got = { .periods = 7, .throttled = 7, .throttled_us = 7 };
		FILE *file = fmemopen((char *)rows[i].text, strlen(rows[i].text) + 1, "r");

		assert_non_null(file);
		check("throttle_parse", rows[i].name, throttle_parse(file, &got), rows[i].want);
		fclose(file);
		check("periods", rows[i].name, got.periods, rows[i].periods);
		check("throttled", rows[i].name, got.throttled, rows[i].throttled);
		check("throttled_us", rows[i].name, got.throttled_us, rows[i].us);
	}
}

static char root[] = "/tmp/throttle.XXXXXX";

static void put(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s%s/%s", root, dir, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void put_cgroup(const char *dir, const char *max, unsigned int throttled)
{
	char text[128];

	snprintf(text, sizeof(text), "nr_periods 90\nnr_throttled %u\nthrottled_usec 5\n",
		 throttled);
	put(dir, "cpu.max", max);
	put(dir, "cpu.stat", text);
}

/* root/a/b/c: of the host, of the service, of the worker. */
static void test_tree(void **state)
{
	static const struct {
		const char *name, *max[3];
		unsigned int throttled[3];
		const char *want; /* "" = nobody */
	} rows[] = {
		{ "none has one", { "max 100000", "max 100000", "max 100000" }, { 0 }, "" },
		{ "the worker's",
		  { "max 100000", "max 100000", "20000 100000" },
		  { 0, 0, 3 },
		  "/a/b/c" },
		{ "the service's",
		  { "max 100000", "20000 100000", "max 100000" },
		  { 0, 3, 0 },
		  "/a/b" },
		{ "the host's, the worker has one that it is below",
		  { "20000 100000", "max 100000", "200000 100000" },
		  { 3, 0, 0 },
		  "/a" },
		{ "both", { "max 100000", "20000 100000", "20000 100000" }, { 0, 3, 3 }, "/a/b/c" },
		{ "never yet", { "20000 100000", "90000 100000", "max 100000" }, { 0 }, "/a/b" },
	};
	static const char *const dirs[] = { "/a", "/a/b", "/a/b/c" };
	char path[64], want[64], folder[64];
	struct throttle got;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		snprintf(path, sizeof(path), "%s%s", root, dirs[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t k = 0; k < 3; k++)
			put_cgroup(dirs[k], rows[i].max[k], rows[i].throttled[k]);
		snprintf(folder, sizeof(folder), "%s/a/b/c", root);
		throttle_read_tree(root, folder, &got);
		snprintf(want, sizeof(want), "%s%s", *rows[i].want ? root : "", rows[i].want);
		if (strcmp(got.cgroup, want))
			fail_msg("%s: got \"%s\", want \"%s\"", rows[i].name, got.cgroup, want);
		check("periods", rows[i].name, got.periods, *want ? 90 : 0);
	}
	/* what is above the mount is nobody's */
	snprintf(path, sizeof(path), "%s/a/b", root);
	put_cgroup("/a", "20000 100000", 3);
	put_cgroup("/a/b", "max 100000", 0);
	put_cgroup("/a/b/c", "max 100000", 0);
	throttle_read_tree(path, folder, &got);
	assert_string_equal(got.cgroup, "");
}

/* A process that is none has no limit; our own is read without a word. */
static void test_process(void **state)
{
	struct throttle got;

	(void)state;
	throttle_read(4194305, &got);
	assert_string_equal(got.cgroup, "");
	throttle_read(getpid(), &got);
	assert_true(*got.cgroup || !got.periods);
}

static int make_root(void **state)
{
	(void)state;
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_process),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
