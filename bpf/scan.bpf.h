/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The scan that all least-* policies share: weigh the slots of a window from a rotating start, so
 * that ties rotate and the cost is bounded, and take the least. Which slots are eligible is said
 * here, once; a policy gives the cost of one that is (weigh_*), and says what comes of the least
 * (settle_*).
 *
 * The window is LB_SCAN_WINDOW slots. A service that has more is sampled, and a sample does not get
 * better in the measure that it gets longer: of two at random the lesser is nearly as good as the
 * least of all (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001), while
 * each costs the same four cache misses. So there it is LB_SAMPLE_WINDOW.
 *
 * Eight slots are weighed in line, by a global function: the verifier walks those eight once, and
 * not 64 per policy. A call per slot would be half of a scan's cost; one per eight is not.
 */
#ifndef LB_SCAN_BPF_H
#define LB_SCAN_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "candidate.bpf.h"
#include "eligible.bpf.h"
#include "idle.bpf.h"
#include "lb_pick.h"
#include "policy_least_conn.bpf.h"
#include "policy_least_latency.bpf.h"
#include "policy_least_load.bpf.h"
#include "schedule.bpf.h"

#define SCAN_BATCH 8

static __always_inline __u32 scan_window(__u32 used)
{
	if (!lb_can_cast)
		return LB_SLOW_SCAN_WINDOW;
	return used > LB_SCAN_WINDOW ? LB_SAMPLE_WINDOW : LB_SCAN_WINDOW;
}

/* The key of a slot: lb_key() of its cost, c->position where it is silent, or c->none. */
static __always_inline __u64 weigh(struct candidate *c, __u32 policy)
{
	c->worker = bpf_map_lookup_elem(&lb_workers, &c->slot);
	c->stats = bpf_map_lookup_elem(&lb_stats, &c->slot);
	if (!c->worker || !c->stats || c->worker->state != LB_SLOT_UP)
		return c->none;
	if (c->stats->doubted && !lb_slot_is_back(c->slot))
		return c->none;
	if (slot_is_at_limit(c->slot, c->worker, c->stats))
		return c->none;
	switch (policy) {
	case LB_POLICY_LEAST_LOAD:
		return weigh_load(c);
	case LB_POLICY_LEAST_LATENCY:
		return HAS_CONNECTIONS ? weigh_latency(c) : weigh_conns(c);
	default:
		return weigh_conns(c);
	}
}

/*
 * The result over SCAN_BATCH slots from a position of the scan on. `none` is LB_KEY_NONE: a scan's
 * keys must look alike to the verifier, which follows every combination of the constants that it
 * knows, and of an argument it knows nothing.
 */
__attribute__((noinline)) __u64 lb_weigh_batch(__u64 word, __u32 first, __u32 position,
					       __u64 now_ns, __u64 none)
{
	struct candidate c = { .now_ns = now_ns, .none = none };
	__u64 least = none, seen = none, key;
	__u32 zero = 0, used, left, i;

	c.config = bpf_map_lookup_elem(&lb_config, &zero);
	c.counters = bpf_map_lookup_elem(&lb_counters, &zero);
	if (!c.config || !c.counters)
		return none;
	used = c.config->used_slots;
	left = used - position;
	for (i = 0; i < SCAN_BATCH && i < left; i++) {
		c.position = position + i;
		c.slot = lb_scan_slot(first, used, c.position);
		key = weigh(&c, lb_word_policy(word));
		if (CAN_HOLD && word & LB_WORD_HOLDS)
			key = lb_key_busy(key, !lb_slot_is_idle(c.slot, now_ns));
		least = lb_key_min(least, key);
		seen |= key;
	}
	return lb_key_result(least, seen);
}

/*
 * The result (see lb_key_result()) over the window that begins at slot `start`. Global
 * as well: what it learns of used_slots must not multiply the paths through its caller.
 */
__attribute__((noinline)) __u64 lb_scan(__u64 word, __u32 start, __u64 now_ns)
{
	__u64 none = LB_KEY_NONE, least = none, seen = 0, result;
	struct lb_config *config;
	__u32 zero = 0, used, window, i;

	config = bpf_map_lookup_elem(&lb_config, &zero);
	used = config ? config->used_slots : 0;
	window = scan_window(used);
	for (i = 0; i < LB_SCAN_WINDOW && i < used && i < window; i += SCAN_BATCH) {
		result = lb_weigh_batch(word, start % used, i, now_ns, none);
		least = lb_key_min(least, lb_result_least(result));
		seen |= result;
	}
	return least | (seen >> 63 << 63);
}

/*
 * Where a scan begins: at the next slot of the table, which has only those that are up, so that
 * ties go to them in turn. At each slot in turn, the one behind a dead worker would get its ties
 * too.
 */
static __always_inline __u32 scan_start(const struct decision *d)
{
	return schedule_slot(d, next_index(d->counters));
}

static __always_inline bool clients_are_far(void)
{
	struct lb_hold *hold = CAN_HOLD ? hold_state() : NULL;

	return hold && lb_hold_is_far(hold->rtt_ns, hold->work_ns);
}

/* By one of the least-* policies. */
static __always_inline __u32 pick_least(struct decision *d)
{
	__u32 policy = lb_word_policy(d->word);
	struct scanned scanned = { .start = scan_start(d) };

	if (policy != LB_POLICY_LEAST_CONN || (CAN_HOLD && d->word & LB_WORD_HOLDS))
		scanned.now_ns = bpf_ktime_get_ns();
	scanned.result = lb_scan(d->word, scanned.start, scanned.now_ns);
	d->all_busy = lb_key_is_busy(lb_result_least(scanned.result));
	d->far = clients_are_far();
	/* of workers that report nothing it is not known */
	if (policy == LB_POLICY_LEAST_LOAD && !lb_result_is_fresh(scanned.result))
		d->all_busy = d->far = false;
	switch (policy) {
	case LB_POLICY_LEAST_LOAD:
		return settle_least_load(d, &scanned);
	case LB_POLICY_LEAST_LATENCY:
		return HAS_CONNECTIONS ? settle_least_latency(d, &scanned) :
					 settle_least_conn(d, &scanned);
	default:
		return settle_least_conn(d, &scanned);
	}
}

#endif
