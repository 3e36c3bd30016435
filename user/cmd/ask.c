// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See ask.h. */
#include "cmd/ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd/gone.h"
#include "cmd/progress.h"
#include "keeper/control_client.h"
#include "keeper/leftovers.h"
#include "keeper/log_end.h"

#define GONE_LOOKS 10
#define GONE_NAP_NS 30000000

/* Nobody answers for this service. */
static int no_keeper(const struct cmd *cmd, const char *name)
{
	char remedy[GONE_BYTES];
	struct trouble trouble;
	struct state state;
	int err;

	if (gone_is(name)) {
		gone_remedy(name, remedy);
		return cmd_fail(cmd, EXIT_FAILED, "the keeper of %s is gone; %s, and %s", name,
				leftovers_count(name) ? "its workers go on" :
							"none of its workers lives",
				remedy);
	}
	err = state_open(&state, name, STATE_READ);
	if (err) {
		state_trouble(&trouble, name, err);
		return cmd_trouble(cmd, &trouble);
	}
	state_close(&state);
	return cmd_fail(cmd, EXIT_NOT_FOUND,
			"no lbctl run keeps a service %s: it was attached, so ask the server "
			"itself for that",
			name);
}

int ask_connect(const struct cmd *cmd, const char *name, int *fd)
{
	*fd = control_connect(name);
	if (*fd >= 0)
		return EXIT_DONE;
	if (*fd == -EACCES || *fd == -EPERM)
		return cmd_fail(cmd, EXIT_NOT_ABLE,
				"may not talk to the keeper of %s; run as root or as its user",
				name);
	return no_keeper(cmd, name);
}

int ask_say_stopped(const struct cmd *cmd, const char *name, const char *text)
{
	if (cmd->json)
		return cmd_print_json(text_pack("{s:s, s:b}", "service", name, "stopped", 1));
	printf("%s: %s\n", name, text);
	return EXIT_DONE;
}

/* A keeper that is killed closes what it was asked through a moment before it has ended. */
static bool nobody_listens(const char *name)
{
	const struct timespec nap = { .tv_nsec = GONE_NAP_NS };

	for (int i = 0; i < GONE_LOOKS; i++) {
		int fd = control_connect(name);

		if (fd < 0)
			return fd != -EACCES && fd != -EPERM;
		close(fd);
		nanosleep(&nap, NULL);
	}
	return false;
}

int ask_no_answer(const struct cmd *cmd, const char *name, int err)
{
	switch (err) {
	case -EMSGSIZE:
		return cmd_fail(cmd, EXIT_FAILED, "the message is too long; 64 KiB is the limit");
	case -EPIPE:
	case -ECONNRESET:
		if (nobody_listens(name))
			return no_keeper(cmd, name);
		return cmd_fail(cmd, EXIT_FAILED,
				"its keeper ended without an answer: it was killed, or does not "
				"admit you; its workers go on. lbctl show %s says what takes it up "
				"again, lbctl stop %s ends them",
				name, name);
	default:
		return cmd_fail(cmd, EXIT_FAILED, "%s", strerror(-err));
	}
}

/* The last line of a worker's log that is not blank, for the message about its end; or "". */
static void last_line(const char *path, char *out, size_t len)
{
	char text[LOG_END_BYTES], *line;

	*out = '\0';
	log_end_read(path, text);
	for (char *at = text; (line = strsep(&at, "\n"));) {
		if (line[strspn(line, " \t\r")])
			snprintf(out, len, "%s", line);
	}
}

static int failed(const struct cmd *cmd, int status, const json_t *reply)
{
	const char *log = json_string_value(json_object_get(reply, "log"));
	const char *text = json_string_value(json_object_get(reply, "text"));
	char line[200] = "";

	if (log)
		last_line(log, line, sizeof(line));
	return cmd_fail(cmd, status, *line ? "%s, which ends: %s" : "%s", text ? text : "?", line);
}

int ask_keeper(const struct cmd *cmd, const char *name, json_t *request)
{
	_cleanup_close_ int fd = -1;
	json_t *reply = NULL;
	const char *text;
	int status, err;

	status = ask_connect(cmd, name, &fd);
	if (status || cmd->dry_run) {
		json_decref(request);
		if (!status)
			printf("would %s %s\n", cmd->command->name, name);
		return status;
	}
	err = progress_request(cmd, name, fd, request);
	json_decref(request);
	if (!err)
		err = control_receive(fd, &reply);
	if (err)
		return ask_no_answer(cmd, name, err);
	status = json_integer_value(json_object_get(reply, "status"));
	text = json_string_value(json_object_get(reply, "text"));
	if (status)
		failed(cmd, status, reply);
	else if (!strcmp(cmd->command->name, "stop"))
		status = ask_say_stopped(cmd, name, text);
	else if (cmd->json)
		return cmd_print_json(reply);
	else
		printf("%s: %s\n", name, text);
	json_decref(reply);
	return status;
}
