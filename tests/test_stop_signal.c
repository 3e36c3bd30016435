// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Signals and modes as users write them, and programs that are known. */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/stop_signal.h"
#include "check.h"
#include "keeper/spawn.h"

static void test_signals(void **state)
{
	static const struct {
		const char *text;
		int want;
	} rows[] = {
		{ "QUIT", SIGQUIT },  { "SIGQUIT", SIGQUIT }, { "3", SIGQUIT },
		{ "USR1", SIGUSR1 },  { "SIGINT", SIGINT },   { "64", 64 },
		{ "KILL", SIGKILL },  { "STOP", -EINVAL },    { "19", -EINVAL },
		{ "0", -EINVAL },     { "65", -EINVAL },      { "quit", SIGQUIT },
		{ "", -EINVAL },      { "SIG", -EINVAL },     { "SIG3", -EINVAL },
		{ "QUITS", -EINVAL }, { "-3", -EINVAL },      { "SIGSIGQUIT", -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("signal", rows[i].text, stop_signal_parse(rows[i].text), rows[i].want);
	assert_string_equal(stop_signal_name(SIGQUIT), "SIGQUIT");
	assert_string_equal(stop_signal_name(40), "signal 40");
}

static void test_programs(void **state)
{
	static const struct {
		const char *program;
		int want;
	} rows[] = {
		{ "nginx", SIGQUIT },	{ "/usr/sbin/nginx", SIGQUIT },
		{ "php-fpm", SIGQUIT }, { "/usr/sbin/php-fpm8.2", SIGQUIT },
		{ "haproxy", SIGUSR1 }, { "apache2", SIGWINCH },
		{ "apache", 0 },	{ "nginx-proxy", 0 },
		{ "node", 0 },		{ "", 0 },
		{ "/usr/sbin/", 0 },	{ "haproxy/run", 0 },
		{ "lighttpd", SIGINT }, { "nginx8.2x", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("signal of", rows[i].program, stop_signal_of(rows[i].program), rows[i].want);
}

static void test_modes(void **state)
{
	(void)state;
	for (int mode = 0; mode < KILL_MODES_COUNT; mode++)
		check("mode", kill_mode_name(mode), kill_mode_parse(kill_mode_name(mode)), mode);
	check("mode", "none", kill_mode_parse("none"), -EINVAL);
	check("mode", "", kill_mode_parse(""), -EINVAL);
}

/* By number 0 kill(2) means the group of who calls, by -1 everybody. */
static void test_no_process(void **state)
{
	(void)state;
	check("signal", "0", spawn_signal(0, false, (uid_t)-1, 0), -ESRCH);
	check("signal", "the group of 0", spawn_signal(0, true, (uid_t)-1, 0), -ESRCH);
	check("signal", "-1", spawn_signal(-1, false, (uid_t)-1, 0), -ESRCH);
	check("signal", "ourselves", spawn_signal(getpid(), false, (uid_t)-1, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_programs),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_no_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
