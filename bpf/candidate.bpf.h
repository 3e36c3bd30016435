/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a scan and the policies that it asks tell each other of an eligible slot. */
#ifndef LB_CANDIDATE_BPF_H
#define LB_CANDIDATE_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "decision.bpf.h"
#include "lb_pick.h"

/* An eligible slot. */
struct candidate {
	__u32 slot;
	__u32 position; /* in the scan */
	struct lb_worker *worker;
	struct lb_stats *stats;
	__u64 now_ns; /* 0 for least-conn, which knows no time */
	const struct lb_config *config;
	const struct lb_counters *counters;
	__u64 none; /* LB_KEY_NONE, as the verifier does not know it */
};

/* What a scan came to. */
struct scanned {
	__u32 start;  /* the slot that it began at */
	__u64 result; /* see lb_key_result() */
	__u64 now_ns; /* as in struct candidate */
};

/*
 * A slot of which only a connection can tell: it is time for one when it had none for stale_ms, and
 * where few come, when enough others had theirs since the last such slot had. How many is enough
 * varies: always the same number may fit the table, and the scan would find the same one each time.
 */
static __always_inline bool may_be_probed(const struct candidate *c)
{
	const struct lb_counters *counters = c->counters;
	__u64 enough = LB_PROBE_EVERY + (counters->slow_probes + counters->stale_probes) % 7;

	return lb_report_is_stale(c->stats->selected_ns, c->now_ns, c->config->stale_ns) &&
	       (!counters->probed_at || counters->cursor - counters->probed_at >= enough);
}

/* The slot of the least key, which must not be LB_KEY_NONE. */
static __always_inline __u32 scanned_slot(const struct decision *d, const struct scanned *scanned)
{
	__u32 used = d->config->used_slots;
	__u32 position = lb_key_position(lb_result_least(scanned->result));

	return used ? lb_scan_slot(scanned->start % used, used, position) : LB_NO_SLOT;
}

#endif
