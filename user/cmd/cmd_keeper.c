// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl scale, reload, restart, cancel, stop, send, signal, events: asked of a keeper. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd/ask.h"
#include "cmd/cmd.h"
#include "cmd/sysd.h"
#include "keeper/control_client.h"
#include "keeper/keeper.h"
#include "keeper/leftovers.h"

/* 4 workers, or +2 and -1 of those that there are to be, which the keeper knows. */
static int run_scale(struct cmd *cmd)
{
	const char *text = cmd->args[cmd->nr_args - 1];
	bool by = *text == '+' || *text == '-';
	char name[LB_NAME_MAX + 1];
	uint64_t number;
	json_int_t value;
	int status;

	if (parse_u64(text + by, 1, LB_MAX_WORKERS, &number))
		return cmd_fail(cmd, EXIT_USAGE,
				"%.20s: not a number of workers from 1 to %d, nor +N or -N", text,
				LB_MAX_WORKERS);
	value = *text == '-' ? -(json_int_t)number : (json_int_t)number;
	status = cmd_take_name(cmd, 1, name);
	if (status)
		return status;
	return ask_keeper(cmd, name,
			  text_pack("{s:s, s:I}", "verb", "scale", by ? "by" : "workers", value));
}

/* Ours, as the new processes are to have it. */
static int pack_environment(const struct cmd *cmd, json_t *variables)
{
	for (char **at = environ; *at; at++) {
		const char *end = strchr(*at, '=');

		if (!end || end == *at)
			continue;
		if (json_array_append_new(variables, text_json_exact(*at)))
			return cmd_fail(cmd, EXIT_USAGE,
					"--update-env: %.*s is not UTF-8 and can't be sent; unset "
					"it, or use lbctl run --env-file",
					(int)(end - *at), *at);
	}
	return EXIT_DONE;
}

/* How many at a time; the keeper knows how many a share of them is. */
static int pack_parallel(const struct cmd *cmd, json_t *request)
{
	const char *text = cmd_value(cmd, "parallel");
	bool percent = false;
	uint64_t number;

	if (!text)
		return EXIT_DONE;
	if (parse_share(text, LB_MAX_WORKERS, &number, &percent))
		return cmd_fail(cmd, EXIT_USAGE,
				"--parallel %.20s: not a number of workers from 1 to %d, nor a "
				"share of them from 1%% to 100%%",
				text, LB_MAX_WORKERS);
	json_object_set_new(request, percent ? "percent" : "parallel", json_integer(number));
	return EXIT_DONE;
}

/* `request` is taken over. */
static int ask_reload(const struct cmd *cmd, const char *name, json_t *request)
{
	int status = pack_parallel(cmd, request);

	if (!status)
		return ask_keeper(cmd, name, request);
	json_decref(request);
	return status;
}

static int run_reload(struct cmd *cmd)
{
	char name[LB_NAME_MAX + 1];
	json_t *variables;
	int status = cmd_take_name(cmd, 0, name);

	if (status)
		return status;
	if (!cmd_value(cmd, "update-env"))
		return ask_reload(cmd, name, text_pack("{s:s}", "verb", "reload"));
	variables = json_array();
	status = pack_environment(cmd, variables);
	if (status) {
		json_decref(variables);
		return status;
	}
	return ask_reload(cmd, name,
			  text_pack("{s:s, s:o}", "verb", "reload-env", "environment", variables));
}

#define PARALLEL_OPTION                                                                            \
	{                                                                                          \
		"parallel", "N|PERCENT", "so many at a time: 4, or 25% (default 1)"                \
	}

static const struct cmd_option reload_options[] = {
	{ "update-env", NULL, "the new processes have the environment of this command" },
	PARALLEL_OPTION,
	{ NULL, NULL, NULL },
};

static int run_restart(struct cmd *cmd)
{
	const char *text = cmd->args[cmd->nr_args - 1];
	char name[LB_NAME_MAX + 1];
	uint32_t worker;
	int status;

	status = cmd_parse_worker(cmd, text, &worker);
	if (!status)
		status = cmd_take_name(cmd, 1, name);
	if (status)
		return status;
	if (worker == LB_ALL_WORKERS)
		return ask_reload(cmd, name, text_pack("{s:s}", "verb", "reload"));
	if (cmd_value(cmd, "parallel"))
		return cmd_fail(cmd, EXIT_USAGE,
				"--parallel is for all workers, and this is worker %u: leave it "
				"out, or lbctl restart %s all",
				worker, name);
	return ask_keeper(cmd, name,
			  text_pack("{s:s, s:i}", "verb", "restart", "worker", (int)worker));
}

static const struct cmd_option restart_options[] = {
	PARALLEL_OPTION,
	{ NULL, NULL, NULL },
};

