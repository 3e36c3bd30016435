/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps that the steering program shares with those that count connections (track, count_in).
 */
#ifndef LB_COUNTERS_BPF_H
#define LB_COUNTERS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "lb_abi.h"
#include "sizes.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lb_config);
} lb_config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LB_ALL_SLOTS *LB_MAX_LISTENERS);
	__type(key, __u64);
	__type(value, struct lb_place);
} lb_cookies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LB_ALL_SLOTS);
	__type(key, __u32);
	__type(value, struct lb_worker);
} lb_workers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LB_ALL_SLOTS);
	__type(key, __u32);
	__type(value, struct lb_stats);
} lb_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lb_counters);
} lb_counters SEC(".maps");

/* Cookie of a connection that migrated while it waited -> where it is now. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LB_MAX_MIGRATED);
	__type(key, __u64);
	__type(value, struct lb_conn);
} lb_migrated SEC(".maps");

static __always_inline void add(__s64 *live, __s64 what)
{
	__sync_fetch_and_add(live, what);
}

static __always_inline void count(__u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

/*
 * Counts before anything that follows is read: an atomic whose result is used is a full barrier.
 * Without such atomics, before 5.12, that holds on x86 only.
 */
static __always_inline void count_in_order(__u64 *counter)
{
#ifdef LB_NO_FETCH
	count(counter);
#else
	__u64 before = __sync_fetch_and_add(counter, 1);

	asm volatile("" : : "r"(before) : "memory");
#endif
}

#endif
