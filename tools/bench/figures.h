/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The arithmetic of a report: siege's figures by siege's formulas, spreads, paired comparisons. */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#include <stddef.h>
#include <stdint.h>

/* What was counted in a run. The functions give 0 where there is nothing to divide by. */
struct figures {
	uint64_t transactions; /* requests answered with a status below 400 */
	uint64_t failed;       /* all the others */
	uint64_t bytes;	       /* of bodies */
	double elapsed_s;
	double response_sum_s; /* of all transactions */
};

double figures_availability(const struct figures *figures); /* percent */
double figures_response_s(const struct figures *figures);
double figures_rate(const struct figures *figures); /* transactions per second */
double figures_megabytes(const struct figures *figures);
double figures_throughput(const struct figures *figures); /* MB per second */
/* The mean number of transactions in progress, by Little's law. */
double figures_concurrency(const struct figures *figures);

/* The largest by the mean: 1 is even, n is all on one. 0 where all are 0. */
double spread_max_over_mean(const uint64_t *counts, size_t n);
uint64_t spread_max_minus_min(const uint64_t *counts, size_t n);

/* The middle one, or the mean of the middle two; 0 of none. Sorts the values. */
double median(double *values, size_t n);

struct interval {
	double low, middle, high;
};

/*
 * The median of a[i] / b[i] and its 95 % interval, by the percentile bootstrap over the pairs
 * (Efron, Tibshirani: An Introduction to the Bootstrap, 1993, chapter 13), the same for the same
 * seed. Pairs whose b is 0 are left out. Returns 0, -ENOMEM, or -EDOM when no pair is left.
 */
int ratio_interval(const double *a, const double *b, size_t n, uint64_t seed,
		   struct interval *interval);

#endif
