// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The holder of a lock, by lines of /proc/locks and by a lock that is ours. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "check.h"
#include "host/locks.h"

static void test_lines(void **state)
{
	const struct stat file = { .st_dev = makedev(0, 0x1b), .st_ino = 42 };
	static const struct {
		const char *name, *line;
		pid_t want;
	} rows[] = {
		{ "held", "1: FLOCK  ADVISORY  WRITE 4711 00:1b:42 0 EOF\n", 4711 },
		{ "held by readers", "12: FLOCK  ADVISORY  READ 7 00:1b:42 0 EOF\n", 7 },
		{ "waited for", "1: -> FLOCK  ADVISORY  WRITE 4711 00:1b:42 0 EOF\n", 0 },
		{ "of another file", "1: FLOCK  ADVISORY  WRITE 4711 00:1b:43 0 EOF\n", 0 },
		{ "of another device", "1: FLOCK  ADVISORY  WRITE 4711 01:1b:42 0 EOF\n", 0 },
		{ "a record lock", "1: POSIX  ADVISORY  WRITE 4711 00:1b:42 0 EOF\n", 0 },
		{ "of another pid namespace", "1: FLOCK  ADVISORY  WRITE 0 00:1b:42 0 EOF\n", 0 },
		{ "cut short", "1: FLOCK  ADVISORY  WRITE", 0 },
		{ "nothing", "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("locks_parse", rows[i].name, locks_parse(rows[i].line, &file), rows[i].want);
}

static void test_our_own(void **state)
{
	char path[] = "/tmp/lbctl-test-locks-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(locks_holder(path), 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(locks_holder(path), getpid());
	close(fd);
	unlink(path);
	assert_int_equal(locks_holder(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_our_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
