/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a command is. These tables are the only description of the command line: parser, --help and
 * completion read them, and a test holds the man page and the README against them.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include <stdbool.h>

#define CMD_MAX_OPTIONS 32

struct cmd_option {
	const char *name; /* without the dashes; a table ends with NULL */
	/* name of its value, NULL for a flag; "X[,X]" is a list: given twice, it grows */
	const char *value;
	const char *help;
};

struct cmd;

struct command {
	const char *name;
	/* its arguments; an option only where it stands for one: [NAME|--all] */
	const char *args;
	const char *summary;
	const char *details;	  /* more lines for --help, or NULL */
	void (*print_more)(void); /* what is to stand at its end, or NULL */
	int min_args, max_args;
	enum { NOUN, VERB } kind; /* a noun takes --json, a verb --dry-run as well */
	bool takes_command;	  /* its first argument begins another command: options end there */
	const struct cmd_option *options;
	int (*run)(struct cmd *cmd);
};

#endif