static int run_cancel(struct cmd *cmd)
{
	char name[LB_NAME_MAX + 1];
	int status = cmd_take_name(cmd, 0, name);

	return status ? status : ask_keeper(cmd, name, text_pack("{s:s}", "verb", "cancel"));
}

/* Its keeper was killed, so we do what it would have done. */
static int stop_leftovers(const struct cmd *cmd, const char *name, uint64_t timeout_ms)
{
	bool runs = leftovers_are_of_run(name);
	struct trouble trouble = { 0 };
	unsigned int workers;
	char text[96];

	if (cmd->dry_run) {
		printf("would end what is left of %s\n", name);
		return EXIT_DONE;
	}
	if (leftovers_stop(name, timeout_ms, &workers, &trouble))
		return cmd_trouble(cmd, &trouble);
	if (!runs)
		return ask_say_stopped(cmd, name, "no longer watched; it goes on");
	snprintf(text, sizeof(text),
		 "stopped; its keeper had been killed, and %u process%s of it lived on", workers,
		 workers == 1 ? "" : "es");
	return ask_say_stopped(cmd, name, text);
}

/*
 * As ExecStop= and ExecStopPost=: systemd runs both for a restart too, and the second one when
 * lbctl died. Workers end only when the unit is to stop. Sets *ends to whether that is so.
 */
static int ask_systemd(const struct cmd *cmd, const char *unit, bool *ends)
{
	char job[SYSD_JOB_MAX];
	int err = sysd_job(unit, job);

	if (err)
		return cmd_fail(cmd, EXIT_FAILED,
				"can't ask systemd whether %.80s stops or restarts: %s; workers go "
				"on, lbctl stop without --unit ends them",
				unit, strerror(-err));
	*ends = !strcmp(job, "stop");
	return EXIT_DONE;
}

static int run_stop(struct cmd *cmd)
{
	const char *unit = cmd_value(cmd, "unit"), *timeout = cmd_value(cmd, "kill-timeout");
	uint64_t timeout_ms = KEEPER_KILL_TIMEOUT_MS;
	char name[LB_NAME_MAX + 1];
	bool ends = true, dead;
	int status = cmd_take_name(cmd, 0, name), fd;

	if (!status && timeout && parse_ms(timeout, &timeout_ms))
		return cmd_fail(cmd, EXIT_USAGE, "--kill-timeout %.20s: not a number from 0 to %d",
				timeout, PARSE_MAX_MS);
	if (!status && unit)
		status = ask_systemd(cmd, unit, &ends);
	if (status || !ends)
		return status;
	fd = control_connect(name);
	dead = fd == -ENOENT || fd == -ECONNREFUSED;
	close_fd(&fd);
	if (dead && leftovers_exist(name))
		return stop_leftovers(cmd, name, timeout_ms);
	/* ExecStopPost= after an ExecStop= that did it all */
	if (dead && unit)
		return EXIT_DONE;
	return ask_keeper(cmd, name, text_pack("{s:s}", "verb", "stop"));
}

static const struct cmd_option stop_options[] = {
	{ "unit", "UNIT", "as ExecStop= of this systemd unit: do nothing unless it is to stop" },
	{ "kill-timeout", "MS", "SIGTERM to SIGKILL where lbctl run is dead (default 5000)" },
	{ NULL, NULL, NULL },
};

static int run_send(struct cmd *cmd)
{
	const char *which = cmd->args[cmd->nr_args - 2], *text = cmd->args[cmd->nr_args - 1];
	json_t *message = json_loads(text, JSON_DECODE_ANY, NULL), *request;
	char name[LB_NAME_MAX + 1];
	uint32_t worker;
	int status;

	if (!message)
		return cmd_fail(cmd, EXIT_USAGE, "the message is not JSON; a text is '\"text\"'");
	request = text_pack("{s:s, s:o}", "verb", "send", "message", message);
	status = cmd_parse_worker(cmd, which, &worker);
	if (!status)
		status = cmd_take_name(cmd, 2, name);
	if (status) {
		json_decref(request);
		return status;
	}
	if (worker != LB_ALL_WORKERS)
		json_object_set_new(request, "worker", json_integer(worker));
	return ask_keeper(cmd, name, request);
}

static int run_signal(struct cmd *cmd)
{
	const char *which = cmd->args[cmd->nr_args - 2], *text = cmd->args[cmd->nr_args - 1];
	char name[LB_NAME_MAX + 1];
	uint32_t worker;
	json_t *request;
	int number, status = cmd_parse_worker(cmd, which, &worker);

	if (status)
		return status;
	if (parse_signal(text, &number))
		return cmd_fail(cmd, EXIT_USAGE,
				"%.20s: not a signal; a signal is a name, as HUP or SIGUSR1, or a "
				"number from 1 to %d (kill -l lists them)",
				text, SIGRTMAX);
	status = cmd_take_name(cmd, 2, name);
	if (status)
		return status;
	request = text_pack("{s:s, s:i}", "verb", "signal", "signal", number);
	if (worker != LB_ALL_WORKERS)
		json_object_set_new(request, "worker", json_integer(worker));
	return ask_keeper(cmd, name, request);
}

