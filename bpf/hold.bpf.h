/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Holding a connection that finds no idle worker, or whose client is far away: it goes to a waiting
 * listener, a socket of the keeper's in the same group, and from there to the worker that is idle
 * first: the keeper's holder shuts that listener down for a moment, the kernel migrates what is in
 * it, and the migration is steered like any other. lb_hold.h says when that pays. While there are
 * no waiting listeners all of this is one load.
 */
#ifndef LB_HOLD_BPF_H
#define LB_HOLD_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "ask.bpf.h"
#include "counters.bpf.h"
#include "decision.bpf.h"
#include "hold_maps.bpf.h"
#include "lb_hold.h"
#include "lb_pick.h"
#include "maps.bpf.h"

static __always_inline bool has_waiting_listeners(void)
{
	struct lb_hold *hold = hold_state();

	return CAN_HOLD && hold && hold->open[lb_listener % LB_MAX_LISTENERS];
}

/* With waiting listeners it matters to a scan who is idle. */
static __always_inline void allow_holding(struct decision *d)
{
	if (has_waiting_listeners() && lb_policy_scans(lb_word_policy(d->word)))
		d->word |= LB_WORD_HOLDS;
}

/* The slot was chosen, and will not show that before its connection's handshake has ended. */
static __always_inline void note_chosen(const struct decision *d, __u32 slot)
{
	struct lb_idle *idle;

	if (!CAN_HOLD || !(d->word & LB_WORD_HOLDS))
		return;
	idle = bpf_map_lookup_elem(&lb_idle, &slot);
	if (idle)
		idle->chosen_ns = bpf_ktime_get_ns();
}

/* Of the waiting listeners `set`, which is not 0. They are used evenly: CPUs seldom collide. */
static __always_inline __u32 index_of(struct sk_reuseport_md *ctx, __u64 set)
{
	return lb_hold_pick(set, ctx->hash) & (LB_WAITING_SLOTS - 1);
}

/*
 * In which one a new connection waits. Where none is free it is that of the connection that came
 * last, so that nobody overtakes who waits, up to a number. Handshakes of clients far away are more
 * than there are waiting listeners, and those that have not ended wait for nobody.
 */
static __always_inline __u32 place_for(struct sk_reuseport_md *ctx, struct lb_hold *hold,
				       struct lb_counters *counters)
{
	__u64 open = hold->open[lb_listener % LB_MAX_LISTENERS];
	__u64 taken = lb_hold_is_far(hold->rtt_ns, hold->work_ns) ? 0 : hold->taken;
	__u64 set = lb_hold_free(open, hold->taken, hold->occupied, hold->closing);
	__u32 last = hold->last & (LB_WAITING_SLOTS - 1), slot;
	struct lb_stats *stats;

	if (!set)
		set = lb_hold_free(open, taken, hold->occupied, hold->closing);
	if (set)
		return index_of(ctx, set);
	slot = LB_MAX_SLOTS + last;
	stats = bpf_map_lookup_elem(&lb_stats, &slot);
	if (!(open & ~hold->closing & 1ULL << last) || !stats || stats->live >= LB_HOLD_MOST_BEHIND)
		return LB_NO_SLOT;
	count(&counters->held_behind);
	return last;
}

/* The waiting listener's slot that has the connection now, or LB_NO_SLOT: it is not to be held. */
__attribute__((noinline)) __u32 lb_hold_connection(struct sk_reuseport_md *ctx)
{
	struct lb_hold *hold = hold_state();
	struct lb_counters *counters;
	struct lb_waiting *waiting;
	__u32 zero = 0, slot, index;
	__u64 now_ns;

	counters = bpf_map_lookup_elem(&lb_counters, &zero);
	if (!hold || !counters || !lb_hold_pays(hold->always, hold->work_ns, hold->delay_ns))
		return LB_NO_SLOT;
	now_ns = bpf_ktime_get_ns();
	if (is_unanswered(hold, now_ns)) {
		count(&counters->unanswered);
		return LB_NO_SLOT;
	}
	index = place_for(ctx, hold, counters);
	waiting = bpf_map_lookup_elem(&lb_waiting, &index);
	if (!waiting)
		return LB_NO_SLOT;
	slot = LB_MAX_SLOTS + index;
	waiting->chosen_ns = now_ns;
	hold->last = index;
	__sync_fetch_and_or(&hold->taken, 1ULL << (index & (LB_WAITING_SLOTS - 1)));
	/* that fails where the keeper has gone */
	return bpf_sk_select_reuseport(ctx, &lb_sockets, &slot, 0) ? LB_NO_SLOT : slot;
}

