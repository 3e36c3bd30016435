/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* lb-bench sweep's knee, on curves whose knee is known. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

/* a tool is one program and no library */
#include "../tools/bench/rng.h"
#include "../tools/bench/knee.c"

#define SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define MAX_POINTS 100

/* Requests/s of a service with so many users. */
typedef double (*curve_fn)(double users);

/* 10 per user, and 1,300 at most: a corner at 130. */
static double corner(double users)
{
	return 10 * fmin(users, 130);
}

/*
 * The story's: users who think for 0.5 s on average, as siege's of that time did, and a service
 * that takes 3.876 ms a request, one by one. The bounds of its throughput meet at
 * (500 + 3.876) / 3.876 = 130 users. By exact mean value analysis (Reiser, Lavenberg 1980).
 */
static double story(double users)
{
	double queue = 0, rate = 0, response;

	for (int n = 1; n <= users; n++) {
		response = 0.003876 * (1 + queue);
		rate = n / (0.5 + response);
		queue = rate * response;
	}
	return rate;
}

static double linear(double users)
{
	return 10 * users;
}

static double flat(double users)
{
	(void)users;
	return 5000;
}

static double falling(double users)
{
	return 5000 / users;
}

/* Gunther's universal scalability law: highest at sqrt(0.98 / 0.0001) = 99, then it falls. */
static double retrograde(double users)
{
	return 100 * users / (1 + 0.02 * (users - 1) + 0.0001 * users * (users - 1));
}

/* A small machine: full with two users, for all of the 998 that follow. */
static double early(double users)
{
	return 4000 * fmin(users, 2);
}

static double dead(double users)
{
	(void)users;
	return 0;
}

/* Steps of the same ratio, as sweep makes them; noise is a share: 0.05 = up to 5 % off. */
static size_t draw(struct knee_point *points, curve_fn curve, double to, size_t steps, double noise,
		   uint64_t seed)
{
	struct rng rng = { seed };
	size_t n = 0;

	for (size_t i = 0; i < steps; i++) {
		double users = round(pow(to, (double)i / (steps - 1)));
		double rate = curve(users) * (1 + noise * (2 * rng_unit(&rng) - 1));

		if (n && points[n - 1].users == users)
			continue;
		points[n++] =
			(struct knee_point){ users, rate, rate > 0 ? 1e3 * users / rate : 0, 0 };
	}
	return n;
}

static const struct row {
	const char *name;
	curve_fn curve;
	double to;
	enum knee_kind kind;
	double least, most; /* where the knee may be found: a step to either side of it */
} rows[] = {
	{ "corner", corner, 1000, KNEE_FOUND, 90, 187 },
	{ "corner, a longer plateau", corner, 20000, KNEE_FOUND, 80, 220 },
	{ "corner near the end", corner, 300, KNEE_FOUND, 90, 187 },
	{ "the story", story, 1000, KNEE_FOUND, 90, 187 },
	{ "corner beyond the end", corner, 130, KNEE_BEYOND, 0, 0 },
	{ "linear", linear, 1000, KNEE_BEYOND, 0, 0 },
	{ "flat", flat, 1000, KNEE_BELOW, 0, 0 },
	{ "falling", falling, 1000, KNEE_BELOW, 0, 0 },
	{ "retrograde", retrograde, 1000, KNEE_FOUND, 20, 99 },
	{ "early", early, 1000, KNEE_FOUND, 2, 6 },
	{ "dead", dead, 1000, KNEE_UNKNOWN, 0, 0 },
};

static void expect(const struct row *row, double noise, size_t steps, uint64_t seed)
{
	struct knee_point points[MAX_POINTS];
	size_t n = draw(points, row->curve, row->to, steps, noise, seed);
	struct knee knee;

	knee_find(points, n, &knee);
	if (knee.kind != row->kind)
		fail_msg("%s, noise %g, seed %d: kind %d, want %d", row->name, noise, (int)seed,
			 knee.kind, row->kind);
	if (knee.kind == KNEE_FOUND &&
	    (points[knee.index].users < row->least || points[knee.index].users > row->most))
		fail_msg("%s, noise %g, seed %d: knee at %g, want %g to %g", row->name, noise,
			 (int)seed, points[knee.index].users, row->least, row->most);
}

static void test_known_curves(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZE(rows); i++) {
		expect(&rows[i], 0, 20, 1);
		expect(&rows[i], 0, 40, 1);
	}
}

static void test_noise_moves_no_knee_far_and_makes_none(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZE(rows); i++) {
		for (uint64_t seed = 1; seed <= 200; seed++)
			expect(&rows[i], 0.05, 20, seed);
	}
}

/* Finer steps. The curve is round where its bounds meet, so the knee is a little behind that. */
static void test_the_story_is_near_130(void **state)
{
	const struct row row = { "the story", story, 1000, KNEE_FOUND, 120, 150 };

	(void)state;
	expect(&row, 0, 80, 1);
}

static void test_range_around_the_knee(void **state)
{
	struct knee_point points[MAX_POINTS];
	size_t n = draw(points, corner, 1000, 80, 0, 1);
	struct knee knee;

	(void)state;
	knee_find(points, n, &knee);
	/* nine tenths of 1,300 are there with 117; with 195 a request takes 1.5 times as long */
	assert_true(knee.low >= 112 && knee.low <= 119);
	assert_true(knee.high >= 180 && knee.high <= 205);
	for (size_t i = 0; i < n; i++)
		points[i].failed = points[i].users > 150;
	knee_find(points, n, &knee);
	assert_true(knee.high <= 150 && knee.high >= points[knee.index].users);
}

static void test_too_few_steps(void **state)
{
	struct knee_point points[MAX_POINTS];
	struct knee knee;

	(void)state;
	for (size_t n = 0; n < 4; n++) {
		draw(points, corner, 1000, 20, 0, 1);
		knee_find(points, n, &knee);
		assert_int_equal(knee.kind, KNEE_UNKNOWN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_curves),
		cmocka_unit_test(test_noise_moves_no_knee_far_and_makes_none),
		cmocka_unit_test(test_the_story_is_near_130),
		cmocka_unit_test(test_range_around_the_knee),
		cmocka_unit_test(test_too_few_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
