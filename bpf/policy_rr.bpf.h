/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * rr: each worker in turn. The index is one 64-bit counter that all CPUs and all listeners of
 * the service share, so the spread is exact to the connection, not only on average. Weights
 * are in the schedule. Good when connections cost about the same; blind to a slow worker.
 */
#ifndef LB_POLICY_RR_BPF_H
#define LB_POLICY_RR_BPF_H

#include "decision.bpf.h"
#include "schedule.bpf.h"

static __always_inline __u32 pick_rr(const struct decision *d)
{
	return schedule_slot(d, next_index(d->counters));
}

#endif
