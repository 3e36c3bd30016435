/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counting a waiting connection that migrates from a closing listener to another one. A half-open
 * one needs nothing: what it becomes inherits from the listener that completes it. An open one
 * keeps what it inherited from the old listener for good, so lb_migrated names its new slot, and
 * whoever counts looks there first. The kernel holds the connection's lock meanwhile.
 */
#ifndef LB_MIGRATE_BPF_H
#define LB_MIGRATE_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "counters.bpf.h"
#include "decision.bpf.h"
#include "lb_hold.h"
#include "lb_pick.h"
#include "queue.bpf.h"

/*
 * Would its end be noticed? The tracking program asked for its states when it counted it. Where
 * that can't be read, the state decides: wrong only for connections from before attach.
 */
static __always_inline bool is_tracked(struct bpf_sock *conn)
{
	struct tcp_sock *tp;

	if (!lb_state_is_open(conn->state))
		return false;
	if (!lb_can_cast)
		return true;
	tp = bpf_rdonly_cast(conn, bpf_core_type_id_kernel(struct tcp_sock));
	return tp->bpf_sock_ops_cb_flags & BPF_SOCK_OPS_STATE_CB_FLAG;
}

static __always_inline void move_live(struct bpf_sock *conn, struct lb_stats *out, __u32 from,
				      __u32 slot)
{
	struct lb_worker *worker = bpf_map_lookup_elem(&lb_workers, &slot);
	struct lb_stats *in = bpf_map_lookup_elem(&lb_stats, &slot);
	/* the map's values may be longer than ours, and are copied whole */
	union {
		struct lb_conn conn;
		char bytes[LB_MOST_COPIED];
	} now = {};
	struct lb_counters *counters;
	__u32 zero = 0;
	__u64 cookie;

	if (!worker || !in || out->live <= 0 || !is_tracked(conn))
		return;
	cookie = bpf_get_socket_cookie(conn);
	now.conn.slot = slot;
	now.conn.generation = worker->generation;
	now.conn.counted = 1;
	now.conn.opened_ns = bpf_ktime_get_ns();
	/* with no room there, the old slot keeps it until it ends */
	if (bpf_map_update_elem(&lb_migrated, &cookie, &now, BPF_ANY)) {
		counters = bpf_map_lookup_elem(&lb_counters, &zero);
		if (counters)
			count(&counters->unnoted);
		return;
	}
	add(&out->live, -1);
	if (in->live <= 0)
		in->began_ns = now.conn.opened_ns;
	add(&in->live, 1);
	/* where it was held it was nobody's */
	if (lb_is_waiting_slot(from))
		count(&in->opened);
}

/* The slot of the listener that closes, which is ctx->sk; LB_NO_SLOT where that is not known. */
static __always_inline __u32 closing_slot(struct sk_reuseport_md *ctx)
{
	struct lb_place *place;
	__u64 cookie;

	if (!lb_can_migrate)
		return LB_NO_SLOT;
	cookie = bpf_get_socket_cookie(ctx->sk);
	place = bpf_map_lookup_elem(&lb_cookies, &cookie);
	return place ? place->slot : LB_NO_SLOT;
}

/*
 * The slot `from`, of the listener that closes, gives a connection away to `slot`. A global
 * function, so that the verifier walks it once and not once per way through take().
 */
__attribute__((noinline)) int lb_leave_closing_slot(struct sk_reuseport_md *ctx, __u32 from,
						    __u32 slot)
{
	struct lb_stats *out = bpf_map_lookup_elem(&lb_stats, &from);
	struct bpf_sock *conn;

	if (!lb_can_migrate || !out)
		return 0;
	count(&out->migrated_out);
	conn = ctx->migrating_sk;
	if (conn)
		move_live(conn, out, from, slot);
	return 0;
}

#endif
