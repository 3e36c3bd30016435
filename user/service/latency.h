/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Measuring what each worker's connections wait and take: the programs of bpf/latency.bpf.c,
 * attached to the cgroup that lb_track is in, and lb_latency, which is pinned while they are. Off
 * there is neither, and nothing is paid. The links are pinned, so no process has to live.
 */
#ifndef LATENCY_H
#define LATENCY_H

#include "service/state.h"

/* Why latency can't be measured of this service, NULL if it can; a phrase without a full stop. */
const char *latency_obstacle(const struct state *state);

/* Does the kernel take the programs? Loads them, attaches nothing. 0, -EOPNOTSUPP or -errno. */
int latency_try(void);

bool latency_is_on(const struct state *state);

/* One connection in so many is measured; 0 = it is off. */
uint64_t latency_one_in(const struct state *state);

/*
 * Switches it on, from zero, for one connection in so many, or off; safe to repeat. The state must
 * be locked, or nobody else's yet. latency_start() returns 0, -EPERM, -EOPNOTSUPP (the kernel
 * refused a program), -E2BIG (64 programs are attached there already) or -errno; after an error it
 * is as it was, or not attached.
 */
int latency_start(struct state *state, uint64_t one_in);
void latency_stop(struct state *state);

/* What latency_start() has returned, as a phrase. */
const char *latency_error(int err);

/*
 * While it is on: goes along when lb_track has moved to another cgroup, where connections are
 * measured from then on.
 */
void latency_follow(struct state *state);

/* Adds what was measured in a slot to `sum`; nothing where there is none. */
void latency_add(const struct state *state, uint32_t slot, struct lb_latency *sum);

/* How many values a histogram has, and their sum in ns. */
uint64_t latency_count(const struct lb_histogram *histogram);
uint64_t latency_sum_ns(const struct lb_histogram *histogram);

/*
 * The value in ns that a share of all are not above, 0 without any: the mean of those in its
 * bucket, so a fourth off at most, and next to nothing where the values are alike.
 */
uint64_t latency_quantile(const struct lb_histogram *histogram, double share);

#endif
