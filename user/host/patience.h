/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How much CPU time what belongs to somebody is worth: who has more descriptors than there is time
 * to look at is looked at in part, and is in nobody else's way.
 */
#ifndef PATIENCE_H
#define PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

struct patience {
	int64_t left_ns;
	uint64_t since_ns; /* on this thread's clock */
	unsigned int asked;
};

/* From here on it runs out; until then it has `left_ns`. */
void patience_begin(struct patience *patience);
/* Has it? The clock is read now and then only, so this may be asked for each descriptor. */
bool patience_is_over(struct patience *patience);
/* What was used is gone, the rest is there for the next time. */
void patience_end(struct patience *patience);

#endif
