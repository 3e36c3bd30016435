// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a process uses, by the text of /proc and by a process that is known: our own. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "host/usage.h"

/* Fields 3 to 24 of a process: 14, 15, 22 and 24 are told from the others. */
#define FIELDS "S 1 2 3 4 5 6 7 8 9 10 1234 5678 16 17 18 19 20 21 998877 23 4321 25 26\n"

static void test_parse(void **state)
{
	static const struct {
		const char *name, *text;
		int want;
	} rows[] = {
		{ "plain", "7 (node) " FIELDS, 0 },
		{ "spaces and parentheses in the name", "7 (a) R 1 (b) " FIELDS, 0 },
		{ "cut short", "7 (node) S 1 2 3 4 5 6 7 8 9 10 1234 5678 16", -EBADMSG },
		{ "cut short before the memory",
		  "7 (node) S 1 2 3 4 5 6 7 8 9 10 1234 5678 16 17 18 19 20 21 998877 23",
		  -EBADMSG },
		{ "no name", "7 node S", -EBADMSG },
		{ "nothing", "", -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct usage_stat stat = { 0 };
		int got = usage_parse_stat(rows[i].text, &stat);

		check("usage_parse_stat", rows[i].name, got, rows[i].want);
		if (got) {
			check("nothing is set", rows[i].name,
			      stat.cpu_ticks | stat.start_ticks | stat.resident_pages, 0);
			continue;
		}
		check("cpu_ticks", rows[i].name, stat.cpu_ticks, 1234 + 5678);
		check("start_ticks", rows[i].name, stat.start_ticks, 998877);
		check("resident_pages", rows[i].name, stat.resident_pages, 4321);
	}
}

static void test_our_own(void **state)
{
	struct usage before = { 0 }, now;
	char command[256];

	(void)state;
	assert_int_equal(usage_read(getpid(), &before), 0);
	assert_true(before.memory_bytes > 1 << 20);
	assert_true(before.uptime_ms < 3600000);
	/* until the kernel has noticed what was used: a tick is 1 to 10 ms */
	do {
		assert_int_equal(usage_read(getpid(), &now), 0);
	} while (now.cpu_ms < before.cpu_ms + 50);
	assert_true(now.uptime_ms >= before.uptime_ms + 10);
	usage_command(getpid(), command, sizeof(command));
	assert_non_null(strstr(command, "test_usage"));
	usage_command(getpid(), command, 5);
	assert_int_equal(strlen(command), 4);
}

static void test_words_of_a_command(void **state)
{
	pid_t child = fork();
	char command[64] = "";

	(void)state;
	if (!child) {
		execl("/bin/sleep", "sleep\n", "1000", NULL);
		_exit(127);
	}
	for (int i = 0; i < 500 && strncmp(command, "sleep", 5); i++) {
		usleep(10000);
		usage_command(child, command, sizeof(command));
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_string_equal(command, "sleep\\u000a 1000");
	usage_command(child, command, sizeof(command));
	assert_string_equal(command, "");
	assert_int_equal(usage_read(child, &(struct usage){ 0 }), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_our_own),
		cmocka_unit_test(test_words_of_a_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
