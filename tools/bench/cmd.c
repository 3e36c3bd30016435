// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See cmd.h. */
#include "cmd.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

volatile sig_atomic_t cmd_stop;

int cmd_fail(const struct trouble *trouble)
{
	fprintf(stderr, "lb-bench: %s\n", trouble->text);
	return trouble->status;
}

int cmd_parse_real(const char *option, const char *text, double min, double max, double *value,
		   struct trouble *trouble)
{
	char *end;
	double number;

	errno = 0;
	number = strtod(text, &end);
	if (errno || *end || text[strspn(text, "0123456789.")] || !*text || number <= min ||
	    number > max)
		return trouble_set(trouble, EXIT_USAGE,
				   "%s: '%s' is not a number above %g and at most %g", option, text,
				   min, max);
	*value = number;
	return EXIT_DONE;
}

int cmd_parse_count(const char *option, const char *text, uint64_t min, uint64_t max,
		    uint64_t *value, struct trouble *trouble)
{
	if (parse_u64(text, min, max, value))
		return trouble_set(trouble, EXIT_USAGE,
				   "%s: '%s' is not a number from %llu to %llu", option, text,
				   (unsigned long long)min, (unsigned long long)max);
	return EXIT_DONE;
}

int cmd_bad_option(int option, char **argv, const char *help, struct trouble *trouble)
{
	return trouble_set(trouble, EXIT_USAGE, "%s '%s'; see %s",
			   option == ':' ? "no value after" : "unknown option", argv[optind - 1],
			   help);
}

static void on_signal(int signal)
{
	(void)signal;
	cmd_stop = 1;
}

void cmd_catch_signals(void)
{
	const struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}
