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

/*
 * The same for policy hash, by Maglev's rule (Eisenbud et al., "Maglev: A Fast and Reliable
 * Software Network Load Balancer", NSDI 2016, section 3.4). Each worker (workers[i] is
 * items[i]'s, and a worker's items follow one another) has the table's entries in an order of its
 * own, which its number decides, and they take turns: each takes the first entry of its order that
 * is free, for one of its items after the other. So a worker has its share of the entries, however
 * many items it has, to one entry where weights are equal and else to n of them, and when one comes
 * or goes the others keep most of theirs.
 *
 * *length becomes the greatest prime that is not above `max`, whatever the items, so that it stays
 * the same over changes; no item gives length 0. Returns as schedule_build(); -E2BIG when there are
 * more items than entries.
 */
int schedule_build_hash(const struct schedule_item *items, const uint32_t *workers, size_t n,
			uint64_t *table, size_t max, size_t *length);

#endif
