// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See patience.h. */
#include "host/patience.h"

#include <time.h>

#define ASKED_BETWEEN 256

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

void patience_begin(struct patience *patience)
{
	patience->since_ns = now_ns();
}

void patience_end(struct patience *patience)
{
	uint64_t ns = now_ns();

	patience->left_ns -= (int64_t)(ns - patience->since_ns);
	patience->since_ns = ns;
}

bool patience_is_over(struct patience *patience)
{
	if (patience->left_ns > 0 && !(++patience->asked % ASKED_BETWEEN))
		patience_end(patience);
	return patience->left_ns <= 0;
}
