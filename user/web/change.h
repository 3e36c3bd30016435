/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A change that was asked for over HTTP, as the process that answers hands it to the one that has
 * the rights: a struct of fixed size and no text to parse, as the former may be a stranger's.
 */
#ifndef CHANGE_H
#define CHANGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/parse.h"

#define CHANGE_TOKEN_BYTES 132 /* with its NUL */
#define CHANGE_TOKEN_LEAST 16

enum change_verb {
	CHANGE_POLICY,
	CHANGE_WEIGHT,
	CHANGE_DRAIN,
	CHANGE_RESUME,
	CHANGE_RELOAD,
	CHANGE_VERBS,
};

struct change {
	uint32_t verb;
	uint32_t worker; /* or LB_ALL_WORKERS; not of policy and reload */
	uint32_t value;	 /* a weight, or a policy's number */
	char service[LB_NAME_MAX + 1];
	char token[CHANGE_TOKEN_BYTES];
};

/* What became of it: a status of HTTP, an exit status of lbctl, and a line of text with its NUL. */
struct change_answer {
	uint32_t http, status;
	char text[];
};

#define CHANGE_WORDS 6
struct change_words {
	const char *argv[CHANGE_WORDS]; /* of lbctl, from its name on; ends with NULL */
	char worker[12], value[12];
};

/*
 * The command that does it; its words point into both. Returns 0, or -EINVAL where a field is none
 * that a request could have had.
 */
int change_command(const struct change *change, struct change_words *words);

/* Is this the token? Takes as long whatever the first difference. */
int change_token_differs(const struct change *change, const char *token);

/*
 * Reads the one word of a token's file: 16 to 131 printable characters, in one line. Returns 0, or
 * -EINVAL.
 */
int change_read_token(const char *text, char token[CHANGE_TOKEN_BYTES]);

#endif
