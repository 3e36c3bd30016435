// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See knee.h. */
#include "knee.h"

#include <math.h>

#define MIN_POINTS 4
#define SENSITIVITY 1.0 /* the paper's S */
#define FLAT 1.15	/* the highest throughput by the first: no rise worth a name below it */
#define NEAR_TOP 0.9
#define PLATEAU_STEPS 4.0 /* times the users at which the plateau is reached */
#define STOPPED (1.0 / 3) /* the slope behind the knee by that before it */

static double middle_of(double a, double b, double c)
{
	return fmax(fmin(a, b), fmin(fmax(a, b), c));
}

/* A running median of three: takes out single spikes, leaves what rises or falls steadily alone. */
static void smooth(struct knee_point *points, size_t n)
{
	struct knee_point before = points[0];

	for (size_t i = 1; i + 1 < n; i++) {
		struct knee_point here = points[i];
		const struct knee_point *next = &points[i + 1];

		points[i].rate = middle_of(before.rate, here.rate, next->rate);
		points[i].response_ms =
			middle_of(before.response_ms, here.response_ms, next->response_ms);
		before = here;
	}
}

static double highest_rate(const struct knee_point *points, size_t n)
{
	double highest = 0;

	for (size_t i = 0; i < n; i++)
		highest = fmax(highest, points[i].rate);
	return highest;
}

static double lowest_rate(const struct knee_point *points, size_t n)
{
	double lowest = points[0].rate;

	for (size_t i = 1; i < n; i++)
		lowest = fmin(lowest, points[i].rate);
	return lowest;
}

/* How many steps are looked at. */
static size_t without_plateau(const struct knee_point *points, size_t n)
{
	double top = NEAR_TOP * highest_rate(points, n);
	size_t reached = 0, end;

	while (points[reached].rate < top)
		reached++;
	for (end = reached; end < n; end++) {
		if (points[end].users > PLATEAU_STEPS * points[reached].users)
			break;
	}
	return end < MIN_POINTS ? MIN_POINTS : end;
}

/* Of the line between two points. */
static double slope(const struct knee_point *from, const struct knee_point *to)
{
	return (to->rate - from->rate) / (to->users - from->users);
}

/* Kneedle. Returns the index of the knee, or 0 for none. */
static size_t find(const struct knee_point *points, size_t n)
{
	double lowest = lowest_rate(points, n), rise = highest_rate(points, n) - lowest;
	double width = points[n - 1].users - points[0].users, best = SENSITIVITY / (n - 1);
	size_t knee = 0;

	for (size_t i = 1; i < n - 1; i++) {
		double x = (points[i].users - points[0].users) / width;
		double difference = (points[i].rate - lowest) / rise - x;

		if (difference > best) {
			best = difference;
			knee = i;
		}
	}
	if (knee &&
	    slope(&points[knee], &points[n - 1]) > STOPPED * slope(&points[0], &points[knee]))
		return 0;
	return knee;
}

/* The users, between two steps, at which a line from value a to b crosses the bound. */
static double cross(const struct knee_point *from, const struct knee_point *to, double a, double b,
		    double bound)
{
	return from->users + (to->users - from->users) * (bound - a) / (b - a);
}

/* The fewest users with enough of the knee's throughput. */
static double find_low(const struct knee_point *points, size_t knee)
{
	double enough = KNEE_KEEP_RATE * points[knee].rate;
	size_t i = knee;

	while (i > 0 && points[i - 1].rate >= enough)
		i--;
	if (!i)
		return points[0].users;
	return cross(&points[i - 1], &points[i], points[i - 1].rate, points[i].rate, enough);
}

/* The most users before it takes too long, throughput falls or requests fail. */
static double find_high(const struct knee_point *points, size_t n, size_t knee)
{
	double enough = KNEE_KEEP_RATE * points[knee].rate;
	double longest = KNEE_MAX_RESPONSE * points[knee].response_ms;
	const struct knee_point *last, *next;
	double high;
	size_t i = knee;

	while (i + 1 < n && !points[i + 1].failed && points[i + 1].rate >= enough &&
	       points[i + 1].response_ms <= longest)
		i++;
	last = &points[i];
	next = &points[i + 1];
	if (i + 1 == n || next->failed)
		return last->users;
	high = next->users;
	if (next->rate < enough)
		high = cross(last, next, last->rate, next->rate, enough);
	if (next->response_ms > longest)
		high = fmin(high, cross(last, next, last->response_ms, next->response_ms, longest));
	return high;
}

void knee_find(struct knee_point *points, size_t n, struct knee *knee)
{
	double highest;

	*knee = (struct knee){ .kind = KNEE_UNKNOWN };
	if (n < MIN_POINTS || highest_rate(points, n) <= 0)
		return;
	smooth(points, n);
	highest = highest_rate(points, n);
	if (highest < FLAT * points[0].rate) {
		knee->kind = KNEE_BELOW;
		return;
	}
	knee->index = find(points, without_plateau(points, n));
	if (!knee->index) {
		knee->kind = KNEE_BEYOND;
		return;
	}
	knee->kind = KNEE_FOUND;
	knee->low = find_low(points, knee->index);
	knee->high = find_high(points, n, knee->index);
}
