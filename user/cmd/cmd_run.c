// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl run: N workers of any command, on one port. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd/help_text.h"
#include "cmd/kept.h"
#include "cmd/node_package.h"
#include "cmd/program.h"
#include "cmd/run_options.h"
#include "cmd/services.h"

/* By the command line that takes the service up again from anywhere, as the keeper notes it. */
static int become(const struct service_entry *entry, bool dry_run)
{
	struct kept *kept = kept_new(&entry->cmd);
	_cleanup_free_ const char **argv = NULL;
	int status, n = 0;

	if (!kept)
		return cmd_fail(&entry->cmd, EXIT_FAILED, "out of memory");
	status = kept_find_paths(&entry->cmd, kept);
	if (!status)
		status = kept_set_command_line(&entry->cmd, entry->name, kept);
	argv = calloc(kept->argc + 3, sizeof(*argv));
	if (!status && argv) {
		argv[n++] = "lbctl";
		argv[n++] = kept->argv[0];
		if (dry_run)
			argv[n++] = "--dry-run";
		memcpy(argv + n, kept->argv + 1, kept->argc * sizeof(*argv));
		execv(kept->program, (char *const *)argv);
		status = cmd_fail(&entry->cmd, EXIT_FAILED, "%s: %s", kept->program,
				  strerror(errno));
	}
	kept_free(kept);
	return status ? status : cmd_fail(&entry->cmd, EXIT_FAILED, "out of memory");
}

static int from_file(const struct cmd *cmd)
{
	struct services services;
	struct service_entry *entry;
	int status = services_take(cmd, run_options_parse, &services, &entry);

	if (!status && entry->nr_settings)
		fprintf(stderr,
			"lbctl: run %s: set, set-weight and set-limit of %s are left to lbctl "
			"apply and to lbctl set\n",
			entry->name, services.shown);
	if (!status)
		status = become(entry, cmd->dry_run);
	services_free(&services);
	return status;
}

static int run(struct cmd *cmd)
{
	struct keeper_options options = { .argv = cmd->args, .rescue = true };
	char package[PATH_MAX], usage[HELP_USAGE_BYTES];
	int status;

	if (cmd_value(cmd, "f"))
		return from_file(cmd);
	if (!cmd->nr_args)
		return cmd_fail(cmd, EXIT_USAGE, "too few arguments; usage: lbctl run %s",
				help_usage(cmd->command, usage));
	status = run_options_parse(cmd, &options);
	if (!status)
		status = program_check_script(cmd);
	if (status)
		return status;
	if (options.forks && node_package_find(package))
		options.node_package = package;
	if (cmd->dry_run && options.forks) {
		printf("would run %s, which makes its workers itself, as service %s\n",
		       cmd->args[0], options.name);
		return EXIT_DONE;
	}
	if (cmd->dry_run) {
		printf("would run %u worker%s of %s as service %s\n", options.workers,
		       plural(options.workers), cmd->args[0], options.name);
		return EXIT_DONE;
	}
	return keeper_run(&options);
}

static const struct cmd_option options[] = {
	RUN_OPTIONS,
	{ NULL, NULL, NULL },
};

const struct command cmd_run = {
	.name = "run",
	.args = "[--] CMD [ARG]...",
	.summary = "start N workers of a command on one port and keep them running",
	.details = "The command need not know of SO_REUSEPORT: the first TCP port that a worker "
		   "binds is shared by all, or those of --port; a UDP port if --port names it "
		   "(udp/53). Stays in the foreground; Ctrl-C or SIGTERM ends the workers. After "
		   "kill -9 they live on, and the same command finds them again.",
	.print_more = node_package_print,
	.max_args = 100000,
	.kind = VERB,
	.takes_command = true,
	.options = options,
	.run = run,
};
