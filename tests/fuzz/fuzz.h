/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What libFuzzer calls, https://llvm.org/docs/LibFuzzer.html, and what its drivers share. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* It ends here where a promise does not hold. */
#define FUZZ_CHECK(promise)                                                                        \
	do {                                                                                       \
		if (!(promise)) {                                                                  \
			dprintf(2, "%s:%d: not so: %s\n", __FILE__, __LINE__, #promise);           \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* A copy of its own on the heap, with a NUL behind it: ASan sees what reads on. To be freed. */
static inline char *fuzz_text(const uint8_t *bytes, size_t n)
{
	char *text = malloc(n + 1);

	FUZZ_CHECK(text);
	if (n)
		memcpy(text, bytes, n);
	text[n] = '\0';
	return text;
}

/* The same without the NUL. */
static inline void *fuzz_copy(const uint8_t *bytes, size_t n)
{
	void *copy = malloc(n);

	FUZZ_CHECK(copy || !n);
	if (n)
		memcpy(copy, bytes, n);
	return copy;
}

/* Parsers of text that one driver goes through: the first byte of the input says which. */
typedef void (*fuzz_parser)(const char *text);

static inline void fuzz_one_of(const fuzz_parser *parsers, size_t count, const uint8_t *bytes,
			       size_t n)
{
	char *text = n ? fuzz_text(bytes + 1, n - 1) : NULL;

	if (text)
		parsers[bytes[0] % count](text);
	free(text);
}

#endif