static __always_inline __u32 hold_connection(const struct decision *d)
{
	if (!CAN_HOLD || !(d->word & LB_WORD_HOLDS) || (!d->all_busy && !d->far))
		return LB_NO_SLOT;
	return lb_hold_connection(d->ctx);
}

/*
 * A connection that migrates from slot `from` waits for a worker, be it that there is none at all,
 * or that it was behind another one that was let go. Then it keeps its turn, in a place of its own
 * if one is free.
 */
__attribute__((noinline)) __u32 lb_hold_migrating(struct sk_reuseport_md *ctx, __u32 from)
{
	__u32 slot, index, source_index = from - LB_MAX_SLOTS;
	struct lb_waiting *source = bpf_map_lookup_elem(&lb_waiting, &source_index), *waiting;
	struct lb_hold *hold = hold_state();
	__u64 open, free;

	open = hold ? hold->open[lb_listener % LB_MAX_LISTENERS] & ~hold->closing : 0;
	if (!open)
		return LB_NO_SLOT;
	free = open & ~(hold->occupied | hold->taken);
	index = index_of(ctx, free ? free : open);
	if (!free && source && source->moved_to)
		index = (source->moved_to - 1) & (LB_WAITING_SLOTS - 1);
	waiting = bpf_map_lookup_elem(&lb_waiting, &index);
	slot = LB_MAX_SLOTS + index;
	if (!waiting || bpf_sk_select_reuseport(ctx, &lb_sockets, &slot, 0))
		return LB_NO_SLOT;
	if (source)
		source->moved_to = index + 1;
	waiting->chosen_ns = bpf_ktime_get_ns();
	if (!(hold->occupied & 1ULL << index))
		waiting->since_ns = source ? source->since_ns : waiting->chosen_ns;
	__sync_fetch_and_or(&hold->taken, 1ULL << index);
	__sync_fetch_and_or(&hold->occupied, 1ULL << index);
	return slot;
}

static __always_inline __u32 hold_migrating(const struct decision *d, __u32 from)
{
	return CAN_HOLD && d->word & LB_WORD_HOLDS ? lb_hold_migrating(d->ctx, from) : LB_NO_SLOT;
}

/*
 * A connection that was behind another one, which has the idle worker now, waits for the next one.
 * The first one gets a worker whatever this run thinks of them: else it might never be let go.
 */
static __always_inline bool waits_on(const struct decision *d, __u32 from)
{
	struct lb_hold *hold = hold_state();

	if (!CAN_HOLD || !hold || !lb_is_waiting_slot(from))
		return false;
	if (!hold->let_go)
		return d->all_busy;
	if (hold->let_go != LB_LET_ALL_GO)
		hold->let_go--;
	return false;
}

/* Slot `from` gives a connection to `slot`; one that was held, how long after the worker slept? */
static __always_inline void note_given(const struct decision *d, __u32 from, __u32 slot)
{
	__u32 index = (from - LB_MAX_SLOTS) & (LB_WAITING_SLOTS - 1);
	struct lb_ask entry = { .slot = slot };
	struct lb_waiting *waiting;
	struct lb_hold *hold;
	struct lb_idle *idle;
	__u64 now_ns, from_ns;

	if (!CAN_HOLD || !(d->word & LB_WORD_HOLDS))
		return;
	waiting = bpf_map_lookup_elem(&lb_waiting, &index);
	idle = bpf_map_lookup_elem(&lb_idle, &slot);
	hold = hold_state();
	if (!waiting || !idle || !hold)
		return;
	if (lb_is_waiting_slot(from) && !lb_is_waiting_slot(slot) && d->all_busy)
		count(&d->counters->held_late);
	now_ns = bpf_ktime_get_ns();
	from_ns = idle->slept_ns > waiting->since_ns ? idle->slept_ns : waiting->since_ns;
	if (lb_is_waiting_slot(from) && !d->all_busy && now_ns > from_ns &&
	    now_ns - from_ns < LB_HOLD_MOST_DELAY_NS)
		hold->delay_ns = lb_hold_average(hold->delay_ns, now_ns - from_ns);
	idle->chosen_ns = idle->given_ns = now_ns;
	/* who empties wakes the worker, where the kernel does not */
	if (lb_is_waiting_slot(from))
		bpf_ringbuf_output(&lb_ask, &entry, sizeof(entry), BPF_RB_NO_WAKEUP);
}

#endif
