/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a command asks the keeper of a service, and what it prints of the answer, or of none. */
#ifndef ASK_H
#define ASK_H

#include <jansson.h>

#include "cmd/cmd.h"

/*
 * Connects to the keeper of a service: *fd is the caller's to close. Returns EXIT_DONE, or a status
 * after a message was printed that says why nobody answers.
 */
int ask_connect(const struct cmd *cmd, const char *name, int *fd);

/*
 * One request, which is taken over, and one answer: its text is printed, or with --json all of it.
 * With --dry-run nothing is asked. Returns the exit status.
 */
int ask_keeper(const struct cmd *cmd, const char *name, json_t *request);

/* Prints why there is no answer, talking having ended with `err`. Returns the exit status. */
int ask_no_answer(const struct cmd *cmd, const char *name, int err);

/* Prints that the service is stopped, `text` without --json. Returns EXIT_DONE or EXIT_FAILED. */
int ask_say_stopped(const struct cmd *cmd, const char *name, const char *text);

#endif
