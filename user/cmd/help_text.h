/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is said of a command and its options; all of it comes from the command's table. */
#ifndef HELP_TEXT_H
#define HELP_TEXT_H

#include "cmd/command.h"

/* Every command takes these on top of its own, but --dry-run, which not all take. */
extern const struct cmd_option options_common[]; /* ends with NULL */
bool options_takes_common(const struct command *command, const char *name);

/* "--", or "-" before a letter. */
const char *option_dashes(const struct cmd_option *option);

/*
 * What follows the command in its usage line: arguments and, from the table, options, or [OPTIONS]
 * where these are many. Returns `out`.
 */
#define HELP_USAGE_BYTES 160
const char *help_usage(const struct command *command, char out[HELP_USAGE_BYTES]);

/* All that --help says. */
void help_print(const struct command *command);

#endif
