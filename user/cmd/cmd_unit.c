// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl unit: a systemd unit that runs lbctl run or lbctl watch. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/workdir.h"
#include "cmd/cmd.h"
#include "cmd/cmd_run.h"
#include "cmd/program.h"
#include "cmd/unit.h"

#define LOW_PORTS 1024

/* What the unit's text refers to. */
struct plan {
	char program[PATH_MAX];
	char directory[PATH_MAX]; /* by the name that is known */
	char real[PATH_MAX];
	char cwd[PATH_MAX];
	char command[PATH_MAX];
	char log_dir[PATH_MAX];
	const char **argv;
	size_t argc;
	char dashed[CMD_MAX_OPTIONS][32];
};

static void add(struct plan *plan, const char *word)
{
	plan->argv[plan->argc++] = word;
}

static int find_paths(const struct cmd *cmd, struct plan *plan)
{
	ssize_t n = readlink("/proc/self/exe", plan->program, sizeof(plan->program) - 1);

	if (n < 0 || workdir_name(plan->directory) || !getcwd(plan->real, sizeof(plan->real)))
		return cmd_fail(cmd, EXIT_FAILED, "%s: %s",
				n < 0 ? "/proc/self/exe" : "the working directory",
				strerror(errno));
	plan->program[n] = '\0';
	if (access(plan->program, X_OK))
		return cmd_fail(cmd, EXIT_FAILED, "%s: is not there any more", plan->program);
	if (unit_check_path(plan->program))
		return cmd_fail(cmd, EXIT_FAILED,
				"%s: systemd takes no program whose path has quotes, backslashes "
				"or control characters; install lbctl elsewhere",
				plan->program);
	if (unit_check_path(plan->directory))
		return cmd_fail(cmd, EXIT_FAILED,
				"%s: a unit can't have a working directory of this name; "
				"call lbctl unit in another one",
				plan->directory);
	return EXIT_DONE;
}

static int find_command(const struct cmd *cmd, struct plan *plan)
{
	int err = program_find(cmd->args[0], plan->directory, plan->command);

	if (err == -ENOENT)
		return cmd_fail(cmd, PROGRAM_NOT_FOUND, "%s: command not found", cmd->args[0]);
	if (err)
		return cmd_fail(cmd, PROGRAM_NOT_EXECUTABLE, "%s: not executable", plan->command);
	return EXIT_DONE;
}

static void doubt(const struct cmd *cmd, const char *path)
{
	const char *why = unit_path_doubt(path);

	if (why)
		cmd_fail(cmd, EXIT_DONE, "warning: %s %s", path, why);
}

/* What the unit needs at boot: lbctl, and the files that the command line names. */
static void doubt_paths(const struct cmd *cmd, const struct plan *plan)
{
	char path[PATH_MAX];
	struct stat st;

	doubt(cmd, plan->program);
	for (int i = 0; i < cmd->nr_args; i++) {
		if (!workdir_join(path, plan->directory, i ? cmd->args[i] : plan->command) &&
		    !stat(path, &st) && S_ISREG(st.st_mode))
			doubt(cmd, path);
	}
}

static int print(const struct cmd *cmd, const struct unit *unit,
		 void (*write_unit)(FILE *out, const struct unit *unit))
{
	_cleanup_free_ char *text = NULL;
	char name[LB_NAME_MAX + sizeof(".service")];
	size_t size;
	FILE *memory;

	for (size_t i = 0; unit->argv[i]; i++) {
		if (unit_check_word(unit->argv[i]))
			return cmd_fail(
				cmd, EXIT_USAGE,
				"argument %zu of lbctl %s is not UTF-8, which systemctl can't "
				"show; put the command into a script",
				i, unit->argv[0]);
	}
	if (!cmd->json) {
		write_unit(stdout, unit);
		return EXIT_DONE;
	}
	memory = open_memstream(&text, &size);
	if (!memory)
		return cmd_fail(cmd, EXIT_FAILED, "out of memory");
	write_unit(memory, unit);
	fclose(memory);
	snprintf(name, sizeof(name), "%s.service", unit->name);
	/* a file has lines; its words were looked at above */
	return cmd_print_json(text_pack("{s:i, s:o, s:s}", "schema", 1, "unit",
					text_json_exact(text ? text : ""), "name", name));
}

