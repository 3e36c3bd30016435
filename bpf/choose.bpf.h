/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a policy to a slot that takes the connection or datagram. */
#ifndef LB_CHOOSE_BPF_H
#define LB_CHOOSE_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "counters.bpf.h"
#include "decision.bpf.h"
#include "eligible.bpf.h"
#include "lb_pick.h"
#include "maps.bpf.h"
#include "policy_hash.bpf.h"
#include "policy_random.bpf.h"
#include "policy_rr.bpf.h"
#include "scan.bpf.h"
#include "schedule.bpf.h"
#include "take.bpf.h"

static __always_inline __u32 pick(struct decision *d)
{
	switch (lb_word_policy(d->word)) {
	case LB_POLICY_RANDOM:
		return pick_random(d);
	case LB_POLICY_HASH:
		return pick_hash(d, 0);
	case LB_POLICY_LEAST_LOAD:
	case LB_POLICY_LEAST_CONN:
	case LB_POLICY_LEAST_LATENCY:
		return pick_least(d);
	default:
		return pick_rr(d);
	}
}

/*
 * What to try when a pick could not take the connection. A scan would name the same slot
 * again, so the scans draw at random (a second step of the cursor per connection would leave out
 * every other slot); the others draw as before. Taking the neighbour of a dead slot instead
 * would double that neighbour's load. After LB_DRAWS it is any slot, one after another. Global, so
 * that the verifier walks it once and not once per draw.
 */
__attribute__((noinline)) __u32 lb_pick_again(struct sk_reuseport_md *ctx, __u64 word, __u32 draw,
					      __u32 slot)
{
	struct decision d = { .ctx = ctx, .word = word };
	__u32 zero = 0;

	d.counters = bpf_map_lookup_elem(&lb_counters, &zero);
	d.config = bpf_map_lookup_elem(&lb_config, &zero);
	if (!d.counters || !d.config || !lb_word_length(word))
		return LB_NO_SLOT;
	if (draw > LB_DRAWS)
		return slot + 1 < d.config->used_slots ? slot + 1 : 0;
	count(&d.counters->redraws);
	switch (lb_word_policy(word)) {
	case LB_POLICY_RR:
		return pick_rr(&d);
	case LB_POLICY_HASH:
		return pick_hash(&d, draw);
	default:
		return pick_random(&d);
	}
}

/*
 * Nobody could take it, but for its limit, a stall or a full queue: the first of those that were
 * picked. Only rr has taken several steps by now, always the same number, which may fit its table:
 * there the count of such cases makes the turns. With all stalled that is not needed, as for a
 * moment none is passed by for it. Global for the verifier's sake, as lb_pick_again().
 */
__attribute__((noinline)) __u32 lb_take_anyway(struct sk_reuseport_md *ctx, __u64 word, __u64 best)
{
	__u32 slot = lb_refusal_slot(best), turn = slot, verdict = lb_refusal_verdict(best);
	struct decision d = { .ctx = ctx, .word = word };
	struct lb_counters *counters;
	__u32 zero = 0;

	counters = bpf_map_lookup_elem(&lb_counters, &zero);
	d.config = bpf_map_lookup_elem(&lb_config, &zero);
	if (!counters || !d.config || verdict == SKIPPED)
		return LB_NO_SLOT;
	if (verdict == STALLED)
		all_stalled_ns = tick_clock_ns();
	else if (lb_word_policy(word) == LB_POLICY_RR && lb_word_length(word))
		turn = schedule_slot(&d, counters->all_limited + counters->overloaded);
	/* whose turn it is may hang, where the others are only at their limit */
	if (turn != slot && judge_slot(turn) > verdict)
		turn = slot;
	if (bpf_sk_select_reuseport(ctx, &lb_sockets, &turn, 0)) {
		turn = slot;
		if (bpf_sk_select_reuseport(ctx, &lb_sockets, &turn, 0))
			return LB_NO_SLOT;
	}
	if (verdict == STALLED)
		count(&counters->all_stalled);
	else
		count(verdict == LIMITED ? &counters->all_limited : &counters->overloaded);
	return turn;
}

/*
 * After the first pick was refused: a few draws by the policy; with many slots out, any that can
 * take it; with all at their limit, stalled or full, as if there were no limit, and as the kernel's
 * hash would do. Returns the slot that has the connection now, or LB_NO_SLOT. Global, too.
 */
__attribute__((noinline)) __u32 lb_take_another(struct sk_reuseport_md *ctx, __u64 word, __u32 slot,
						__u32 verdict)
{
	__u64 best = lb_refusal(verdict, 0, slot);
	struct lb_config *config;
	__u32 zero = 0, used, n;

	config = bpf_map_lookup_elem(&lb_config, &zero);
	used = config ? config->used_slots : 0;
	for (n = 1; n <= LB_DRAWS + LB_SCAN_WINDOW && n <= LB_DRAWS + used; n++) {
		slot = lb_pick_again(ctx, word, n, slot);
		verdict = lb_take_slot(ctx, slot, config ? config->stall_ns : 0);
		if (verdict == TAKEN)
			return slot;
		best = lb_key_min(best, lb_refusal(verdict, n, slot));
	}
	return lb_take_anyway(ctx, word, best);
}

/* As the kernel's hash would place it, over the workers in the table alone. */
static __always_inline void hash_over_table(const struct decision *d)
{
	__u32 slot;

	if (!lb_word_length(d->word))
		return;
	slot = schedule_slot(d, d->ctx->hash);
	bpf_sk_select_reuseport(d->ctx, &lb_sockets, &slot, 0);
}

/* The slot that has it now, of what was picked; LB_NO_SLOT = none could take it. */
static __always_inline __u32 take(const struct decision *d, __u32 slot)
{
	__u32 verdict = lb_take_slot(d->ctx, slot, d->config->stall_ns);

	return verdict == TAKEN ? slot : lb_take_another(d->ctx, d->word, slot, verdict);
}

#endif
