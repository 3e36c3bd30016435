/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps of connections that are held, and of who is idle. */
#ifndef LB_HOLD_MAPS_BPF_H
#define LB_HOLD_MAPS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "lb_abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lb_hold);
} lb_hold SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LB_WAITING_SLOTS);
	__type(key, __u32);
	__type(value, struct lb_waiting);
} lb_waiting SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LB_ALL_SLOTS);
	__type(key, __u32);
	__type(value, struct lb_idle);
} lb_idle SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} lb_ask SEC(".maps");

static __always_inline struct lb_hold *hold_state(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&lb_hold, &zero);
}

#endif
