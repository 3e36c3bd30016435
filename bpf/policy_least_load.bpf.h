/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * least-load: the worker that reports the least, by its own measure (lb_load, liblbctl).
 *
 * A report is old as soon as it is made. Two rules keep that from doing harm. What was selected
 * since a report is added to it, so that a burst does not pile onto the one worker that was
 * idle a moment ago. And a report older than stale_ms is not believed: its worker gets one
 * connection per stale_ms, and not more than one in LB_PROBE_EVERY, which shows whether it is idle
 * (it reports again) or hung (it does not). With no fresh report at all the policy walks the table,
 * as rr does.
 *
 * Good when work per connection differs and the program knows its load; without reports it is
 * rr.
 */
#ifndef LB_POLICY_LEAST_LOAD_BPF_H
#define LB_POLICY_LEAST_LOAD_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "candidate.bpf.h"
#include "counters.bpf.h"
#include "lb_pick.h"
#include "maps.bpf.h"

/* Note a new report the first time a decision sees it. Two CPUs may both do so: no harm. */
static __always_inline void note_report(struct lb_stats *stats, __u64 reported_ns, __u64 now_ns)
{
	if (stats->report_seen_ns == reported_ns)
		return;
	stats->report_seen_ns = reported_ns;
	stats->report_at_ns = lb_report_time(reported_ns, now_ns);
	stats->selected_at_report = stats->selected;
}

static __always_inline __u64 weigh_load(const struct candidate *c)
{
	struct lb_load *load = bpf_map_lookup_elem(&lb_load, &c->slot);
	struct lb_stats *stats = c->stats;

	if (!load)
		return c->none;
	note_report(stats, load->reported_ns, c->now_ns);
	if (lb_report_is_stale(stats->report_at_ns, c->now_ns, c->config->stale_ns))
		return may_be_probed(c) ? c->position : c->none;
	return lb_key(lb_load_cost(load->load, stats->selected - stats->selected_at_report,
				   c->worker->inverse_weight),
		      c->position);
}

/* Remembers when it named a slot. */
static __always_inline __u32 settle_least_load(const struct decision *d,
					       const struct scanned *scanned)
{
	struct lb_stats *stats;
	__u32 slot;

	if (!lb_result_is_fresh(scanned->result)) {
		count(&d->counters->all_stale);
		return scanned->start;
	}
	if (lb_key_is_silent(lb_result_least(scanned->result))) {
		d->counters->probed_at = d->counters->cursor;
		count(&d->counters->stale_probes);
	}
	slot = scanned_slot(d, scanned);
	stats = bpf_map_lookup_elem(&lb_stats, &slot);
	if (stats)
		stats->selected_ns = scanned->now_ns;
	return slot;
}

#endif
