/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Damerau-Levenshtein distance in its restricted form (optimal string alignment: no letter is
 * edited twice); see F. J. Damerau, "A technique for computer detection and correction of
 * spelling errors", CACM 7(3), 1964.
 */
#include "base/suggest.h"

#include <string.h>

#define LONGEST 64
#define FURTHEST 3

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Both at most LONGEST letters. `most`: it is that, or more. */
static size_t distance(const char *a, size_t len_a, const char *b, size_t len_b, size_t most)
{
	size_t d[LONGEST + 1][LONGEST + 1];

	for (size_t i = 0; i <= len_a; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= len_b; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= len_a; i++) {
		size_t row = i;

		for (size_t j = 1; j <= len_b; j++) {
			char x = lower(a[i - 1]), y = lower(b[j - 1]);

			d[i][j] = least(d[i - 1][j] + 1, d[i][j - 1] + 1);
			d[i][j] = least(d[i][j], d[i - 1][j - 1] + (x != y));
			if (i > 1 && j > 1 && x == lower(b[j - 2]) && lower(a[i - 2]) == y)
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
			row = least(row, d[i][j]);
		}
		/* from row to row it grows */
		if (row >= most)
			return most;
	}
	return d[len_a][len_b];
}

const char *suggest(const char *word, const char *const *candidates, size_t n)
{
	size_t len = word ? strnlen(word, LONGEST + 1) : 0;
	size_t nearest = least((len + 2) / 3, FURTHEST) + 1;
	const char *found = NULL;

	if (!len || len > LONGEST)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t len_i = strnlen(candidates[i], LONGEST + 1);
		size_t away = len_i < len ? len - len_i : len_i - len;

		/* it is at least as far away as one is longer than the other */
		if (len_i > LONGEST || away >= nearest)
			continue;
		away = distance(word, len, candidates[i], len_i, nearest);
		/* A distance of the whole word is no likeness: x is not a slip for y. */
		if (away < nearest && away < len + !away) {
			nearest = away;
			found = candidates[i];
		}
	}
	return found;
}
