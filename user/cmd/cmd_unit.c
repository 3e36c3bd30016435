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
#include "cmd/cmd_export.h"
#include "cmd/run_options.h"
#include "cmd/cmd_unit.h"
#include "cmd/kept.h"
#include "cmd/program.h"
#include "cmd/services.h"

#define LOW_PORTS 1024

/* Can systemd have these? */
static int check_paths(const struct cmd *cmd, const struct kept *kept)
{
	if (unit_check_path(kept->program))
		return cmd_fail(cmd, EXIT_FAILED,
				"%s: systemd takes no program whose path has quotes, backslashes "
				"or control characters; install lbctl elsewhere",
				kept->program);
	if (unit_check_path(kept->directory))
		return cmd_fail(cmd, EXIT_FAILED,
				"%s: a unit can't have a working directory of this name; "
				"call lbctl unit in another one",
				kept->directory);
	return EXIT_DONE;
}

static void doubt(const struct cmd *cmd, const char *path)
{
	const char *why = unit_path_doubt(path);

	if (why)
		cmd_fail(cmd, EXIT_DONE, "warning: %s %s", path, why);
}

/* What the unit needs at boot: lbctl, and the files that the command line names. */
static void doubt_paths(const struct cmd *cmd, const struct kept *kept)
{
	char path[PATH_MAX];
	struct stat st;

	doubt(cmd, kept->program);
	for (int i = 0; i < cmd->nr_args; i++) {
		if (!workdir_join(path, kept->directory, i ? cmd->args[i] : kept->command) &&
		    !stat(path, &st) && S_ISREG(st.st_mode))
			doubt(cmd, path);
	}
}

static int check_words(const struct cmd *cmd, const struct unit *unit)
{
	for (size_t i = 0; unit->argv[i]; i++) {
		if (unit_check_word(unit->argv[i]))
			return cmd_fail(
				cmd, EXIT_USAGE,
				"argument %zu of lbctl %s is not UTF-8, which systemctl can't "
				"show; put the command into a script",
				i, unit->argv[0]);
	}
	return EXIT_DONE;
}

