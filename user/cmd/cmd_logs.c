// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl logs: what the workers print, from the files of --log-dir or the journal of systemd. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd/cmd.h"
#include "cmd/log_journal.h"
#include "cmd/log_tail.h"
#include "keeper/log_place.h"
#include "keeper/spawn.h"

#define DEFAULT_LINES 10
#define MOST_LINES 1000000000
#define LOOK_MS 200 /* at what has come; as often as nobody notices */
#define LOOKS_A_SCAN 5

struct logs {
	const struct cmd *cmd;
	char name[LB_NAME_MAX + 1];
	uint32_t worker; /* whose alone are wanted, or LB_ALL_WORKERS */
	uint64_t lines;
	struct log_place place;
	struct log_tail *tails;
	size_t nr_tails;
	bool prefixed; /* lines of several are shown */
};

/* Of a worker, or LOG_NO_WORKER: of lbctl, or it is not known whose. */
static void print_line(void *arg, uint32_t worker, const char *line, size_t len)
{
	const struct logs *logs = arg;
	json_t *value;

	if (logs->cmd->json) {
		_cleanup_free_ char *text = strndup(line, len);

		value = text_pack("{s:o, s:s}", "worker",
				  worker == LOG_NO_WORKER ? json_null() : json_integer(worker),
				  "line", text ? text : "");
		json_dumpf(value, stdout, JSON_COMPACT);
		json_decref(value);
	} else {
		if (logs->prefixed && worker == LOG_NO_WORKER)
			printf("- | ");
		else if (logs->prefixed)
			printf("%u | ", worker);
		fwrite(line, 1, len, stdout);
	}
	putchar('\n');
}

/* --- files --- */

static int compare(const void *a, const void *b)
{
	const struct log_tail *one = a, *other = b;

	return (one->worker > other->worker) - (one->worker < other->worker);
}

static bool has_tail(const struct logs *logs, uint32_t worker)
{
	for (size_t i = 0; i < logs->nr_tails; i++) {
		if (logs->tails[i].worker == worker)
			return true;
	}
	return false;
}

static int add_tail(struct logs *logs, const char *path, uint32_t worker)
{
	struct log_tail *more = reallocarray(logs->tails, logs->nr_tails + 1, sizeof(*logs->tails));

	if (!more)
		return -ENOMEM;
	logs->tails = more;
	return log_tail_open(&more[logs->nr_tails++], path, worker, print_line, logs);
}

/* "web-12.log" of service web is worker 12's; "web-1-2.log" is of service web-1. */
static bool parse_file(const char *file, const char *name, uint32_t *worker)
{
	size_t len = strlen(name), digits;
	char number[8];
	uint64_t value;

	if (strncmp(file, name, len) || file[len] != '-')
		return false;
	digits = strspn(file + len + 1, "0123456789");
	if (digits >= sizeof(number) || strcmp(file + len + 1 + digits, ".log"))
		return false;
	snprintf(number, sizeof(number), "%.*s", (int)digits, file + len + 1);
	if (parse_u64(number, 0, LB_MAX_WORKERS - 1, &value))
		return false;
	*worker = value;
	return true;
}

/* Files that were not there before. */
static int scan(struct logs *logs)
{
	_cleanup_closedir_ DIR *dir = opendir(logs->place.where);
	const struct dirent *entry;
	char path[PATH_MAX];
	uint32_t worker;
	int err = 0;

	if (!dir)
		return -errno;
	while (!err && (entry = readdir(dir))) {
		if (!parse_file(entry->d_name, logs->name, &worker) || has_tail(logs, worker) ||
		    (logs->worker != LB_ALL_WORKERS && logs->worker != worker))
			continue;
		log_place_path(logs->place.where, logs->name, worker, path);
		err = add_tail(logs, path, worker);
	}
	if (logs->nr_tails)
		qsort(logs->tails, logs->nr_tails, sizeof(*logs->tails), compare);
	logs->prefixed = logs->nr_tails > 1;
	return err;
}

/* Does the service still print where it did? */
static bool goes_on(const struct logs *logs)
{
	struct log_place now;

	return !log_place_read(logs->name, &now) && now.kind == logs->place.kind &&
	       !strcmp(now.where, logs->place.where);
}

static void follow_files(struct logs *logs)
{
	bool last = false;

	for (unsigned int look = 1; !last && !ferror(stdout); look++) {
		fflush(stdout);
		usleep(LOOK_MS * 1000);
		/* what it printed before it ended is told yet */
		last = !goes_on(logs);
		if (logs->place.kind == LOG_DIRECTORY && look % LOOKS_A_SCAN == 0)
			scan(logs);
		for (size_t i = 0; i < logs->nr_tails; i++)
			log_tail_follow(&logs->tails[i]);
	}
}

