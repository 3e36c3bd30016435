// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a process has written over its arguments, behind its environment: the first byte says where
 * they begin. A title is text, and not too long.
 */
#include "fuzz/fuzz.h"
#include "host/proc_title.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	size_t before = n ? (n - 1) * (size_t)*bytes / 255 : 0;
	char out[PROC_TITLE_BYTES], *environment, *words;

	if (!n)
		return 0;
	environment = fuzz_copy(bytes + 1, before);
	words = fuzz_copy(bytes + 1 + before, n - 1 - before);
	memset(out, 'x', sizeof(out));
	if (proc_title_of(environment, before, words, n - 1 - before, out))
		FUZZ_CHECK(*out && memchr(out, '\0', sizeof(out)) && !strchr(out, '\n'));
	free(environment);
	free(words);
	return 0;
}
