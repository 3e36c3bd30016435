/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Telling lbctl trace of each decision. While nobody traces, a decision pays one load for it; the
 * ring buffer is the reader's, put into lb_trace for as long as it reads. What a candidate cost is
 * asked again after the decision, in the same run: nothing of it has changed by then, but on
 * another CPU.
 */
#ifndef LB_TRACE_BPF_H
#define LB_TRACE_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "candidate.bpf.h"
#include "counters.bpf.h"
#include "decision.bpf.h"
#include "eligible.bpf.h"
#include "idle.bpf.h"
#include "lb_pick.h"
#include "maps.bpf.h"
#include "policy_hash.bpf.h"
#include "scan.bpf.h"
#include "sizes.bpf.h"
#include "stall.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_RINGBUF);
			__uint(max_entries, 4096);
		});
} lb_trace SEC(".maps");

/* Has its queue not moved for stall_ns? Notes nothing: that is the decisions' to do. */
static __always_inline bool looks_stalled(__u32 slot, const struct queue_now *now, __u64 stall_ns)
{
	struct lb_stall *stall = bpf_map_lookup_elem(&lb_stalls, &slot);

	if (!stall)
		return false;
	return lb_is_held(stall) ||
	       (stall_ns && now->oldest && stall->oldest == (__u64)now->oldest &&
		lb_stall_age_ns(stall, tick_clock_ns()) >= stall_ns);
}

static __always_inline __u32 why_out(__u32 slot, const struct lb_worker *worker,
				     const struct lb_stats *stats, const struct queue_now *now,
				     const struct lb_config *config)
{
	if (worker->state == LB_SLOT_DRAINING)
		return LB_OUT_DRAINING;
	if (worker->state != LB_SLOT_UP || now->state != LISTENING)
		return LB_OUT_DOWN;
	if (has_no_room(now, 0))
		return LB_OUT_FULL;
	if (looks_stalled(slot, now, config->stall_ns))
		return LB_OUT_STALLED;
	return slot_is_at_limit(slot, worker, stats) ? LB_OUT_LIMITED : LB_OUT_NOT;
}

/*
 * What there is to tell of a slot but its cost: why it is out, its queue, half-open connections. In
 * one number, as a global function may not write to its caller's memory on older kernels.
 */
__attribute__((noinline)) __u64 lb_look_at(__u32 slot)
{
	struct lb_worker *worker = bpf_map_lookup_elem(&lb_workers, &slot);
	struct lb_stats *stats = bpf_map_lookup_elem(&lb_stats, &slot);
	struct lb_queue *queue = bpf_map_lookup_elem(&lb_queues, &slot);
	struct queue_now now = { .state = LISTENING };
	struct lb_config *config;
	__u32 zero = 0;

	config = bpf_map_lookup_elem(&lb_config, &zero);
	if (!worker || !stats || !queue || !config)
		return (__u64)LB_OUT_DOWN << 56;
	if (queue->sock && !read_queue(queue, &now))
		now.state = 0;
	return (__u64)why_out(slot, worker, stats, &now, config) << 56 |
	       (__u64)(now.half_open & 0xffffff) << 32 | now.queued;
}

__attribute__((noinline)) __u32 lb_live_of(__u32 slot)
{
	struct lb_stats *stats = bpf_map_lookup_elem(&lb_stats, &slot);

	return stats && stats->live > 0 ? stats->live : 0;
}

/* Its key in a scan, see lb_key(); 0 where the policy does not scan. */
__attribute__((noinline)) __u64 lb_cost_of(__u64 word, __u32 slot, __u64 now_ns, __u64 none)
{
	struct candidate c = { .slot = slot, .now_ns = now_ns, .none = none };
	__u32 zero = 0;
	__u64 key;

	c.config = bpf_map_lookup_elem(&lb_config, &zero);
	c.counters = bpf_map_lookup_elem(&lb_counters, &zero);
	if (!c.config || !c.counters || !lb_policy_scans(lb_word_policy(word)))
		return 0;
	key = weigh(&c, lb_word_policy(word));
	if (CAN_HOLD && word & LB_WORD_HOLDS)
		key = lb_key_busy(key, !lb_slot_is_idle(slot, now_ns));
	return key;
}