/* The options of run as they were given, in the table's order. */
static int add_options(const struct cmd *cmd, struct plan *plan)
{
	const struct cmd_option *options = cmd->command->options;

	for (size_t i = 0; options[i].name; i++) {
		const char *value = cmd->values[i];

		if (!value || !strcmp(options[i].name, "name"))
			continue;
		snprintf(plan->dashed[i], sizeof(plan->dashed[i]), "%s%s",
			 options[i].name[1] ? "--" : "-", options[i].name);
		add(plan, plan->dashed[i]);
		if (!strcmp(options[i].name, "log-dir") || !strcmp(options[i].name, "cwd")) {
			char *path = *options[i].name == 'l' ? plan->log_dir : plan->cwd;

			if (workdir_join(path, plan->directory, value))
				return cmd_fail(cmd, EXIT_USAGE, "--%s: too long", options[i].name);
			value = path;
		}
		if (options[i].value)
			add(plan, value);
	}
	if (cmd_value(cmd, "user") && !cmd_value(cmd, "no-new-privileges"))
		add(plan, "--no-new-privileges");
	/* systemd enters what the link leads to when lbctl starts, workers what it leads to then */
	if (!cmd_value(cmd, "cwd") && strcmp(plan->directory, plan->real)) {
		add(plan, "--cwd");
		add(plan, plan->directory);
	}
	return EXIT_DONE;
}

static bool binds_low_port(const struct keeper_options *options)
{
	for (uint32_t i = 0; i < options->nr_listens; i++) {
		if (options->listens[i].port < LOW_PORTS)
			return true;
	}
	return false;
}

static int print_run(struct cmd *cmd, struct plan *plan)
{
	struct keeper_options options = { 0 };
	struct unit unit = { .argv = plan->argv };
	struct stat st;
	int status = cmd_run_parse(cmd, &options);

	if (!status)
		status = program_check_script(cmd);
	if (!status)
		status = find_command(cmd, plan);
	if (status)
		return status;
	add(plan, "run");
	add(plan, "--name");
	add(plan, options.name);
	status = add_options(cmd, plan);
	if (status)
		return status;
	add(plan, "--");
	add(plan, plan->command);
	for (int i = 1; i < cmd->nr_args; i++)
		add(plan, cmd->args[i]);
	unit.name = options.name;
	unit.program = plan->program;
	unit.directory = plan->directory;
	unit.workers_are_root = !options.user;
	unit.binds_low_port = binds_low_port(&options);
	unit.writes_others_files = options.log_dir && !stat(options.log_dir, &st) && st.st_uid;
	unit.workers = options.workers;
	unit.ready_timeout_ms = options.ready_timeout_ms;
	unit.drain_timeout_ms = options.drain_timeout_ms;
	unit.kill_timeout_ms = options.kill_timeout_ms;
	doubt_paths(cmd, plan);
	return print(cmd, &unit, unit_print);
}

/* Options of the unit's own that are for a command to run: but those, which are not. */
static int refuse_options(const struct cmd *cmd, const char *mode, const char *also)
{
	const struct cmd_option *options = cmd->command->options;

	for (size_t i = 0; options[i].name; i++) {
		if (cmd->values[i] && strcmp(options[i].name, mode) &&
		    strcmp(options[i].name, also))
			return cmd_fail(cmd, EXIT_USAGE,
					"%s%s is for a command to run, not for --%s",
					options[i].name[1] ? "--" : "-", options[i].name, mode);
	}
	return EXIT_DONE;
}

