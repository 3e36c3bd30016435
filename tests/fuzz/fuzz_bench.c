// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What lb-bench reads: an answer, which is the same in pieces, and what other tools print. */
#include <math.h>

#include "fuzz/fuzz.h"

/* a tool is one program and no library */
#include "../tools/bench/answer.c"
#include "../tools/bench/tool.c"

static size_t feed(struct answer *answer, const char *text, size_t n, size_t piece)
{
	size_t used = 0, len = 0, taken = 0;

	for (; used < n && taken == len; used += taken) {
		char *copy;

		len = n - used < piece ? n - used : piece;
		copy = fuzz_copy((const uint8_t *)text + used, len);
		taken = answer_feed(answer, copy, len, "X-Worker");
		free(copy);
	}
	return used;
}

/* One whose body names the worker says so only where that comes in one piece. */
static void answers(const char *text)
{
	struct answer whole = { 0 }, pieces = { 0 };
	size_t n = strlen(text), used = feed(&whole, text, n, n + 1);

	FUZZ_CHECK(used == feed(&pieces, text, n, 1 + n % 17));
	memset(whole.worker, 0, sizeof(whole.worker));
	memset(pieces.worker, 0, sizeof(pieces.worker));
	FUZZ_CHECK(!memcmp(&whole, &pieces, offsetof(struct answer, worker)));
	FUZZ_CHECK(whole.state == ANSWER_DONE || whole.state == ANSWER_BAD || used == n);
	FUZZ_CHECK(whole.status == 0 || (whole.status >= 100 && whole.status <= 599));
	FUZZ_CHECK(answer_begun(&whole) == (n > 0));
	answer_end(&whole);
}

static void outputs(const char *text)
{
	double figures[TOOL_FIGURE_COUNT];

	for (int i = 0; i < TOOL_COUNT; i++) {
		if (!tools[i].parse(text, figures))
			FUZZ_CHECK(!isnan(figures[TOOL_RATE]) && !isnan(figures[TOOL_REQUESTS]));
	}
}

static const fuzz_parser parsers[] = { answers, outputs };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	fuzz_one_of(parsers, sizeof(parsers) / sizeof(parsers[0]), bytes, n);
	return 0;
}
