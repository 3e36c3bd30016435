// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See cmd.h. */
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define JSON_FORMAT (JSON_INDENT(1) | JSON_REAL_PRECISION(7))

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
	bool failed = !object || json_dumpf(object, stdout, JSON_FORMAT) || puts("") < 0 ||
		      fflush(stdout);

	json_decref(object);
	return failed ? trouble_set(trouble, EXIT_FAILED, "can't write the result") : EXIT_DONE;
}

void cmd_line(const char *name, int argc, char **argv, char out[CMD_LINE_BYTES])
{
	size_t used = snprintf(out, CMD_LINE_BYTES, "%s", name);

	for (int i = 1; i < argc && used < CMD_LINE_BYTES; i++)
		used += snprintf(out + used, CMD_LINE_BYTES - used, " %s", argv[i]);
}

int cmd_hold_out(const char **out, struct trouble *trouble)
{
	static char path[32];
	int fd, status = cmd_make_out(*out, trouble);

	if (status || !*out)
		return status;
	fd = open(*out, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return trouble_set(trouble, EXIT_FAILED, "--out: can't open %s: %s", *out,
				   strerror(errno));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*out = path;
	return EXIT_DONE;
}

int cmd_write_json(json_t *object, bool print, const char *out, const char *name,
		   struct trouble *trouble)
{
	char path[PATH_MAX];
	bool failed = !object;

	snprintf(path, sizeof(path), "%s/%s.json", out ? out : "", name);
	if (out && !failed)
		failed = json_dump_file(object, path, JSON_FORMAT);
	if (print && !failed)
		return cmd_print_json(object, trouble);
	json_decref(object);
	return failed ? trouble_set(trouble, EXIT_FAILED, "can't write the result of %s", name) :
			EXIT_DONE;
}

json_t *cmd_time_json(time_t when)
{
	char text[32] = "";
	struct tm utc;

	if (gmtime_r(&when, &utc))
		strftime(text, sizeof(text), "%FT%TZ", &utc);
	return json_string(text);
}

json_t *cmd_interval_json(const struct interval *interval)
{
	return json_pack("[f, f, f]", interval->low, interval->middle, interval->high);
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
