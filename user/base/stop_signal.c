// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See stop_signal.h. */
#include "base/stop_signal.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

/* By their manuals; of all of them SIGTERM cuts off what is in flight. */
static const struct {
	const char *program;
	int number;
} known[] = {
	{ "nginx", SIGQUIT },	 { "openresty", SIGQUIT }, { "angie", SIGQUIT },
	{ "php-fpm", SIGQUIT },	 { "unicorn", SIGQUIT },   { "haproxy", SIGUSR1 },
	{ "apache2", SIGWINCH }, { "httpd", SIGWINCH },	   { "lighttpd", SIGINT },
};

static const char *const modes[] = {
#define X(id, name) [KILL_##id] = (name),
	KILL_MODES(X)
#undef X
};

int stop_signal_parse(const char *text)
{
	int number;

	return parse_signal(text, &number) || number == SIGSTOP ? -EINVAL : number;
}

const char *stop_signal_name(int number)
{
	static char text[24];
	const char *name = sigabbrev_np(number);

	if (name)
		snprintf(text, sizeof(text), "SIG%s", name);
	else
		snprintf(text, sizeof(text), "signal %d", number);
	return text;
}

int stop_signal_of(const char *program)
{
	const char *slash = strrchr(program, '/'), *name = slash ? slash + 1 : program;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t len = strlen(known[i].program);

		/* a version may follow */
		if (!strncmp(name, known[i].program, len) &&
		    !name[len + strspn(name + len, "0123456789.")])
			return known[i].number;
	}
	return 0;
}

int kill_mode_parse(const char *text)
{
	for (int i = 0; i < KILL_MODES_COUNT; i++) {
		if (!strcmp(text, modes[i]))
			return i;
	}
	return -EINVAL;
}

const char *kill_mode_name(enum kill_mode mode)
{
	return modes[mode];
}
