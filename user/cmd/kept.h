/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The command line by which a service is kept from anywhere: lbctl run with the options that were
 * given, in the table's order, and whole paths. Of a keeper that lives it can be read again.
 */
#ifndef KEPT_H
#define KEPT_H

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

#include "cmd/cmd.h"
#include "keeper/options.h"

struct kept {
	char program[PATH_MAX];	  /* lbctl */
	char directory[PATH_MAX]; /* that we are in, by the name that is known */
	char real[PATH_MAX];
	char cwd[PATH_MAX];
	char command[PATH_MAX];
	char log_dir[PATH_MAX];
	const char **argv; /* what follows lbctl; ends with NULL */
	size_t argc;
	char dashed[CMD_MAX_OPTIONS][32];
};

/* As many words as the command may need. Returns NULL without memory; kept_free() is to follow. */
struct kept *kept_new(const struct cmd *cmd);
void kept_free(struct kept *kept);

/* One more word of argv, which stays the caller's. */
void kept_add(struct kept *kept, const char *word);

/* The first three paths. Returns EXIT_DONE, or EXIT_FAILED after a message was printed. */
int kept_find_paths(const struct cmd *cmd, struct kept *kept);

/*
 * All of `lbctl run`: cmd has its options, and the command in its arguments; `name` is the
 * service's. kept_find_paths() is to come before. Returns EXIT_DONE, or a status, also those of
 * program.h, after a message was printed.
 */
int kept_set_command_line(const struct cmd *cmd, const char *name, struct kept *kept);

/*
 * The command line of a process, as such: argv[0] is "run" then, and all is in one piece of memory.
 * Returns NULL where it can't be read; to be freed.
 */
char **kept_read(pid_t pid);

/* The value of one of run's options there, "" of a flag that is given; NULL = it is not given. */
const char *kept_value(const char *const *argv, const char *option);

/* The command, and its arguments. */
const char *const *kept_command(const char *const *argv);

#endif
