// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See cmd.h. */
#include "cmd.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

volatile sig_atomic_t cmd_stop;

int cmd_fail(const struct trouble *trouble)
{
	fprintf(stderr, "lb-bench: %s\n", trouble->text);
	return trouble->status;
}

int cmd_make_out(const char *out, struct trouble *trouble)
{
	if (!out || !mkdir(out, 0755) || (errno == EEXIST && !access(out, W_OK | X_OK)))
		return EXIT_DONE;
	return trouble_set(trouble, EXIT_FAILED, "--out: can't write to %s: %s", out,
			   strerror(errno));
}

int cmd_print_json(json_t *object, struct trouble *trouble)
{
	bool failed = !object ||
		      json_dumpf(object, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(7)) ||
		      puts("") < 0 || fflush(stdout);

	json_decref(object);
	return failed ? trouble_set(trouble, EXIT_FAILED, "can't write the result") : EXIT_DONE;
}

void cmd_line(int argc, char **argv, char *out, size_t size)
{
	size_t used = snprintf(out, size, "lb-bench");

	for (int i = 1; i < argc && used < size; i++)
		used += snprintf(out + used, size - used, " %s", argv[i]);
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
