/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * least-latency: the worker with the shortest expected delay, its connections times the time that
 * it takes for one. It is least-conn that knows of slow workers: least-conn sends one as many as
 * the others as soon as these are as long, here it gets one when the others are worse.
 *
 * The time is busy time per completion (lb_pace.h), which track.bpf.c keeps for every slot from
 * what the kernel tells of connections. Only a worker that takes more than twice the average of the
 * service is slow; for the rest this is least-conn, so dear and cheap requests on workers alike
 * disturb nothing. A slow worker that gets nothing would stay slow for ever: after stale_ms without
 * a connection it gets one, and the first that takes less than half makes it a worker like any
 * other.
 *
 * Good when workers differ: another core, a cold cache, a noisy neighbour, a backend that is slow
 * for one of them. Does nothing where connections are kept: what a connection lasts is then the
 * client's doing and the same for all workers. A worker that fails fast is not slow.
 */
#ifndef LB_POLICY_LEAST_LATENCY_BPF_H
#define LB_POLICY_LEAST_LATENCY_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "candidate.bpf.h"
#include "counters.bpf.h"
#include "lb_pace.h"
#include "queue.bpf.h"

static __always_inline __u64 weigh_latency(const struct candidate *c)
{
	const struct lb_stats *stats = c->stats;
	__u32 slowness = lb_slowness(&stats->pace, c->counters->inverse_pace);

	if (lb_is_slow(slowness) && may_be_probed(c))
		return c->position;
	return lb_key(lb_latency_cost(stats->live, read_half_open(c->slot),
				      c->worker->inverse_weight, slowness),
		      c->position);
}

static __always_inline __u32 settle_least_latency(const struct decision *d,
						  const struct scanned *scanned)
{
	__u64 least = lb_result_least(scanned->result);
	struct lb_stats *stats;
	__u32 slot;

	if (lb_key_is_none(least))
		return scanned->start;
	slot = scanned_slot(d, scanned);
	stats = bpf_map_lookup_elem(&lb_stats, &slot);
	if (!stats)
		return slot;
	stats->selected_ns = scanned->now_ns;
	if (lb_key_is_silent(least)) {
		d->counters->probed_at = d->counters->cursor;
		stats->pace.probed = 1;
		count(&d->counters->slow_probes);
	}
	return slot;
}

#endif
