/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * random: an entry of the schedule at random, so weights hold on average. Shares nothing
 * between CPUs and can't fall into step with a client's own pattern; uneven over few
 * connections, as the kernel's hash is.
 */
#ifndef LB_POLICY_RANDOM_BPF_H
#define LB_POLICY_RANDOM_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "decision.bpf.h"
#include "schedule.bpf.h"

static __always_inline __u32 pick_random(const struct decision *d)
{
	return schedule_slot(d, bpf_get_prandom_u32());
}

#endif
