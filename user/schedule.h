/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The order of slots that the table policies walk. Pure arithmetic: knows no maps. */
#ifndef SCHEDULE_H
#define SCHEDULE_H

#include <stddef.h>
#include <stdint.h>

struct schedule_item {
	uint32_t slot;
	uint32_t weight; /* at least 1 */
};

/*
 * Fills `table` (room for `max` entries) with slots so that each stands in it as often as its
 * weight says, spread as evenly as smooth weighted round-robin does; equal weights give the plain
 * order of `items`. Weights are divided by their greatest common divisor first, *length becomes
 * their sum; no item gives length 0. The work is n * length steps.
 *
 * Returns 0, -EINVAL (a weight is 0), -E2BIG (the sum exceeds max) or -ENOMEM. After an error
 * table and length are as they were.
 */
int schedule_build(const struct schedule_item *items, size_t n, uint64_t *table, size_t max,
		   size_t *length);

#endif