static int open_files(struct logs *logs)
{
	const char *where = logs->place.where;
	int err = logs->place.kind == LOG_FILE ? add_tail(logs, where, LOG_NO_WORKER) : scan(logs);
	bool found = false;

	for (size_t i = 0; i < logs->nr_tails; i++) {
		int one = log_tail_error(&logs->tails[i]);

		found |= !one;
		/* another worker's may be there, and what is no plain file is none */
		if (one && (one == -EACCES || logs->place.kind == LOG_FILE))
			err = one;
	}
	if (found)
		return EXIT_DONE;
	if (err)
		return cmd_fail(logs->cmd, err == -EACCES ? EXIT_NOT_ABLE : EXIT_FAILED, "%s: %s%s",
				where, err == -EINVAL ? "not a plain file" : strerror(-err),
				err == -EACCES ? "; run as root" : "");
	if (logs->worker == LB_ALL_WORKERS)
		return cmd_fail(logs->cmd, EXIT_FAILED, "there is no log file %s/%s-N.log yet",
				where, logs->name);
	return cmd_fail(logs->cmd, EXIT_NOT_FOUND, "worker %u has no log file %s/%s-%u.log",
			logs->worker, where, logs->name, logs->worker);
}

static int show_files(struct logs *logs)
{
	bool follows = cmd_value(logs->cmd, "f");
	int status = open_files(logs);

	for (size_t i = 0; !status && i < logs->nr_tails; i++) {
		log_tail_last(&logs->tails[i], logs->lines);
		/* a line without an end stands with those before it */
		if (!follows)
			log_tail_close(&logs->tails[i]);
	}
	if (!status && follows)
		follow_files(logs);
	for (size_t i = 0; i < logs->nr_tails; i++)
		log_tail_close(&logs->tails[i]);
	free(logs->tails);
	return status;
}

/* --- the journal --- */

static int show_journal(struct logs *logs)
{
	struct log_journal journal = {
		.service = logs->name,
		.worker = logs->worker,
		.line = print_line,
		.arg = logs,
	};
	bool last = !cmd_value(logs->cmd, "f");
	int err = log_journal_open(&journal, logs->place.where);

	logs->prefixed = logs->worker == LB_ALL_WORKERS;
	if (!err)
		err = log_journal_last(&journal, logs->lines);
	while (!err && !last && !ferror(stdout)) {
		fflush(stdout);
		last = !goes_on(logs);
		err = log_journal_follow(&journal, LOOK_MS);
	}
	log_journal_close(&journal);
	if (err)
		return cmd_fail(logs->cmd, EXIT_FAILED,
				"can't read the journal: %s; journalctl -u %s may say more",
				strerror(-err), logs->place.where);
	return EXIT_DONE;
}

/* --- which --- */

/* [NAME] [WORKER]: one that is no name is a worker of the only service. */
static int parse_args(struct cmd *cmd, struct logs *logs)
{
	const char *last = cmd->nr_args ? cmd->args[cmd->nr_args - 1] : NULL;
	bool has_worker = cmd->nr_args == 2 || (last && !parse_worker(last, &logs->worker));
	const char *lines = cmd_value(cmd, "n");

	if (has_worker && cmd_parse_worker(cmd, last, &logs->worker))
		return EXIT_USAGE;
	if (lines && parse_u64(lines, 0, MOST_LINES, &logs->lines))
		return cmd_fail(cmd, EXIT_USAGE, "-n %.20s: not a number from 0 to %d", lines,
				MOST_LINES);
	return cmd_take_name(cmd, has_worker, logs->name);
}

static int nothing_noted(const struct logs *logs)
{
	struct trouble trouble;
	struct state state;
	int err = state_open(&state, logs->name, STATE_READ);

	if (err) {
		state_trouble(&trouble, logs->name, err);
		return cmd_trouble(logs->cmd, &trouble);
	}
	state_close(&state);
	return cmd_fail(logs->cmd, EXIT_FAILED,
			"lbctl run did not start the workers of %s: their own server says where "
			"they print",
			logs->name);
}

static int run(struct cmd *cmd)
{
	struct logs logs = { .cmd = cmd, .worker = LB_ALL_WORKERS, .lines = DEFAULT_LINES };
	int status = parse_args(cmd, &logs);

	if (status)
		return status;
	if (log_place_read(logs.name, &logs.place))
		return nothing_noted(&logs);
	spawn_raise_file_limit();
	switch (logs.place.kind) {
	case LOG_JOURNAL:
		return show_journal(&logs);
	case LOG_FILE:
		if (logs.worker != LB_ALL_WORKERS)
			return cmd_fail(cmd, EXIT_USAGE,
					"its workers print to one file, %s, which does not say who "
					"printed what: leave the %u out, or run it with --log-dir",
					logs.place.where, logs.worker);
		return show_files(&logs);
	case LOG_DIRECTORY:
		return show_files(&logs);
	case LOG_ELSEWHERE:
		break;
	}
	return cmd_fail(cmd, EXIT_FAILED,
			"its workers print where lbctl run does, to a terminal or a pipe, and that "
			"is kept nowhere; run it with --log-dir, or as a unit of systemd (lbctl "
			"unit)");
}

static const struct cmd_option options[] = {
	{ "f", NULL, "follow: go on with what comes, until the service ends" },
	{ "n", "LINES", "begin with the last LINES lines (default 10)" },
	{ NULL, NULL, NULL },
};

const struct command cmd_logs = {
	.name = "logs",
	.args = "[NAME] [WORKER]",
	.summary = "what the workers of lbctl run print",
	.details = "From the files of run --log-dir, the last lines of each, also when those are "
		   "renamed or truncated; or from the journal of systemd, for a unit. Where lines "
		   "of several workers are shown, each begins with the number of its worker. "
		   "lbctl events tells what happens to them.",
	.max_args = 2,
	.kind = NOUN,
	.options = options,
	.run = run,
};
