// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * An iterator over the TCP sockets of one network namespace that puts the books of connections in
 * order: it marks registered listeners, counts open connections in that nobody saw open, and
 * writes a struct lb_census per open connection, from which user space checks the live counts.
 *
 * Which slot an older connection belongs to is in lb_found: by cookie where user space knows who
 * holds it, by address where this program finds it in a listener's accept queue. Listeners come
 * first. The kernel holds each socket's lock meanwhile, as it does for the tracking program.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "lb_abi.h"
#include "lb_census.h"
#include "track.bpf.h"

#define TCP_ESTABLISHED 1
#define TCP_SYN_RECV 3 /* a full socket in this state came by TCP Fast Open */
#define TCP_CLOSE_WAIT 8
#define TCP_LISTEN 10
#define SOL_TCP 6
#define SOCK_OPS_CB_FLAGS 1008 /* TCP_BPF_SOCK_OPS_CB_FLAGS, newer than some headers */
#define MAX_QUEUE (1 << 20)

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile bool lb_can_adopt = false; /* the kernel lets iterators set callback flags: 6.12 */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct lb_found);
} lb_found SEC(".maps");

struct queue {
	struct request_sock *next;
	struct lb_found found;
};

static long note_waiting(__u32 index, struct queue *queue)
{
	struct request_sock *request = queue->next;
	__u64 child;

	(void)index;
	if (!request)
		return 1;
	child = (__u64)BPF_CORE_READ(request, sk);
	bpf_map_update_elem(&lb_found, &child, &queue->found, BPF_ANY);
	queue->next = BPF_CORE_READ(request, dl_next);
	return 0;
}

static __always_inline void set_slot(struct lb_conn *conn, __u32 slot)
{
	struct lb_worker *worker = bpf_map_lookup_elem(&lb_workers, &slot);

	conn->slot = slot;
	conn->generation = worker ? worker->generation : 0;
}

static __always_inline void visit_listener(struct tcp_sock *tp)
{
	struct inet_connection_sock *icsk = &tp->inet_conn;
	__u64 cookie = icsk->icsk_inet.sk.__sk_common.skc_cookie.counter;
	struct lb_place *place = bpf_map_lookup_elem(&lb_cookies, &cookie);
	struct queue queue = {};
	struct lb_conn *conn;

	if (!place)
		return;
	conn = bpf_sk_storage_get(&lb_conns, tp, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (conn)
		set_slot(conn, place->slot);
	if (!lb_can_adopt)
		return;
	queue.found.slot = place->slot;
	queue.found.port = icsk->icsk_inet.sk.__sk_common.skc_num;
	queue.next = icsk->icsk_accept_queue.rskq_accept_head;
	bpf_loop(MAX_QUEUE, note_waiting, &queue, 0);
}

static __always_inline struct lb_conn *adopt(struct tcp_sock *tp, __u64 cookie)
{
	__u64 address = (__u64)tp;
	struct lb_found *found;
	struct lb_conn *conn;

	found = bpf_map_lookup_elem(&lb_found, &cookie);
	if (!found)
		found = bpf_map_lookup_elem(&lb_found, &address);
	if (!found || found->port != tp->inet_conn.icsk_inet.sk.__sk_common.skc_num)
		return NULL;
	conn = bpf_sk_storage_get(&lb_conns, tp, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (conn)
		set_slot(conn, found->slot);
	return conn;
}

/* Also for those that are counted: another program may have cleared the flag. */
static __always_inline bool ask_for_states(struct tcp_sock *tp)
{
	int flags = tp->bpf_sock_ops_cb_flags;

	if (flags & BPF_SOCK_OPS_STATE_CB_FLAG)
		return true;
	flags |= BPF_SOCK_OPS_STATE_CB_FLAG;
	return !bpf_setsockopt(tp, SOL_TCP, SOCK_OPS_CB_FLAGS, &flags, sizeof(flags));
}

/* Is it newly counted? */
static __always_inline bool count_in(struct tcp_sock *tp, struct lb_conn *conn)
{
	struct lb_stats *stats = books_of(conn);

	if (!stats || !ask_for_states(tp) || conn->counted)
		return false;
	conn->counted = 1;
	add(&stats->live, 1);
	return true;
}

static __always_inline void note_unseen(void)
{
	struct lb_counters *counters;
	__u32 zero = 0;

	counters = bpf_map_lookup_elem(&lb_counters, &zero);
	if (counters)
		count(&counters->unseen);
}

/* Counts a connection in that has been missed. Is it newly counted? */
static __always_inline bool settle(struct tcp_sock *tp, struct lb_conn **conn, __u64 cookie)
{
	if (*conn) {
		if (!count_in(tp, *conn))
			return false;
		note_unseen();
		return true;
	}
	*conn = adopt(tp, cookie);
	return *conn && count_in(tp, *conn);
}

static __always_inline void visit_connection(struct bpf_iter__tcp *ctx, struct tcp_sock *tp)
{
	struct lb_conn *conn = bpf_sk_storage_get(&lb_conns, tp, NULL, 0), *moved;
	__u64 cookie = bpf_get_socket_cookie(tp);
	struct lb_census out = {};

	if (lb_can_adopt && tp->inet_conn.icsk_inet.sk.__sk_common.skc_state != TCP_SYN_RECV)
		out.fresh = settle(tp, &conn, cookie);
	if (!conn)
		return;
	moved = bpf_map_lookup_elem(&lb_moved, &cookie);
	out.slot = moved ? moved->slot : conn->slot;
	out.generation = moved ? moved->generation : conn->generation;
	out.counted = conn->counted;
	bpf_seq_write(ctx->meta->seq, &out, sizeof(out));
}

SEC("iter/tcp")
int lb_census(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct tcp_sock *tp;

	if (!skc)
		return 0;
	tp = bpf_skc_to_tcp_sock(skc);
	if (!tp)
		return 0;
	switch (skc->skc_state) {
	case TCP_LISTEN:
		visit_listener(tp);
		break;
	case TCP_ESTABLISHED:
	case TCP_SYN_RECV:
	case TCP_CLOSE_WAIT:
		visit_connection(ctx, tp);
		break;
	}
	return 0;
}
