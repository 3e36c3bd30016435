/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A service's maps, with those in counters.bpf.h, queue.bpf.h and stall.bpf.h. All listeners of a
 * service share them, but lb_sockets, lb_queues and lb_stalls, of which each listener has its own.
 *
 * All have their full size from the start, whatever the number of workers: a socket fits into one
 * array only, so lb_sockets could never be exchanged for a larger one under traffic. README.md says
 * how much memory that is.
 */
#ifndef LB_MAPS_BPF_H
#define LB_MAPS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "hold_maps.bpf.h"
#include "lb_abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, LB_ALL_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} lb_sockets SEC(".maps");

/* Two halves of LB_MAX_SCHEDULE each: one is walked while lbctl writes the other. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2 * LB_MAX_SCHEDULE);
	__type(key, __u32);
	__type(value, __u64);
} lb_schedule SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LB_ALL_SLOTS);
	__type(key, __u32);
	__type(value, struct lb_load);
} lb_load SEC(".maps");

/* Flow hash -> slot chosen at SYN: see lb_recent_pack(). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LB_RECENT_ENTRIES);
	__type(key, __u32);
	__type(value, __u64);
} lb_recent SEC(".maps");

#endif