static __always_inline void trace_client(struct sk_reuseport_md *ctx, struct lb_trace *trace)
{
	struct bpf_sock *conn = lb_can_migrate ? ctx->migrating_sk : NULL;
	const __be16 *source = ctx->data;
	__u32 port;

	trace->client[2] = bpf_htonl(0xffff);
	if (conn) {
		read_peer(conn, trace->client);
		port = bpf_ntohs(conn->dst_port);
		/* as in read_peer() */
		asm volatile("" : "+r"(port));
		trace->port = port;
		return;
	}
	if (ctx->eth_protocol == bpf_htons(PROTOCOL_IPV4))
		bpf_skb_load_bytes_relative(ctx, IPV4_SOURCE, &trace->client[3],
					    sizeof(trace->client[3]), BPF_HDR_START_NET);
	else
		bpf_skb_load_bytes_relative(ctx, IPV6_SOURCE, trace->client, sizeof(trace->client),
					    BPF_HDR_START_NET);
	if ((const void *)(source + 1) <= ctx->data_end)
		trace->port = bpf_ntohs(*source);
}

/* A loop without branches but its end: else the verifier walks it in 2^64 ways. */
static __always_inline void trace_candidates(struct lb_trace *trace, __u64 word, __u64 now_ns,
					     __u32 used)
{
	__u32 slot;
	__u64 look;

	for (slot = 0; slot < LB_TRACE_CANDIDATES && slot < used; slot++) {
		struct lb_candidate *candidate = &trace->candidates[slot];

		look = lb_look_at(slot);
		candidate->key = lb_cost_of(word, slot, now_ns, LB_KEY_NONE);
		candidate->live = lb_live_of(slot);
		candidate->half_open = look >> 32 & 0xffffff;
		candidate->queued = look;
		candidate->out = look >> 56;
	}
	trace->nr_candidates = slot;
}

/* Of a decision that picked one slot and came to another, or to the same; `from`: it migrates. */
__attribute__((noinline)) int lb_trace_decision(struct sk_reuseport_md *ctx, __u64 word,
						__u32 picked, __u32 slot, __u32 from)
{
	struct lb_counters *counters;
	struct lb_config *config;
	struct lb_trace *trace;
	__u64 now_ns = bpf_ktime_get_ns();
	__u32 zero = 0;
	void *ring;

	config = bpf_map_lookup_elem(&lb_config, &zero);
	counters = bpf_map_lookup_elem(&lb_counters, &zero);
	ring = bpf_map_lookup_elem(&lb_trace, &zero);
	/* a reader that was killed renews it no more */
	if (!ring || !config || !counters || config->trace_until_ns < now_ns)
		return 0;
	trace = bpf_ringbuf_reserve(ring, sizeof(*trace), 0);
	if (!trace) {
		if (LB_HAS(lb_sizes.counters, struct lb_counters, untraced))
			count(&counters->untraced);
		return 0;
	}
	__builtin_memset(trace, 0, offsetof(struct lb_trace, candidates));
	trace->time_ns = now_ns;
	trace->word = word;
	trace->picked = picked;
	trace->slot = slot;
	trace->from = from;
	trace->migrates = lb_can_migrate && ctx->migrating_sk;
	trace->listener = lb_listener;
	trace_client(ctx, trace);
	trace_candidates(trace, word, now_ns, config->used_slots);
	bpf_ringbuf_submit(trace, 0);
	return 0;
}

static __always_inline void trace(const struct decision *d, __u32 picked, __u32 slot, __u32 from)
{
	if (LB_HAS(lb_sizes.config, struct lb_config, trace_until_ns) && d->config->trace_until_ns)
		lb_trace_decision(d->ctx, d->word, picked, slot, from);
}

#endif
