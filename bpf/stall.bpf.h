/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Is a worker accepting? It is not while the connection that has waited longest stays the same for
 * stall_ns; one that accepts slowly is not taken for it. A look costs nothing but two loads while
 * nobody waits. After a rescue the queue is empty and says nothing: then the slot is held until it
 * has accepted a single connection, its probe.
 */
#ifndef LB_STALL_BPF_H
#define LB_STALL_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "lb_stall.h"
#include "queue.bpf.h"
#include "sizes.bpf.h"
#include "tick.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LB_ALL_SLOTS);
	__type(key, __u32);
	__type(value, struct lb_stall);
} lb_stalls SEC(".maps");

/* Has the oldest waiting connection been that for stall_ns? */
static __always_inline bool note_oldest(struct lb_stall *stall, const void *oldest, __u64 now_ns,
					__u64 stall_ns)
{
	if (stall->oldest == (__u64)oldest)
		return lb_stall_age_ns(stall, now_ns) >= stall_ns;
	*(volatile __u64 *)&stall->oldest_ns = now_ns;
	*(volatile __u64 *)&stall->oldest = (__u64)oldest;
	return false;
}

static __always_inline bool hold_ends(struct lb_stall *stall, const struct queue_now *queue,
				      __u64 now_ns)
{
	if (queue->oldest || !lb_probe_is_accepted(stall, now_ns))
		return false;
	stall->accepted_ns = now_ns;
	return true;
}

/*
 * Does the slot get nothing for now? stall_ns 0: only while it is held. `may_probe`: what it would
 * get is new; who has waited at a worker that hangs is not sent to one that may hang, too.
 */
static __always_inline bool is_stalled(struct lb_stall *stall, const struct queue_now *queue,
				       __u64 stall_ns, bool may_probe)
{
	bool held = lb_is_held(stall), stalled = held;
	__u64 now_ns;

	if (!queue->oldest && !held) {
		if (stall->oldest)
			stall->oldest = 0;
		return false;
	}
	if (!held && !stall_ns)
		return false;
	now_ns = tick_clock_ns();
	if (queue->oldest)
		stalled |= note_oldest(stall, queue->oldest, now_ns, stall_ns);
	else
		stalled = !hold_ends(stall, queue, now_ns) &&
			  !(may_probe && lb_probe_is_due(stall, now_ns));
	return stalled;
}

#endif
