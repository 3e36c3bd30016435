/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is measured of each slot's worker. */
#ifndef LB_LATENCY_MAP_BPF_H
#define LB_LATENCY_MAP_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "lb_abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LB_MAX_SLOTS);
	__type(key, __u32);
	__type(value, struct lb_latency);
} lb_latency SEC(".maps");

/* What a new entry begins as; another lbctl may have made the map, with longer values. */
static const char nothing[LB_MOST_LATENCY];

/* NULL for a waiting listener's slot: what is held there is nobody's yet. */
static __always_inline struct lb_latency *latency_of(__u32 slot)
{
	struct lb_latency *latency = bpf_map_lookup_elem(&lb_latency, &slot);

	if (latency || slot >= LB_MAX_SLOTS)
		return latency;
	/* of two CPUs at once the second one finds it made */
	bpf_map_update_elem(&lb_latency, &slot, nothing, BPF_NOEXIST);
	return bpf_map_lookup_elem(&lb_latency, &slot);
}

#endif
