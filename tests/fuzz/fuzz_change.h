/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command that a change becomes. */
#ifndef FUZZ_CHANGE_H
#define FUZZ_CHANGE_H

#include "fuzz/fuzz.h"
#include "web/change.h"

static inline void fuzz_change_check(const struct change *change)
{
	struct change_words words;
	size_t n = 0;

	if (change_command(change, &words))
		return;
	for (; words.argv[n]; n++)
		FUZZ_CHECK(words.argv[n][0] && words.argv[n][0] != '-');
	FUZZ_CHECK(n >= 3 && n < CHANGE_WORDS && !strcmp(words.argv[0], "lbctl") &&
		   !parse_name(words.argv[2]));
}

#endif
