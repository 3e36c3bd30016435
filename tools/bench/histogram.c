// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See histogram.h. */
#include "histogram.h"

#include <math.h>

static size_t slot_of(uint64_t ns)
{
	unsigned int bits, shift;

	if (ns >> HISTOGRAM_MAX_BITS)
		ns = (1ULL << HISTOGRAM_MAX_BITS) - 1;
	bits = ns ? 64 - __builtin_clzll(ns) : 0;
	shift = bits > HISTOGRAM_HALF_BITS + 1 ? bits - HISTOGRAM_HALF_BITS - 1 : 0;
	return ((size_t)shift << HISTOGRAM_HALF_BITS) + (ns >> shift);
}

static uint64_t highest_of(size_t slot)
{
	size_t half = slot >> HISTOGRAM_HALF_BITS;
	unsigned int shift = half > 1 ? half - 1 : 0;

	return ((slot - ((size_t)shift << HISTOGRAM_HALF_BITS) + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
	if (!histogram->count || ns < histogram->min_ns)
		histogram->min_ns = ns;
	if (ns > histogram->max_ns)
		histogram->max_ns = ns;
	histogram->count++;
	histogram->sum_ns += ns;
	histogram->slots[slot_of(ns)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	if (!from->count)
		return;
	if (!into->count || from->min_ns < into->min_ns)
		into->min_ns = from->min_ns;
	if (from->max_ns > into->max_ns)
		into->max_ns = from->max_ns;
	into->count += from->count;
	into->sum_ns += from->sum_ns;
	for (size_t i = 0; i < HISTOGRAM_SLOTS; i++)
		into->slots[i] += from->slots[i];
}

double histogram_mean_ns(const struct histogram *histogram)
{
	return histogram->count ? histogram->sum_ns / histogram->count : 0;
}

uint64_t histogram_percentile_ns(const struct histogram *histogram, double percent)
{
	/* 99.9 % of 1,000 is 999, not the 999.0000000000001 that doubles make of it */
	double rank = ceil(percent / 100 * histogram->count - 1e-9);
	uint64_t seen = 0, highest;

	if (!histogram->count)
		return 0;
	if (rank < 1)
		rank = 1;
	for (size_t i = 0; i < HISTOGRAM_SLOTS; i++) {
		seen += histogram->slots[i];
		if (seen < rank)
			continue;
		highest = highest_of(i);
		if (highest > histogram->max_ns)
			return histogram->max_ns;
		return highest < histogram->min_ns ? histogram->min_ns : highest;
	}
	return histogram->max_ns;
}