static void print_event(const struct cmd *cmd, json_t *event)
{
	time_t at = json_integer_value(json_object_get(event, "time"));
	char stamp[16];
	struct tm local;

	strftime(stamp, sizeof(stamp), "%H:%M:%S", localtime_r(&at, &local));
	if (cmd->json)
		json_dumpf(event, stdout, JSON_COMPACT);
	else
		printf("%s %s", stamp, json_string_value(json_object_get(event, "text")));
	putchar('\n');
	fflush(stdout);
}

/* A follower that is slower than what happens is told so. */
static void check_sequence(const json_t *event, json_int_t *last)
{
	json_int_t seq = json_integer_value(json_object_get(event, "seq"));

	if (*last && seq > *last + 1)
		fprintf(stderr, "lbctl: events: %lld event%s missed\n",
			(long long)(seq - *last - 1), seq - *last == 2 ? " was" : "s were");
	*last = seq;
}

static int run_events(struct cmd *cmd)
{
	json_t *request = text_pack("{s:s}", "verb", "events"), *event;
	_cleanup_close_ int fd = -1;
	char name[LB_NAME_MAX + 1];
	json_int_t last = 0;
	int status, err;

	status = cmd_take_name(cmd, 0, name);
	if (!status)
		status = ask_connect(cmd, name, &fd);
	err = status ? 0 : control_request(fd, request);
	json_decref(request);
	if (status)
		return status;
	while (!err && !ferror(stdout)) {
		err = control_receive(fd, &event);
		if (err)
			break;
		if (json_object_get(event, "event")) {
			check_sequence(event, &last);
			print_event(cmd, event);
		}
		json_decref(event);
	}
	return err == -EPIPE ? EXIT_DONE : ask_no_answer(cmd, name, err);
}

const struct command cmd_scale = {
	.name = "scale",
	.args = "[NAME] N|+N|-N",
	.summary = "run N workers from now on; returns when they are online",
	.details = "With a sign N is how many more or fewer.",
	.min_args = 1,
	.max_args = 2,
	.kind = VERB,
	.run = run_scale,
};

const struct command cmd_reload = {
	.name = "reload",
	.args = "[NAME]",
	.summary = "a new process for each worker, one after the other, no connection lost",
	.details =
		"The new process is online before the old one drains, answers what was asked and "
		"gets SIGTERM. The first new one that ends meanwhile stops the reload; all others "
		"go on. As many serve as before, also with --parallel.",
	.max_args = 1,
	.kind = VERB,
	.options = reload_options,
	.run = run_reload,
};

const struct command cmd_restart = {
	.name = "restart",
	.args = "[NAME] WORKER",
	.summary = "a new process for one worker, as reload does, or for all",
	.min_args = 1,
	.max_args = 2,
	.kind = VERB,
	.options = restart_options,
	.run = run_restart,
};

const struct command cmd_cancel = {
	.name = "cancel",
	.args = "[NAME]",
	.summary = "call off the scale, reload or restart that is going on; what serves stays",
	.max_args = 1,
	.kind = VERB,
	.run = run_cancel,
};

const struct command cmd_stop = {
	.name = "stop",
	.args = "NAME",
	.summary = "end a service's workers and its lbctl run",
	.details =
		"Returns when all is gone. Also ends what an lbctl run that was killed has left.",
	.min_args = 1,
	.max_args = 1,
	.kind = VERB,
	.options = stop_options,
	.run = run_stop,
};

const struct command cmd_send = {
	.name = "send",
	.args = "[NAME] WORKER JSON",
	.summary = "send a message to a worker (process.on('message') in Node.js)",
	.min_args = 2,
	.max_args = 3,
	.kind = VERB,
	.run = run_send,
};

const struct command cmd_signal = {
	.name = "signal",
	.args = "[NAME] WORKER SIGNAL",
	.summary = "send a signal to a worker's process",
	.details =
		"WORKER is a number or all, SIGNAL a name or a number: HUP, SIGUSR1, 10. The keeper "
		"sends it to the process that lbctl run started; one that ends of it is started "
		"again.",
	.min_args = 2,
	.max_args = 3,
	.kind = VERB,
	.run = run_signal,
};

const struct command cmd_events = {
	.name = "events",
	.args = "[NAME]",
	.summary = "tell what happened last to a service's workers and follow what does",
	.max_args = 1,
	.kind = NOUN,
	.run = run_events,
};
