/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Is a command one of Node.js? Others hand NODE_CHANNEL_FD on, and without the descriptor. */
#ifndef NODE_H
#define NODE_H

#include <stdbool.h>

/* Does the text name Node.js, or a program that runs on it, as one of its words or paths? */
bool node_is_named(const char *text);

/*
 * Is it, by its name, by what that leads to along PATH and links, or by the first line of a script?
 * Of shells, env, nice and the like what they are to run counts.
 */
bool node_is_run(char *const *argv);

#endif
