/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One run of one scenario on one peer: started for it, measured, ended. */
#ifndef BENCH_TRIAL_H
#define BENCH_TRIAL_H

#include "scenario.h"
#include "siege.h"

#define SAMPLE_WORKERS 64

struct sample {
	double values[METRIC_COUNT];
	double siege[SIEGE_COUNT];
	uint64_t connections[SAMPLE_WORKERS]; /* per worker, in the order of their names */
	size_t nr_workers;
	uint64_t failed[LOAD_FAILURE_KINDS];
	int64_t lost; /* accepted connections that died with their worker; -1 = not known */
};

/* What a trial is made of. */
struct trial {
	const struct scenario *scenario;
	const struct peers *peers;
	const struct peer *peer;
	const struct world *world;
	uint64_t seed;
};

/*
 * Returns EXIT_DONE with *sample filled, or the status of *trouble. *result is working space, and
 * holds the load's result afterwards.
 */
int trial_run(const struct trial *trial, struct load_result *result, struct sample *sample,
	      struct trouble *trouble);

#endif
