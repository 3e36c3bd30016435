/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* May a slot get a connection or a datagram now: its state, its limit, its queue, a stall. */
#ifndef LB_ELIGIBLE_BPF_H
#define LB_ELIGIBLE_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "counters.bpf.h"
#include "lb_pick.h"
#include "maps.bpf.h"
#include "queue.bpf.h"
#include "stall.bpf.h"

/* From the least reason to refuse to the strongest: where all refuse, the least one gets it. */
enum verdict {
	TAKEN,
	LIMITED, /* it has as many connections as it may have */
	STALLED, /* it does not accept */
	FULL,	 /* its accept queue is */
	SKIPPED, /* draining, down, its socket is closed or about to be shut down */
};

/*
 * All workers were found stalled a moment ago: then none is passed by for it. Of one listener, as
 * another one may have one worker only, which hangs.
 */
static __u64 all_stalled_ns;

static __always_inline bool all_are_stalled(void)
{
	return tick_clock_ns() - all_stalled_ns < LB_ALL_STALLED_NS;
}

/* A held worker that has gone on with its work needs no probe. */
static __always_inline void look_for_work(struct lb_stall *stall, __u32 slot)
{
	const struct lb_stats *stats = bpf_map_lookup_elem(&lb_stats, &slot);

	if (stats && lb_is_at_work(stall, stats))
		stall->accepted_ns = tick_clock_ns();
}

/*
 * Would the slot's queue do for a connection, or a datagram of so many bytes? What is unknown
 * does. With `taking` it gets one if so, which is noted. `may_probe` as of is_stalled().
 */
static __always_inline enum verdict judge_queue(__u32 slot, const struct queue_now *now,
						__u32 bytes, __u64 stall_ns, bool taking,
						bool may_probe)
{
	struct lb_stall *stall = bpf_map_lookup_elem(&lb_stalls, &slot);
	struct lb_counters *counters;
	__u32 zero = 0;

	if (has_no_room(now, bytes))
		return FULL;
	if (!stall)
		return TAKEN;
	if (lb_is_held(stall)) {
		if (lb_is_being_rescued(stall, tick_clock_ns()))
			return SKIPPED;
		look_for_work(stall, slot);
	}
	if (is_stalled(stall, now, stall_ns, may_probe)) {
		if (!all_are_stalled())
			return STALLED;
		counters = bpf_map_lookup_elem(&lb_counters, &zero);
		if (taking && counters)
			count(&counters->all_stalled);
	} else if (taking && lb_is_held(stall)) {
		stall->probed_ns = tick_clock_ns();
	}
	return TAKEN;
}

static __always_inline bool slot_is_at_limit(__u32 slot, const struct lb_worker *worker,
					     const struct lb_stats *stats)
{
	return HAS_CONNECTIONS && worker->limit &&
	       lb_is_at_limit(stats->live, read_half_open(slot), worker->limit);
}

/* Would the slot's socket here take a connection, its limit aside? Unknown counts as yes. */
static __always_inline enum verdict judge_slot(__u32 slot)
{
	struct lb_queue *queue = bpf_map_lookup_elem(&lb_queues, &slot);
	struct lb_config *config;
	struct queue_now now;
	__u32 zero = 0;

	config = bpf_map_lookup_elem(&lb_config, &zero);
	if (!queue || !queue->cookie || !config)
		return SKIPPED;
	if (!queue->sock)
		return TAKEN;
	if (!read_queue(queue, &now) || now.state != LISTENING)
		return SKIPPED;
	return judge_queue(slot, &now, 0, config->stall_ns, false, true);
}

/*
 * May a scan name this doubted slot? A dead worker has no connections, and one with a short queue
 * that is full has few: they would look the least busy, decision after decision, until lbctl comes
 * by. Global: few slots are doubted, and the scans should stay small.
 */
__attribute__((noinline)) int lb_slot_is_back(__u32 slot)
{
	struct lb_stats *stats = bpf_map_lookup_elem(&lb_stats, &slot);

	if (!stats || judge_slot(slot) != TAKEN)
		return false;
	stats->doubted = 0;
	return true;
}

#endif
