/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A histogram of times with a constant relative error, laid out as Gil Tene's HdrHistogram: below
 * 2,048 ns each value has a slot, above it each doubling has 1,024, so a value is off by less than
 * 1/1,024. Debian 12 has no C library of it.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_HALF_BITS 10
#define HISTOGRAM_MAX_BITS 40 /* what is longer, 18 minutes, is counted as that */
#define HISTOGRAM_SLOTS ((HISTOGRAM_MAX_BITS - HISTOGRAM_HALF_BITS + 1) << HISTOGRAM_HALF_BITS)

/* All zero is an empty one. */
struct histogram {
	uint64_t count;
	uint64_t min_ns, max_ns; /* exact */
	double sum_ns;		 /* exact */
	uint64_t slots[HISTOGRAM_SLOTS];
};

void histogram_add(struct histogram *histogram, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* 0 where nothing was added. */
double histogram_mean_ns(const struct histogram *histogram);

/*
 * The smallest value that at least percent (0 to 100) of all are not above, by nearest rank: the
 * highest value of its slot, and never above max_ns.
 */
uint64_t histogram_percentile_ns(const struct histogram *histogram, double percent);

#endif
