// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The steering program, one instance per listener. The kernel runs it whenever it looks up a
 * listening socket in the reuseport group: for a SYN, for the ACK that ends a SYN-cookie
 * handshake, for strays, and for each waiting connection of a listener that closes. Whatever
 * goes wrong ends in SK_PASS without a selection, which is the kernel's own hash.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "choose.bpf.h"
#include "classify.bpf.h"
#include "counters.bpf.h"
#include "decision.bpf.h"
#include "hold.bpf.h"
#include "lb_pick.h"
#include "maps.bpf.h"
#include "migrate.bpf.h"
#include "schedule.bpf.h"
#include "sizes.bpf.h"
#include "trace.bpf.h"
#include "wake.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void remember_flow(const struct decision *d, __u32 slot)
{
	__u32 key = d->ctx->hash % LB_RECENT_ENTRIES;
	__u64 *recent = bpf_map_lookup_elem(&lb_recent, &key);

	if (recent)
		*recent = lb_recent_pack(d->ctx->hash, slot);
}

static __always_inline int steer_connection(struct decision *d)
{
	struct lb_stats *stats;
	__u32 slot, picked;

	allow_holding(d);
	picked = pick(d);
	slot = hold_connection(d);
	if (slot != LB_NO_SLOT) {
		count_in_order(&d->counters->held);
		remember_flow(d, slot);
		wake_keeper(d, slot);
		trace(d, picked, slot, LB_NO_SLOT);
		return SK_PASS;
	}
	slot = take(d, picked);
	stats = bpf_map_lookup_elem(&lb_stats, &slot);
	if (stats) {
		count_in_order(&stats->selected);
		note_chosen(d, slot);
#ifdef LB_ABI_APPENDED
		if (LB_HAS(lb_sizes.stats, struct lb_stats, appended))
			count(&stats->appended[0]);
#endif
		remember_flow(d, slot);
	} else {
		count_in_order(&d->counters->fallback_none);
	}
	wake_keeper(d, slot);
	trace(d, picked, slot, LB_NO_SLOT);
	return SK_PASS;
}

/* One that was held gets its worker now: that is its decision, and no more than that. */
static __always_inline void count_migrated(struct lb_stats *stats, __u32 from, __u32 slot)
{
	if (!lb_is_waiting_slot(from)) {
		count_in_order(&stats->migrated_in);
	} else if (!lb_is_waiting_slot(slot)) {
		count_in_order(&stats->selected);
		count(&stats->waited);
	}
}

static __always_inline int steer_migration(struct decision *d)
{
	__u32 slot = LB_NO_SLOT, from = closing_slot(d->ctx), picked;
	struct lb_stats *stats;

	allow_holding(d);
	picked = pick(d);
	if (waits_on(d, from))
		slot = hold_migrating(d, from);
	if (slot == LB_NO_SLOT)
		slot = take(d, picked);
	if (slot == LB_NO_SLOT)
		slot = hold_migrating(d, from);
	stats = bpf_map_lookup_elem(&lb_stats, &slot);
	if (stats) {
		count_migrated(stats, from, slot);
		note_given(d, from, slot);
		lb_leave_closing_slot(d->ctx, from, slot);
	} else {
		count_in_order(&d->counters->migrate_failed);
	}
	wake_keeper(d, slot);
	/* who empties a waiting listener sees to it that the worker hears of it */
	if (!lb_is_waiting_slot(from) || !(d->word & LB_WORD_HOLDS))
		tell_migration(d, slot);
	trace(d, picked, slot, from);
	return SK_PASS;
}

/*
 * What is the kernel's to place: its hash goes over all of the group, of which some may be drained
 * workers, and most waiting listeners. Then it is the same by the table of workers.
 */
static __always_inline int leave_to_hash(struct decision *d)
{
	d->word = *(volatile __u64 *)&d->config->word;
	if (d->word & LB_WORD_LEAVES_OUT || has_waiting_listeners())
		hash_over_table(d);
	return SK_PASS;
}

/*
 * With SYN cookies nothing is kept at SYN, so the look-up for the ACK decides which listener
 * gets the connection: it must be the one that was counted. Moves no counter of any policy.
 */
static __always_inline int resume_handshake(struct decision *d)
{
	__u32 hash = d->ctx->hash, key = hash % LB_RECENT_ENTRIES, slot = LB_NO_SLOT;
	__u64 *recent = bpf_map_lookup_elem(&lb_recent, &key);

	if (recent)
		slot = lb_recent_slot(*recent, hash);
	if (slot != LB_NO_SLOT && !bpf_sk_select_reuseport(d->ctx, &lb_sockets, &slot, 0)) {
		count(&d->counters->ack_recent);
		return SK_PASS;
	}
	count(&d->counters->ack_stray);
	return leave_to_hash(d);
}

SEC("sk_reuseport/migrate")
int lb_steer(struct sk_reuseport_md *ctx)
{
	struct decision d = { .ctx = ctx };
	enum segment segment;
	__u32 zero = 0;

	d.counters = bpf_map_lookup_elem(&lb_counters, &zero);
	d.config = bpf_map_lookup_elem(&lb_config, &zero);
	if (!d.counters || !d.config)
		return SK_PASS;
	segment = classify(ctx);
	if (segment == SEGMENT_UNKNOWN) {
		count(&d.counters->not_header);
		return leave_to_hash(&d);
	}
	if (segment == SEGMENT_OTHER)
		return resume_handshake(&d);

	if (!read_word(&d))
		return SK_PASS;
	/* no decision on a new connection, so it goes by the table under policy kernel, too */
	if (segment == SEGMENT_MIGRATION)
		return steer_migration(&d);
	return is_to_be_decided(&d) ? steer_connection(&d) : leave_to_hash(&d);
}
