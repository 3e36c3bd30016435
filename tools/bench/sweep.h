/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Throughput and response time of a server against the number of users, and apart from that against
 * the requests of each user. Steps grow geometrically; rounds go up and down in turn, so that what
 * changes with time does not look like what changes with load; figures are medians of the rounds.
 */
#ifndef BENCH_SWEEP_H
#define BENCH_SWEEP_H

#include <jansson.h>
#include <stdio.h>

#include "knee.h"
#include "load.h"
#include "served.h"

#define SWEEP_MAX_STEPS 100
#define SWEEP_MAX_ROUNDS 20
#define SWEEP_MAX_REPETITIONS 1000000

struct sweep_step {
	unsigned int users;
	uint64_t repetitions; /* of each user; 0 = as many as there is time for */
	double rates[SWEEP_MAX_ROUNDS], responses_ms[SWEEP_MAX_ROUNDS], p99s_ms[SWEEP_MAX_ROUNDS];
	unsigned int rounds;		  /* done */
	uint64_t failed;		  /* in all of them */
	bool cut;			  /* there was no time for all repetitions */
	double rate, response_ms, p99_ms; /* medians */
};

struct sweep {
	/* what is asked for */
	const char *url;
	const struct targets *targets;
	unsigned int from, to, steps, rounds, timeout_ms;
	uint64_t most_repetitions; /* 0 = no sweep of them */
	double seconds;		   /* of load in a step and round */
	bool keep_alive, quiet;
	const char *worker_header;
	struct served served; /* .workers by --workers, by lbctl or by the answers; 0 = not known */

	/* what came out */
	struct sweep_step by_users[SWEEP_MAX_STEPS], by_repetitions[SWEEP_MAX_STEPS];
	size_t nr_by_users, nr_by_repetitions;
	struct knee knee;
};

/* Returns EXIT_DONE or the status of *trouble. */
int sweep_run(struct sweep *sweep, struct trouble *trouble);

/*
 * `n` or fewer whole numbers of the same ratio, from `from` to `to`, none twice. Returns how many.
 */
size_t sweep_steps(uint64_t from, uint64_t to, size_t n, uint64_t *values);

/* The advised setting `limit` of each worker; 0 = there is no advice. */
unsigned int sweep_limit(const struct sweep *sweep);
/*
 * The advised setting `hold_ms` with it: ten times the p99 at the knee, between 100 ms and a
 * minute, is a wait that a service which is not overloaded never has; 0 = there is no advice.
 */
unsigned int sweep_hold_ms(const struct sweep *sweep);

/*
 * By how much the rounds of a step differ: highest minus lowest throughput by its median, and of
 * that the median over the steps by users. 0.1 = 10 %.
 */
double sweep_noise(const struct sweep *sweep);

/* sweep_report.c */
void sweep_text(FILE *out, const struct sweep *sweep);
json_t *sweep_json(const struct sweep *sweep);
/* sweep.dat, sweep.json and, with gnuplot, sweep.svg and sweep.png; says what is missing. */
int sweep_write(const struct sweep *sweep, const struct world *world, const char *dir,
		struct trouble *trouble);

#endif
