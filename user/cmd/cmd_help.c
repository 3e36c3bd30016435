// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl help, version. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "cmd/cmd.h"
#include "cmd/help_text.h"
#include "cmd/fold.h"
#include "lb_abi.h"

#define SUMMARY_INDENT 14

/* For the completion and the tests: a command a line, then its options. */
static void print_list(void)
{
	for (size_t i = 0; cmd_table[i]; i++) {
		const struct command *command = cmd_table[i];

		printf("%s --help --json%s", command->name,
		       command->kind == VERB ? " --dry-run" : "");
		for (size_t j = 0; command->options && command->options[j].name; j++)
			printf(" %s%s%s", command->options[j].name[1] ? "--" : "-",
			       command->options[j].name, command->options[j].value ? "=" : "");
		putchar('\n');
	}
}

static void print_overview(void)
{
	printf("usage: lbctl COMMAND [ARGS]\n\n"
	       "Spreads the connections of one address over the workers that listen on it with\n"
	       "SO_REUSEPORT, inside the kernel.\n\n");
	for (size_t i = 0; cmd_table[i]; i++) {
		char line[256];

		snprintf(line, sizeof(line), "  %-11s %s", cmd_table[i]->name,
			 cmd_table[i]->summary);
		fold_print(stdout, line, SUMMARY_INDENT, FOLD_COLUMNS);
	}
	putchar('\n');
	fold_print(
		stdout,
		"lbctl help COMMAND has its arguments and options, man lbctl all of it. The name "
		"of the service may be left out when there is one. Exit status: 0 done, 1 failed, "
		"2 usage, 3 no such service or worker, 4 not permitted or this kernel can't.",
		0, FOLD_COLUMNS);
}

static json_t *overview_json(void)
{
	json_t *rows = json_array();
	char usage[HELP_USAGE_BYTES];

	for (size_t i = 0; cmd_table[i]; i++)
		json_array_append_new(rows,
				      text_pack("{s:s, s:s, s:s}", "command", cmd_table[i]->name,
						"args", help_usage(cmd_table[i], usage), "summary",
						cmd_table[i]->summary));
	return rows;
}

static int run_help(struct cmd *cmd)
{
	const struct command *command;

	if (cmd_value(cmd, "list")) {
		print_list();
		return EXIT_DONE;
	}
	if (cmd->json)
		return cmd_print_json(overview_json());
	if (!cmd->nr_args) {
		print_overview();
		return EXIT_DONE;
	}
	command = cmd_find(cmd->args[0]);
	if (!command)
		return cmd_unknown(cmd, cmd->args[0], NULL);
	help_print(command);
	return EXIT_DONE;
}

static int run_version(struct cmd *cmd)
{
	struct utsname kernel = { 0 };

	uname(&kernel);
	if (cmd->json)
		return cmd_print_json(text_pack("{s:s, s:i, s:s}", "version", LBCTL_VERSION, "abi",
						LB_ABI_VERSION, "kernel", kernel.release));
	printf("lbctl %s (maps version %d, kernel %s)\n", LBCTL_VERSION, LB_ABI_VERSION,
	       kernel.release);
	return EXIT_DONE;
}

static const struct cmd_option help_options[] = {
	{ "list", NULL, "every command with its options, for programs" },
	{ NULL, NULL, NULL },
};

const struct command cmd_help = {
	.name = "help",
	.args = "[COMMAND]",
	.summary = "this list, or one command in full",
	.max_args = 1,
	.kind = NOUN,
	.options = help_options,
	.run = run_help,
};

const struct command cmd_version = {
	.name = "version",
	.args = "",
	.summary = "the version of lbctl, of its maps, and of the kernel",
	.kind = NOUN,
	.run = run_version,
};
