// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See figures.h. */
#include "figures.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "rng.h"

#define RESAMPLES 10000
#define BYTES_PER_MB (1024.0 * 1024.0) /* as siege has it */

static double divide(double a, double b)
{
	return b > 0 ? a / b : 0;
}

double figures_availability(const struct figures *figures)
{
	return 100 * divide(figures->transactions, figures->transactions + figures->failed);
}

double figures_response_s(const struct figures *figures)
{
	return divide(figures->response_sum_s, figures->transactions);
}

double figures_rate(const struct figures *figures)
{
	return divide(figures->transactions, figures->elapsed_s);
}

double figures_megabytes(const struct figures *figures)
{
	return figures->bytes / BYTES_PER_MB;
}

double figures_throughput(const struct figures *figures)
{
	return divide(figures_megabytes(figures), figures->elapsed_s);
}

double figures_concurrency(const struct figures *figures)
{
	return divide(figures->response_sum_s, figures->elapsed_s);
}

double spread_max_over_mean(const uint64_t *counts, size_t n)
{
	uint64_t max = 0, sum = 0;

	for (size_t i = 0; i < n; i++) {
		sum += counts[i];
		if (counts[i] > max)
			max = counts[i];
	}
	return divide((double)max * n, sum);
}

uint64_t spread_max_minus_min(const uint64_t *counts, size_t n)
{
	uint64_t max = n ? counts[0] : 0, min = max;

	for (size_t i = 1; i < n; i++) {
		if (counts[i] > max)
			max = counts[i];
		if (counts[i] < min)
			min = counts[i];
	}
	return max - min;
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

double median(double *values, size_t n)
{
	if (!n)
		return 0;
	qsort(values, n, sizeof(*values), compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static double resample(const double *ratios, double *drawn, size_t n, struct rng *rng)
{
	for (size_t i = 0; i < n; i++)
		drawn[i] = ratios[rng_below(rng, n)];
	return median(drawn, n);
}

int ratio_interval(const double *a, const double *b, size_t n, uint64_t seed,
		   struct interval *interval)
{
	_cleanup_free_ double *ratios = calloc(n + 1, sizeof(*ratios));
	_cleanup_free_ double *drawn = calloc(n + 1, sizeof(*drawn));
	_cleanup_free_ double *medians = calloc(RESAMPLES, sizeof(*medians));
	struct rng rng = { seed };
	size_t pairs = 0;

	if (!ratios || !drawn || !medians)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (b[i] > 0)
			ratios[pairs++] = a[i] / b[i];
	}
	if (!pairs)
		return -EDOM;
	for (size_t i = 0; i < RESAMPLES; i++)
		medians[i] = resample(ratios, drawn, pairs, &rng);
	interval->middle = median(ratios, pairs);
	median(medians, RESAMPLES);
	interval->low = medians[RESAMPLES * 25 / 1000];
	interval->high = medians[RESAMPLES * 975 / 1000 - 1];
	return 0;
}