/* A unit has no directory that a file's name begins in. */
static int check_token_file(const struct cmd *cmd)
{
	static const char option[] = "--token-file";

	for (int i = 0; i < cmd->nr_args; i++) {
		const char *value = cmd->args[i] + strlen(option);

		if (strncmp(cmd->args[i], option, strlen(option)))
			continue;
		value = *value == '=' ? value + 1 : i + 1 < cmd->nr_args ? cmd->args[i + 1] : "";
		if (*value != '/')
			return cmd_fail(cmd, EXIT_USAGE,
					"--token-file %.80s: a unit takes an "
					"absolute path",
					value);
		doubt(cmd, value);
	}
	return EXIT_DONE;
}

static int print_export(struct cmd *cmd, struct plan *plan)
{
	const struct unit unit = { .name = "lbctl-export",
				   .program = plan->program,
				   .argv = plan->argv };
	int status = refuse_options(cmd, "export", "");

	if (!status)
		status = cmd_check_words(&cmd_export, cmd->nr_args, cmd->args);
	if (!status)
		status = check_token_file(cmd);
	if (status)
		return status;
	add(plan, "export");
	for (int i = 0; i < cmd->nr_args; i++)
		add(plan, cmd->args[i]);
	doubt(cmd, plan->program);
	return print(cmd, &unit, unit_print_export);
}

static int print_watch(struct cmd *cmd, struct plan *plan)
{
	struct unit unit = { .argv = plan->argv, .program = plan->program, .watches = true };
	const char *text = cmd_value(cmd, "attach"), *policy = cmd_value(cmd, "policy"), *why;
	char name[LB_NAME_MAX + 1];
	struct addr addr;
	uint32_t number;
	int status = refuse_options(cmd, "attach", "policy");

	if (status)
		return status;
	if (cmd->nr_args)
		return cmd_fail(cmd, EXIT_USAGE,
				"--attach is for a server that someone else starts: no command");
	if (addr_parse(text, &addr, &why))
		return cmd_fail(cmd, EXIT_USAGE, "--attach %.80s: %s", text, why);
	if (policy)
		status = cmd_parse_policy(cmd, policy, &number);
	if (status)
		return status;
	add(plan, "watch");
	if (policy) {
		add(plan, "--policy");
		add(plan, policy);
	}
	add(plan, text);
	addr_default_name(&addr, name);
	unit.name = name;
	doubt_paths(cmd, plan);
	return print(cmd, &unit, unit_print);
}

static int run(struct cmd *cmd)
{
	struct plan *plan = calloc(1, sizeof(*plan));
	int status;

	if (plan)
		plan->argv = calloc(cmd->nr_args + 2 * CMD_MAX_OPTIONS + 8, sizeof(*plan->argv));
	if (!plan || !plan->argv)
		status = cmd_fail(cmd, EXIT_FAILED, "out of memory");
	else
		status = find_paths(cmd, plan);
	if (!status && cmd_value(cmd, "export"))
		status = print_export(cmd, plan);
	else if (!status && cmd_value(cmd, "attach"))
		status = print_watch(cmd, plan);
	else if (!status && !cmd->nr_args)
		status = cmd_fail(cmd, EXIT_USAGE,
				  "too few arguments: a command to run, or --attach ADDR");
	else if (!status)
		status = print_run(cmd, plan);
	if (plan)
		free(plan->argv);
	free(plan);
	return status;
}

static const struct cmd_option options[] = {
	{ "attach", "ADDR", "for a server that someone else starts: lbctl watch ADDR" },
	{ "export", NULL, "a unit that does lbctl export; its options stand behind --" },
	RUN_OPTIONS,
	{ NULL, NULL, NULL },
};

const struct command cmd_unit = {
	.name = "unit",
	.args = "[OPTIONS] [--] CMD [ARG]...",
	.summary = "print a systemd unit that does lbctl run, watch or export, with these options",
	.details =
		"Put it into /etc/systemd/system/NAME.service, then: systemctl daemon-reload; "
		"systemctl enable --now NAME. The working directory is the one it is printed in.",
	.max_args = 100000,
	.kind = NOUN,
	.takes_command = true,
	.options = options,
	.run = run,
};
