/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The program that a command line names: where it is, and whether it can be run. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <limits.h>

#include "cmd/cmd.h"

/* Exit statuses as shells have them. */
#define PROGRAM_NOT_EXECUTABLE 126
#define PROGRAM_NOT_FOUND 127

/*
 * Looks for a program as execvp() does, relative paths below `directory`; links stay as they are,
 * since a later version may move what is behind. Returns 0, -EACCES (there, but not executable) or
 * -ENOENT.
 */
int program_find(const char *name, const char *directory, char out[PATH_MAX]);

/*
 * Is the command to run, cmd->args[0], a script that its interpreter has to be given? Returns
 * EXIT_DONE, or one of the statuses above after a message was printed.
 */
int program_check_script(const struct cmd *cmd);

#endif
