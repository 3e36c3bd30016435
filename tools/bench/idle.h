/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a peer costs while nobody comes, apart for the processes that serve and for those that keep
 * them: a master, lbctl, HAProxy. Who has children keeps; the others serve.
 */
#ifndef BENCH_IDLE_H
#define BENCH_IDLE_H

#include "peer.h"

struct idle_cost {
	unsigned int processes;
	double wakeups_per_s; /* voluntary context switches: it slept, and was woken */
	double cpu_us_per_s;
	double memory_mb; /* resident, shared pages counted in each process */
};

struct idle_sample {
	struct idle_cost keepers, workers;
};

/*
 * Looks at a started peer for so long. Everything in this pid namespace but ourselves counts as
 * the peer's; what ends meanwhile does not. Returns 0 or -errno.
 */
int idle_measure(double seconds, struct idle_sample *sample);

#endif
