/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* lb-bench's arithmetic: figures that siege has printed, percentiles, spreads, intervals. */
#include <stdbool.h>
#include <stdio.h>

/* a tool is one program and no library */
#include "check.h"
#include "../tools/bench/figures.c"
#include "../tools/bench/histogram.c"

#define SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define MS 1000000ULL

/* As printed: rounded to two digits. */
static void expect(const char *name, double got, const char *want)
{
	char text[32];

	snprintf(text, sizeof(text), "%.2f", got);
	if (strcmp(text, want))
		fail_msg("%s: %s, want %s", name, text, want);
}

static void test_siege_figures(void **state)
{
	static const struct {
		struct figures figures;
		const char *availability, *response, *rate, *throughput, *concurrency;
	} rows[] = {
		{ { 200, 0, 2400, 2.09, 180.0 }, "100.00", "0.90", "95.69", "0.00", "86.12" },
		{ { 200, 0, 0, 13.46, 104.0 }, "100.00", "0.52", "14.86", "0.00", "7.73" },
		{ { 150, 50, 10 << 20, 4, 30.0 }, "75.00", "0.20", "37.50", "2.50", "7.50" },
		{ { 0, 3, 0, 1, 0 }, "0.00", "0.00", "0.00", "0.00", "0.00" },
		{ { 0, 0, 0, 0, 0 }, "0.00", "0.00", "0.00", "0.00", "0.00" },
	};

	(void)state;
	for (size_t i = 0; i < SIZE(rows); i++) {
		const struct figures *figures = &rows[i].figures;

		expect("availability", figures_availability(figures), rows[i].availability);
		expect("response", figures_response_s(figures), rows[i].response);
		expect("rate", figures_rate(figures), rows[i].rate);
		expect("throughput", figures_throughput(figures), rows[i].throughput);
		expect("concurrency", figures_concurrency(figures), rows[i].concurrency);
	}
}

static void test_spread(void **state)
{
	static const uint64_t story[] = { 52, 42, 90, 16 }, even[] = { 50, 50, 50, 50 };
	static const uint64_t one[] = { 0, 0, 200, 0 }, none[] = { 0, 0 };

	(void)state;
	expect("the story", spread_max_over_mean(story, 4), "1.80");
	expect("even", spread_max_over_mean(even, 4), "1.00");
	expect("all on one", spread_max_over_mean(one, 4), "4.00");
	expect("none", spread_max_over_mean(none, 2), "0.00");
	assert_int_equal(spread_max_minus_min(story, 4), 74);
	assert_int_equal(spread_max_minus_min(even, 4), 0);
	assert_int_equal(spread_max_minus_min(NULL, 0), 0);
}

static void test_median(void **state)
{
	double odd[] = { 3, 1, 2 }, even[] = { 4, 1, 3, 2 };

	(void)state;
	expect("odd", median(odd, 3), "2.00");
	expect("even", median(even, 4), "2.50");
	expect("none", median(NULL, 0), "0.00");
}

static void test_ratio_interval(void **state)
{
	const double b[] = { 10, 20, 10, 20, 10, 20, 10, 20, 10, 20 };
	const double twice[] = { 20, 40, 20, 40, 20, 40, 20, 40, 20, 40 };
	const double about[] = { 9, 22, 11, 19, 10, 20.5, 9.5, 21, 10.2, 18 };
	struct interval exact, first, again;
	const double zero[] = { 0, 0 };

	(void)state;
	/* the pairing takes out what both share, here that every second run was twice as fast */
	assert_int_equal(ratio_interval(twice, b, 10, 1, &exact), 0);
	expect("low", exact.low, "2.00");
	expect("middle", exact.middle, "2.00");
	expect("high", exact.high, "2.00");
	assert_int_equal(ratio_interval(about, b, 10, 1, &first), 0);
	assert_int_equal(ratio_interval(about, b, 10, 1, &again), 0);
	assert_memory_equal(&first, &again, sizeof(first));
	expect("middle", first.middle, "1.01");
	assert_true(first.low < 1 && first.low >= 0.9 && first.high > 1 && first.high <= 1.1);
	assert_int_equal(ratio_interval(twice, zero, 2, 1, &exact), -EDOM);
	assert_int_equal(ratio_interval(twice, b, 1, 1, &exact), 0);
	expect("one pair", exact.high - exact.low, "0.00");
}

static void test_histogram_slots_meet(void **state)
{
	(void)state;
	/* each value is in a slot that ends at or above it, by less than a part in 1,024 */
	for (unsigned int bit = 0; bit < HISTOGRAM_MAX_BITS; bit++) {
		for (int64_t off = -2; off <= 2; off++) {
			uint64_t ns = (1ULL << bit) + off;

			if ((int64_t)ns < 0 || ns >> HISTOGRAM_MAX_BITS)
				continue;
			assert_true(slot_of(ns) < HISTOGRAM_SLOTS);
			assert_true(highest_of(slot_of(ns)) >= ns);
			assert_true(highest_of(slot_of(ns)) - ns <= ns / 1024);
			assert_true(!slot_of(ns) || highest_of(slot_of(ns) - 1) < ns);
		}
	}
	assert_int_equal(slot_of(UINT64_MAX), HISTOGRAM_SLOTS - 1);
}

static void test_percentiles(void **state)
{
	static struct histogram histogram, other;

	(void)state;
	assert_int_equal(histogram_percentile_ns(&histogram, 50), 0);
	for (uint64_t i = 1; i <= 1000; i++)
		histogram_add(i % 2 ? &histogram : &other, i);
	histogram_merge(&histogram, &other);
	expect("mean", histogram_mean_ns(&histogram), "500.50");
	assert_int_equal(histogram.min_ns, 1);
	assert_int_equal(histogram.max_ns, 1000);
	assert_int_equal(histogram_percentile_ns(&histogram, 0), 1);
	assert_int_equal(histogram_percentile_ns(&histogram, 50), 500);
	assert_int_equal(histogram_percentile_ns(&histogram, 90), 900);
	assert_int_equal(histogram_percentile_ns(&histogram, 99.9), 999);
	assert_int_equal(histogram_percentile_ns(&histogram, 100), 1000);
}

static void test_percentile_of_one_is_exact(void **state)
{
	static struct histogram histogram;

	(void)state;
	histogram_add(&histogram, 123456789 * MS);
	assert_int_equal(histogram_percentile_ns(&histogram, 50), 123456789 * MS);
	assert_int_equal(histogram_percentile_ns(&histogram, 99.99), histogram.max_ns);
}

static void test_random_numbers_repeat(void **state)
{
	struct rng a = { 7 }, b = { 7 }, c = { 8 };
	double sum = 0;

	(void)state;
	assert_int_equal(rng_next(&a), rng_next(&b));
	assert_int_not_equal(rng_next(&a), rng_next(&c));
	for (int i = 0; i < 100000; i++)
		sum += rng_exponential(&a, 3);
	assert_true(sum / 100000 > 2.95 && sum / 100000 < 3.05);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_siege_figures),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_median),
		cmocka_unit_test(test_ratio_interval),
		cmocka_unit_test(test_histogram_slots_meet),
		cmocka_unit_test(test_percentiles),
		cmocka_unit_test(test_percentile_of_one_is_exact),
		cmocka_unit_test(test_random_numbers_repeat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
