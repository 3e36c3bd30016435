// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The histograms of latency: which bucket a time goes into, and what is read from them. */
#include <string.h>

#include "check.h"
#include "lb_abi.h"
#include "service/busy.h"
#include "service/latency.h"

#define US 1000ULL
#define MS 1000000ULL
#define LAST (LB_LATENCY_BUCKETS - 1)

static void test_log2(void **state)
{
	(void)state;
	for (uint32_t bit = 0; bit < 64; bit++) {
		check("lb_log2", "a power of two", lb_log2(1ULL << bit), bit);
		check("lb_log2", "all bits below", lb_log2(~0ULL >> (63 - bit)), bit);
	}
}

static void test_bucket(void **state)
{
	static const struct {
		const char *name;
		uint64_t ns, want;
	} rows[] = {
		{ "nothing", 0, 0 },
		{ "just below the second", 4095, 0 },
		{ "the second", 4096, 1 },
		{ "its last", 5119, 1 },
		{ "the third", 5120, 2 },
		{ "the next power", 8192, 5 },
		{ "its last quarter", 16383, 8 },
		{ "the last but one", 51539607551ULL, LAST - 1 },
		{ "the last", 51539607552ULL, LAST },
		{ "more than anything", ~0ULL, LAST },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("lb_latency_bucket", rows[i].name, lb_latency_bucket(rows[i].ns),
		      rows[i].want);
}

/* Each bucket begins at its bound and ends before the next one's; none is wider than a fourth. */
static void test_bounds(void **state)
{
	(void)state;
	check("lb_latency_bound", "the first", lb_latency_bound(0), 0);
	check("lb_latency_bound", "behind the last", lb_latency_bound(LAST + 1), ~0ULL);
	for (uint32_t i = 1; i <= LAST; i++) {
		uint64_t bound = lb_latency_bound(i);

		check("lb_latency_bucket", "its least", lb_latency_bucket(bound), i);
		check("lb_latency_bucket", "one less", lb_latency_bucket(bound - 1), i - 1);
		if (i < LAST)
			assert_true((lb_latency_bound(i + 1) - bound) * 4 <= bound);
	}
}

static void put(struct lb_histogram *histogram, uint64_t ns, uint64_t times)
{
	struct lb_bucket *bucket = &histogram->buckets[lb_latency_bucket(ns)];

	bucket->count += times;
	bucket->sum_ns += ns * times;
}

static void test_quantile(void **state)
{
	struct lb_histogram none = { 0 }, same = { 0 }, two = { 0 }, one = { 0 };

	(void)state;
	check("latency_quantile", "of none", latency_quantile(&none, 0.5), 0);
	check("latency_count", "of none", latency_count(&none), 0);
	put(&one, 7 * US, 1);
	check("latency_quantile", "of one", latency_quantile(&one, 0.01), 7 * US);
	check("latency_quantile", "of one", latency_quantile(&one, 0.99), 7 * US);
	/* what is alike is told as it is, wherever it lies in its bucket */
	put(&same, 50350 * US, 1000);
	check("latency_quantile", "all alike", latency_quantile(&same, 0.5), 50350 * US);
	check("latency_sum_ns", "all alike", latency_sum_ns(&same), 50350 * MS);
	put(&two, 5 * MS, 99);
	put(&two, 50 * MS, 1);
	check("latency_count", "99 and 1", latency_count(&two), 100);
	check("latency_quantile", "half of 99 and 1", latency_quantile(&two, 0.5), 5 * MS);
	check("latency_quantile", "99 of 99 and 1", latency_quantile(&two, 0.99), 5 * MS);
	check("latency_quantile", "all of 99 and 1", latency_quantile(&two, 1), 50 * MS);
	put(&two, 50 * MS, 1);
	check("latency_quantile", "99 % of 99 and 2", latency_quantile(&two, 0.99), 50 * MS);
}

/* From below a microsecond to a minute: the middle of many stays within a fourth. */
static void test_quantile_of_many(void **state)
{
	(void)state;
	for (uint64_t middle = 5 * US; middle < 50000 * MS; middle = middle * 3 / 2) {
		struct lb_histogram histogram = { 0 };
		uint64_t got;

		for (uint64_t i = 0; i <= 200; i++)
			put(&histogram, middle / 2 + middle * i / 200, 1);
		got = latency_quantile(&histogram, 0.5);
		assert_in_range(got, middle - middle / 8, middle + middle / 8);
	}
}

static void test_busy(void **state)
{
	const struct lb_latency none = { 0 }, half = { .watched_ns = 2 * MS, .busy_ns = 1 * MS },
				all = { .watched_ns = 3 * MS, .busy_ns = 2 * MS };

	(void)state;
	assert_true(busy_percent(&none) < 0);
	check("busy_percent", "half", busy_percent(&half), 50);
	check("busy_percent_since", "the last third", busy_percent_since(&all, &half), 100);
	check("busy_percent_since", "from nothing", busy_percent_since(&half, &none), 50);
	check("busy_percent_since", "anew", busy_percent_since(&half, &all), 50);
	assert_true(busy_percent_since(&half, &half) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_log2),
		cmocka_unit_test(test_bucket),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_quantile),
		cmocka_unit_test(test_quantile_of_many),
		cmocka_unit_test(test_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
