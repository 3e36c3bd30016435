// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What each way of spreading connections over workers does to a service, side by side on the same
 * machine: lbctl and its peers under the same load; and that load generator by itself. The parts
 * are in bench/.
 */
#include <stdio.h>
#include <string.h>

#include "bench/cmd.h"

static const char help_text[] =
	"usage: lb-bench load [OPTION]... URL      a load generator for any server\n"
	"       lb-bench sweep [OPTION]... URL     how many users a server takes\n"
	"       lb-bench tools [OPTION]...         that load generator beside siege, wrk and ab\n"
	"       lb-bench peers                     what can be compared here\n"
	"       lb-bench idle [OPTION]...          what they cost while nobody comes\n"
	"       lb-bench growth [OPTION]...        lbctl with more and more workers and services\n"
	"       lb-bench SCENARIO... [OPTION]...   compare it\n"
	"\n"
	"`lb-bench COMMAND --help` and `lb-bench S1 --help` show the options.\n";

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "growth", cmd_growth }, { "idle", cmd_idle },	  { "load", cmd_load },
	{ "master", cmd_master }, { "peers", cmd_peers }, { "sweep", cmd_sweep },
	{ "tools", cmd_tools },
};

int main(int argc, char **argv)
{
	struct trouble trouble = { 0 };

	if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(help_text, stdout);
		return EXIT_DONE;
	}
	for (size_t i = 0; argc >= 2 && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	}
	if (argc >= 2)
		return cmd_compare(argc, argv);
	trouble_set(&trouble, EXIT_USAGE, "no command; lb-bench --help lists them");
	return cmd_fail(&trouble);
}
