/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tick clock, by which stalls are told. */
#ifndef LB_TICK_BPF_H
#define LB_TICK_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

const volatile __u64 lb_tick_ns = 4000000; /* length of a jiffy; lbctl knows */

/*
 * Nanoseconds of the tick clock: some milliseconds coarse, and a load instead of a call, which a
 * decision would feel. It has a beginning of its own; lbctl reads it where these programs tell it.
 */
static __always_inline __u64 tick_clock_ns(void)
{
	return bpf_jiffies64() * lb_tick_ns;
}

#endif
