// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See lines.h. */
#include "keeper/lines.h"

#include <string.h>

char *lines_room(struct lines *lines, size_t *room)
{
	lines->len -= lines->taken;
	memmove(lines->bytes, lines->bytes + lines->taken, lines->len);
	lines->taken = 0;
	*room = sizeof(lines->bytes) - lines->len;
	return lines->bytes + lines->len;
}

void lines_add(struct lines *lines, size_t n)
{
	lines->len += n;
}

/* The end of the next line that is not empty, and where it begins; NULL = it is not all here. */
static const char *next_end(const struct lines *lines, size_t *from)
{
	*from = lines->taken;
	while (*from < lines->len && lines->bytes[*from] == '\n')
		++*from;
	return memchr(lines->bytes + *from, '\n', lines->len - *from);
}

bool lines_has_one(const struct lines *lines)
{
	size_t from;

	return next_end(lines, &from);
}

const char *lines_take(struct lines *lines, size_t *n)
{
	size_t from;
	const char *end = next_end(lines, &from);

	lines->taken = end ? (size_t)(end + 1 - lines->bytes) : from;
	*n = end ? (size_t)(end - lines->bytes) - from : 0;
	return end ? lines->bytes + from : NULL;
}
