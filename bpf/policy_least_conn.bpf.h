/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * least-conn: the worker with the fewest connections for its weight, open ones and handshakes
 * under way. Both are the kernel's own figures at this moment (track.bpf.c counts the open ones,
 * the listener's queue knows the handshakes), so the worker need not know of lbctl, nothing is
 * ever stale, and a burst does not pile up: each connection counts before the next one is picked.
 *
 * Good when connections or requests differ in cost: a slow worker keeps its connections longer,
 * so it gets fewer, and one that hangs gets none once the others have more. Blind to what goes on
 * inside connections: with few long-lived ones (a proxy's pool) it is rr, and a worker that fails
 * fast looks idle. Of idle workers the one with the greatest weight is taken. Handshakes are those
 * of this program's own listener; with SYN cookies they can't be seen until they end.
 *
 * A datagram is no connection: there it is the worker with the fewest unread bytes for its weight,
 * whatever it has of TCP; and least-latency, which times connections, is the same.
 */
#ifndef LB_POLICY_LEAST_CONN_BPF_H
#define LB_POLICY_LEAST_CONN_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "candidate.bpf.h"
#include "lb_pick.h"
#include "queue.bpf.h"

static __always_inline __u64 weigh_conns(const struct candidate *c)
{
	__s64 live = HAS_CONNECTIONS ? c->stats->live : 0;

	return lb_key(lb_conn_cost(live, read_half_open(c->slot), c->worker->inverse_weight),
		      c->position);
}

static __always_inline __u32 settle_least_conn(const struct decision *d,
					       const struct scanned *scanned)
{
	if (lb_key_is_none(lb_result_least(scanned->result)))
		return scanned->start;
	return scanned_slot(d, scanned);
}

#endif