static int print(const struct cmd *cmd, const struct unit *unit,
		 void (*write_unit)(FILE *out, const struct unit *unit))
{
	_cleanup_free_ char *text = NULL;
	char name[LB_NAME_MAX + sizeof(".service")];
	int status = check_words(cmd, unit);
	size_t size;
	FILE *memory;

	if (status)
		return status;
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

static bool binds_low_port(const struct keeper_options *options)
{
	for (uint32_t i = 0; i < options->nr_listens; i++) {
		if (options->listens[i].port < LOW_PORTS)
			return true;
	}
	return false;
}

int cmd_unit_of(const struct cmd *cmd, const struct keeper_options *options,
		const struct kept *kept, struct unit *unit)
{
	struct stat st;
	int status = check_paths(cmd, kept);

	*unit = (struct unit){
		.name = options->name,
		.program = kept->program,
		.argv = kept->argv,
		.directory = kept->directory,
		.workers_are_root = !options->user,
		.binds_low_port = binds_low_port(options),
		.writes_others_files = options->log_dir && !stat(options->log_dir, &st) &&
				       st.st_uid,
		.workers = options->workers,
		.ready_timeout_ms = options->ready_timeout_ms,
		.drain_timeout_ms = options->drain_timeout_ms,
		.kill_timeout_ms = options->kill_timeout_ms,
	};
	return status ? status : check_words(cmd, unit);
}

static int print_run(struct cmd *cmd, struct kept *kept)
{
	struct keeper_options options = { 0 };
	struct unit unit;
	int status = run_options_parse(cmd, &options);

	if (!status)
		status = program_check_script(cmd);
	if (!status)
		status = kept_set_command_line(cmd, options.name, kept);
	if (!status)
		status = cmd_unit_of(cmd, &options, kept, &unit);
	if (status)
		return status;
	doubt_paths(cmd, kept);
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

/* The unit can write there alone. */
static bool is_in_runtime_directory(const char *path)
{
	const size_t len = strlen(UNIT_EXPORT_DIR);

	return !strncmp(path, UNIT_EXPORT_DIR, len) && path[len] && !strchr(path + len, '/');
}

/* `cmd` is the call of lbctl export that the unit does, `arg` the unit. */
static int check_export(struct cmd *cmd, void *arg)
{
	const char *token = cmd_value(cmd, "token-file");
	struct export_plan plan = { 0 };
	struct unit *unit = arg;
	int status;

	/* a unit has no directory that a file's name begins in */
	if (token && *token != '/')
		return cmd_fail(cmd, EXIT_USAGE,
				"--token-file %.80s: a unit takes an absolute path", token);
	status = cmd_export_parse(cmd, &plan);
	for (size_t i = 0; !status && i < plan.places.count; i++) {
		const struct listen_place *place = &plan.places.at[i];

		if (!place->port && !is_in_runtime_directory(listen_path(place)))
			return cmd_fail(cmd, EXIT_USAGE,
					"%s: the unit may write in " UNIT_EXPORT_DIR " only: "
					"unix:" UNIT_EXPORT_DIR "http",
					place->text);
		unit->binds_low_port |= place->port && place->port < LOW_PORTS;
	}
	if (!status && token)
		doubt(cmd, token);
	return status;
}

static int print_export(struct cmd *cmd, struct kept *kept)
{
	struct unit unit = { .name = "lbctl-export", .program = kept->program, .argv = kept->argv };
	int status = refuse_options(cmd, "export", "");

	if (!status)
		status = cmd_check_words(&cmd_export, cmd->nr_args, cmd->args, check_export, &unit);
	if (status)
		return status;
	kept_add(kept, "export");
	for (int i = 0; i < cmd->nr_args; i++)
		kept_add(kept, cmd->args[i]);
	doubt(cmd, kept->program);
	return print(cmd, &unit, unit_print_export);
}

static int print_watch(struct cmd *cmd, struct kept *kept)
{
	struct unit unit = { .argv = kept->argv, .program = kept->program, .watches = true };
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
	kept_add(kept, "watch");
	if (policy) {
		kept_add(kept, "--policy");
		kept_add(kept, policy);
	}
	kept_add(kept, text);
	addr_default_name(&addr, name);
	unit.name = name;
	doubt_paths(cmd, kept);
	return print(cmd, &unit, unit_print);
}

/* As if it were called in the file's directory with what stands there. */
static int print_from_file(const struct cmd *cmd)
{
	struct services services;
	struct service_entry *entry;
	_cleanup_free_ char **argv = NULL;
	int status = services_take(cmd, run_options_parse, &services, &entry), argc = 0;

	if (!status)
		argv = services_argv(entry, "unit", cmd->json ? "--json" : NULL);
	if (!status && !argv)
		status = cmd_fail(cmd, EXIT_FAILED, "out of memory");
	while (!status && argv[argc])
		argc++;
	if (!status)
		status = cmd_main(argc, argv);
	services_free(&services);
	return status;
}

static int run(struct cmd *cmd)
{
	struct kept *kept;
	int status;

	if (cmd_value(cmd, "f"))
		return print_from_file(cmd);
	kept = kept_new(cmd);

	if (!kept)
		return cmd_fail(cmd, EXIT_FAILED, "out of memory");
	status = kept_find_paths(cmd, kept);
	if (!status)
		status = check_paths(cmd, kept);
	if (!status && cmd_value(cmd, "export"))
		status = print_export(cmd, kept);
	else if (!status && cmd_value(cmd, "attach"))
		status = print_watch(cmd, kept);
	else if (!status && !cmd->nr_args)
		status = cmd_fail(cmd, EXIT_USAGE,
				  "too few arguments: a command to run, or --attach ADDR");
	else if (!status)
		status = print_run(cmd, kept);
	kept_free(kept);
	return status;
}

static const struct cmd_option options[] = {
	{ "attach", "ADDR", "for a server that someone else starts: lbctl watch ADDR" },
	{ "export", NULL, "a unit that does lbctl export; its options stand behind --" },
	RUN_OPTIONS,
	{ NULL, NULL, NULL },
};
/* the longest of all such tables */
_Static_assert(sizeof(options) / sizeof(options[0]) <= CMD_MAX_OPTIONS + 1, "CMD_MAX_OPTIONS");

const struct command cmd_unit = {
	.name = "unit",
	.args = "[--] CMD [ARG]...",
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
