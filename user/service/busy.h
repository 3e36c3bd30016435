/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How much of the time each worker is at work, while latency=on: the program of bpf/busy.bpf.c,
 * which a timer of the kernel runs while its map is pinned. No process has to live for it.
 */
#ifndef BUSY_H
#define BUSY_H

#include "service/state.h"

/*
 * Begins to watch the workers of each TCP listener of which they are not watched yet. Latency is
 * on, and the state locked. Returns 0, -EOPNOTSUPP (the kernel refuses the program, which takes
 * Linux 5.15) or -errno; what has begun goes on then.
 */
int busy_start(const struct state *state);
void busy_stop(const struct state *state);

/* In percent, -1 = not known; since what was measured earlier, from which it may begin anew. */
double busy_percent(const struct lb_latency *latency);
double busy_percent_since(const struct lb_latency *now, const struct lb_latency *before);

#endif
