// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The steering program of a UDP listener. The kernel runs it for every datagram that no connected
 * socket takes, and each is a decision of its own, unless flows are kept: then the first datagram
 * of a flow is, and later ones follow it while its worker can take them. Nothing of UDP can be
 * moved: what is unread in a socket goes with it.
 */
#define LB_DATAGRAM
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "choose.bpf.h"
#include "classify.bpf.h"
#include "counters.bpf.h"
#include "decision.bpf.h"
#include "maps.bpf.h"
#include "take.bpf.h"
#include "trace.bpf.h"
#include "wake.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LB_DEFAULT_FLOWS);
	__type(key, __u32);
	__type(value, struct lb_flow);
} lb_flows SEC(".maps");

static __always_inline int count_datagram(const struct decision *d, __u32 picked, __u32 slot)
{
	struct lb_stats *stats = bpf_map_lookup_elem(&lb_stats, &slot);

	if (stats)
		count_in_order(&stats->selected);
	else
		count_in_order(&d->counters->fallback_none);
	wake_keeper(d, slot);
	trace(d, picked, slot, LB_NO_SLOT);
	return SK_PASS;
}

/* The slot of the datagram's flow if it takes this one too, else LB_NO_SLOT. */
static __always_inline __u32 follow_flow(const struct decision *d, __u32 hash, __u64 now_ns)
{
	struct lb_flow *flow = bpf_map_lookup_elem(&lb_flows, &hash);

	/* the sum, not the difference: another CPU may have seen it later than this one's now */
	if (!flow || flow->seen_ns + d->config->flow_ns < now_ns)
		return LB_NO_SLOT;
	if (lb_take_slot(d->ctx, flow->slot, d->config->stall_ns) != TAKEN)
		return LB_NO_SLOT;
	flow->seen_ns = now_ns;
	count(&d->counters->kept);
	return flow->slot;
}

static __always_inline int steer_flow(struct decision *d)
{
	struct lb_flow flow = { .seen_ns = bpf_ktime_get_ns() };
	__u32 hash = d->ctx->hash, picked;

	flow.slot = follow_flow(d, hash, flow.seen_ns);
	if (flow.slot != LB_NO_SLOT)
		return count_datagram(d, flow.slot, flow.slot);
	picked = pick(d);
	flow.slot = take(d, picked);
	if (flow.slot != LB_NO_SLOT)
		bpf_map_update_elem(&lb_flows, &hash, &flow, BPF_ANY);
	return count_datagram(d, picked, flow.slot);
}

static __always_inline int steer_datagram(struct decision *d)
{
	__u32 picked = pick(d);

	return count_datagram(d, picked, take(d, picked));
}

SEC("sk_reuseport")
int lb_steer(struct sk_reuseport_md *ctx)
{
	struct decision d = { .ctx = ctx };
	__u32 zero = 0;

	d.counters = bpf_map_lookup_elem(&lb_counters, &zero);
	d.config = bpf_map_lookup_elem(&lb_config, &zero);
	if (!d.counters || !d.config)
		return SK_PASS;
	if (!is_our_datagram(ctx)) {
		count(&d.counters->not_header);
		return SK_PASS;
	}
	if (!read_word(&d))
		return SK_PASS;
	if (!is_to_be_decided(&d)) {
		if (d.word & LB_WORD_LEAVES_OUT)
			hash_over_table(&d);
		return SK_PASS;
	}
	return d.config->flow_ns ? steer_flow(&d) : steer_datagram(&d);
}
