/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * least-load: the worker that reports the least, by its own measure (lb_load, liblbctl).
 *
 * A report is old as soon as it is made. Two rules keep that from doing harm. What was selected
 * since a report is added to it, so that a burst does not pile onto the one worker that was
 * idle a moment ago. And a report older than stale_ms is not believed: its worker gets one
 * connection per stale_ms, which shows whether it is idle (it reports again) or hung (it does
 * not). With no fresh report at all the policy walks the table, as rr does.
 *
 * Good when work per connection differs and the program knows its load; without reports it is
 * rr. Looks at LB_SCAN_WINDOW slots from a rotating start, so ties rotate and cost is bounded.
 */

/* Note a new report the first time a decision sees it. Two CPUs may both do so: no harm. */
static __always_inline void note_report(struct lb_stats *stats, __u64 reported_ns, __u64 now_ns)
{
	if (stats->report_seen_ns == reported_ns)
		return;
	stats->report_seen_ns = reported_ns;
	stats->report_at_ns = lb_report_time(reported_ns, now_ns);
	stats->selected_at_report = stats->selected;
}

/*
 * The key (see lb_key()) of the slot at a position of the scan. Inlined: 64 calls would be half of
 * the scan's cost. `none` is LB_KEY_NONE, veiled.
 */
static __always_inline __u64 weigh_slot(__u32 first, __u32 used, __u32 position, __u64 now_ns,
					__u64 stale_ns, __u64 none)
{
	__u32 slot = lb_scan_slot(first, used, position);
	struct lb_worker *worker = bpf_map_lookup_elem(&lb_workers, &slot);
	struct lb_stats *stats = bpf_map_lookup_elem(&lb_stats, &slot);
	struct lb_load *load = bpf_map_lookup_elem(&lb_load, &slot);
	__u64 cost;

	if (!worker || !stats || !load || worker->state != LB_SLOT_UP)
		return none;
	if (stats->doubted && !lb_slot_is_back(slot))
		return none;
	note_report(stats, load->reported_ns, now_ns);
	if (lb_report_is_stale(stats->report_at_ns, now_ns, stale_ns)) {
		if (lb_report_is_stale(stats->selected_ns, now_ns, stale_ns))
			return none - (LB_KEY_NONE - LB_KEY_SILENT) + position;
		return none;
	}
	cost = lb_load_cost(load->load, stats->selected - stats->selected_at_report,
			    worker->inverse_weight);
	return lb_key(cost, position);
}

/*
 * The slot to take, or LB_NO_SLOT when no report is fresh. Remembers when it named a slot.
 * Global as well: what it learns of used_slots must not multiply the paths through its caller.
 */
__attribute__((noinline)) __u32 lb_scan_load(__u64 start, __u32 used, __u64 stale_ns)
{
	__u64 none = veiled(LB_KEY_NONE), least = none, silent = none, key;
	__u64 now_ns = bpf_ktime_get_ns();
	struct lb_counters *counters;
	struct lb_stats *stats;
	__u32 first, slot, i, zero = 0;

	if (!used)
		return LB_NO_SLOT;
	first = start % used;
	for (i = 0; i < LB_SCAN_WINDOW && i < used; i++) {
		key = weigh_slot(first, used, i, now_ns, stale_ns, none);
		least = lb_key_min(least, key);
		silent = lb_key_min(silent, lb_key_silent_first(key));
	}
	if (least >= LB_KEY_SILENT)
		return LB_NO_SLOT;
	slot = lb_scan_slot(first, used, lb_key_position(least));
	if (lb_key_is_position(silent)) {
		slot = lb_scan_slot(first, used, silent);
		counters = bpf_map_lookup_elem(&lb_counters, &zero);
		if (counters)
			count(&counters->stale_probes);
	}
	stats = bpf_map_lookup_elem(&lb_stats, &slot);
	if (stats)
		stats->selected_ns = now_ns;
	return slot;
}

static __always_inline __u32 pick_least_load(const struct decision *d)
{
	__u64 start = next_index(d->counters);
	__u32 slot = lb_scan_load(start, d->config->used_slots, d->config->stale_ns);

	if (slot != LB_NO_SLOT)
		return slot;
	count(&d->counters->all_stale);
	return schedule_slot(d, start);
}
