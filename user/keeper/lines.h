/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lines out of a stream of bytes: what has come and was not taken yet. No descriptor. */
#ifndef LINES_H
#define LINES_H

#include <stdbool.h>
#include <stddef.h>

#define LINES_MOST_BYTES 4096 /* of a line, with its end */

/* All zero at first. */
struct lines {
	size_t len;   /* of what is here */
	size_t taken; /* of that, from the start */
	char bytes[LINES_MOST_BYTES];
};

/* Where the next bytes go, and how many there is room for; 0 = a line is too long. */
char *lines_room(struct lines *lines, size_t *room);
/* So many have come there. */
void lines_add(struct lines *lines, size_t n);

bool lines_has_one(const struct lines *lines);
/*
 * The next line without its end, `*n` bytes, which stay until lines_room() is called; NULL = there
 * is none. Empty ones are passed over.
 */
const char *lines_take(struct lines *lines, size_t *n);

#endif
