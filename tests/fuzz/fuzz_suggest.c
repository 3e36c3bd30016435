// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A word that is near another: of those that there are, and not too far away. */
#include <strings.h>

#include "base/suggest.h"
#include "fuzz/fuzz.h"

static void suggestions(const char *text)
{
	const char *const own[] = { "least-conn", text };
	size_t len = strlen(text);
	const char *near = suggest(text, own, 1);

	FUZZ_CHECK(!near || (strlen(near) <= len + 3 && len <= strlen(near) + 3));
	FUZZ_CHECK(suggest(text, own, 2) == (!len || len > 64		     ? NULL :
					     near && !strcasecmp(near, text) ? near :
									       text));
	suggest(own[0], own + 1, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	char *text = fuzz_text(bytes, n);

	suggestions(text);
	free(text);
	return 0;
}
