// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See fold.h. */
#include "cmd/fold.h"

#include <string.h>

/* How much of `line` goes onto a line of `room` columns: up to a space, or the end. */
static size_t fitting(const char *line, size_t room, size_t least)
{
	size_t len = strlen(line), at;

	if (len <= room)
		return len;
	for (at = room; at > least && line[at] != ' '; at--)
		continue;
	if (at > least)
		return at;
	/* a word without a place to break: it ends where it ends */
	at = least + strspn(line + least, " ");
	return at + strcspn(line + at, " ");
}

void fold_print(FILE *out, const char *line, size_t indent, size_t columns)
{
	size_t room = columns ? columns : (size_t)-1, n;
	/* what stands before the text of the first line is no place to break it */
	size_t least = columns ? indent : 0;

	if (least > strlen(line))
		least = 0;
	n = fitting(line, room, least);
	fprintf(out, "%.*s\n", (int)n, line);
	for (line += n; *(line += strspn(line, " ")); line += n) {
		n = fitting(line, room - indent, 0);
		fprintf(out, "%*s%.*s\n", (int)indent, "", (int)n, line);
	}
}
