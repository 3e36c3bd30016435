/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Handing a connection or datagram to a slot. */
#ifndef LB_TAKE_BPF_H
#define LB_TAKE_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "counters.bpf.h"
#include "decision.bpf.h"
#include "eligible.bpf.h"
#include "maps.bpf.h"
#include "queue.bpf.h"

/*
 * Hand the connection to this slot's listener; a slot that can't take it is counted. A global
 * function, so that the verifier walks it once and not once per draw.
 */
__attribute__((noinline)) int lb_take_slot(struct sk_reuseport_md *ctx, __u32 slot, __u64 stall_ns)
{
	struct lb_worker *worker = bpf_map_lookup_elem(&lb_workers, &slot);
	struct lb_stats *stats = bpf_map_lookup_elem(&lb_stats, &slot);
	struct lb_queue *queue = bpf_map_lookup_elem(&lb_queues, &slot);
	enum verdict verdict = SKIPPED;
	struct queue_now now;
	bool limited, migrates = lb_can_migrate && ctx->migrating_sk;

	if (!worker || !stats || !queue)
		return SKIPPED;
	if (worker->state == LB_SLOT_UP) {
		limited = slot_is_at_limit(slot, worker, stats);
		verdict = TAKEN;
		if (read_queue(queue, &now))
			/* one that is being closed must not pass for the least grave case */
			verdict = now.state != LISTENING ?
					  SKIPPED :
					  judge_queue(slot, &now, ctx->len, stall_ns, !limited,
						      !migrates);
		if (verdict == TAKEN && limited)
			verdict = LIMITED;
		if (verdict == TAKEN && !bpf_sk_select_reuseport(ctx, &lb_sockets, &slot, 0))
			return TAKEN;
		if (verdict == TAKEN)
			verdict = SKIPPED;
	}
	count(&stats->skipped);
	if (verdict != LIMITED)
		stats->doubted = 1;
	return verdict;
}

#endif
