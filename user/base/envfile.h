/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files of variables, NAME=VALUE a line, as EnvironmentFile= of systemd reads them:
 * systemd.exec(5).
 */
#ifndef ENVFILE_H
#define ENVFILE_H

#include <stddef.h>

#define ENVFILE_MOST_BYTES (1 << 20)

/* Is this a variable's name: a letter or _, then letters, digits and _? */
int envfile_is_name(const char *name);

/*
 * Calls `set` for each variable, in their order; name and value are good during the call. Empty
 * lines and those that begin with # or ; are comments. A value may begin with parts in quotes:
 * between ' all is meant as it stands, between " a backslash makes the next of " \ ` $ itself, and
 * outside of quotes any character. A backslash at the end of a line, but between ', joins the next
 * one to it. Spaces around name and value are no part of them; no variable is expanded.
 *
 * Unlike systemd, which passes over what it does not understand, returns -EBADMSG with the number
 * of the line: one without =, a name that is none, a quote that does not end, a NUL. Else 0, or
 * -ENOMEM. `text` need not end with a NUL.
 */
int envfile_parse(const char *text, size_t len,
		  void (*set)(void *arg, const char *name, const char *value), void *arg,
		  unsigned int *line);

#endif
