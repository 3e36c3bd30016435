/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of slots, and the index into it that all listeners of a service share. */
#ifndef LB_SCHEDULE_BPF_H
#define LB_SCHEDULE_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "decision.bpf.h"

/*
 * The next index of the service, exact under concurrency. Before 5.12 the kernel's BPF has no
 * atomic add that returns the old value; there a spin lock does the same (object steer_v5).
 */
#ifdef LB_NO_FETCH
struct locked_cursor {
	struct bpf_spin_lock lock;
	__u32 pad;
	__u64 cursor;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct locked_cursor);
} lb_cursor SEC(".maps");

static __always_inline __u64 next_index(struct lb_counters *counters)
{
	struct locked_cursor *shared;
	__u32 zero = 0;
	__u64 index;

	shared = bpf_map_lookup_elem(&lb_cursor, &zero);
	if (!shared)
		return 0;
	bpf_spin_lock(&shared->lock);
	index = shared->cursor++;
	bpf_spin_unlock(&shared->lock);
	counters->cursor = index + 1;
	return index;
}
#else
static __always_inline __u64 next_index(struct lb_counters *counters)
{
	return __sync_fetch_and_add(&counters->cursor, 1);
}
#endif

/* The slot at an index of the live half of the schedule; its length must not be 0. */
static __always_inline __u32 schedule_slot(const struct decision *d, __u64 index)
{
	__u32 key = lb_schedule_key(d->word, index);
	__u64 *slot = bpf_map_lookup_elem(&lb_schedule, &key);

	return slot ? *slot : LB_NO_SLOT;
}

#endif
