/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where throughput stops to rise with the number of users, and response time begins to: the knee.
 *
 * Found by Kneedle (Satopää, Albrecht, Irwin, Raghavan: Finding a "Kneedle" in a Haystack, ICDCS
 * workshops 2011), offline, sensitivity 1: both axes are scaled to 0 to 1, and the knee is where
 * the curve stands highest above the diagonal, by more than the mean distance of two steps. Three
 * things are ours. A running median smooths, not a spline, which would round the corner. Since the
 * scaled curve of a long plateau is blind to where it begins, steps beyond four times the first one
 * with 90 % of the highest throughput are left out. And throughput must have stopped to rise:
 * behind the knee it rises less than a third as steeply as before, or there is none.
 */
#ifndef BENCH_KNEE_H
#define BENCH_KNEE_H

#include <stddef.h>

#define KNEE_METHOD "Kneedle (Satopaa et al. 2011) on throughput against users"

/* What the advised range keeps, by what is measured at the knee. */
#define KNEE_KEEP_RATE 0.9    /* at least so much of its throughput */
#define KNEE_MAX_RESPONSE 1.5 /* at most so many times its response time */

/* A step of the sweep. */
struct knee_point {
	double users, rate, response_ms;
	double failed; /* requests: a range ends before the first of them */
};

enum knee_kind {
	KNEE_FOUND,
	KNEE_BEYOND,  /* throughput rises to the last step */
	KNEE_BELOW,   /* throughput does not rise from the first step on */
	KNEE_UNKNOWN, /* fewer than 4 steps, or nothing was answered */
};

struct knee {
	enum knee_kind kind;
	size_t index;	  /* of its point; else 0 */
	double low, high; /* the advised range of users, interpolated; else 0 */
};

/* points by rising users; they are smoothed where they are. */
void knee_find(struct knee_point *points, size_t n, struct knee *knee);

#endif
