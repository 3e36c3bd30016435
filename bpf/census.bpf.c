// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Puts the books of connections in order: an iterator over all that carry a mark tells which there
 * are, and from that user space checks the live counts; a program on one connection counts it in.
 *
 * The iterator is that of the marks, not the one over the TCP sockets of a namespace: before
 * 6.1.183, 6.6.152, 6.12.104, 6.18.45 and 7.1.9 that one spoils the reference count of any request
 * that it meets half made (CVE-2026-74714), and what then waits in an accept queue, of whatever
 * service, is freed under it. Nor does this one take locks, or visit anybody else's sockets.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "lb_abi.h"
#include "lb_census.h"
#include "lb_pick.h"
#include "track.bpf.h"

#define TCP_ESTABLISHED 1
#define TCP_CLOSE_WAIT 8
#define TCP_LISTEN 10
#define SOL_TCP 6
#define SOCK_OPS_CB_FLAGS 1008 /* TCP_BPF_SOCK_OPS_CB_FLAGS, newer than some headers */
#define GO_ON 1
#define DONE (-1) /* as a length: the kernel has nothing to do with this option */

char LICENSE[] SEC("license") = "Dual BSD/GPL";

extern void *bpf_rdonly_cast(void *obj, __u32 btf_id) __ksym __weak;

/* Nobody holds its lock meanwhile, so user space believes only what it is told twice. */
SEC("iter/bpf_sk_storage_map")
int lb_census(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct lb_conn *conn = ctx->value, *moved;
	struct tcp_sock *tp = (struct tcp_sock *)ctx->sk;
	struct lb_census out = {};

	if (!tp || !conn)
		return 0;
	out.cookie = BPF_CORE_READ(tp, inet_conn.icsk_inet.sk.__sk_common.skc_cookie.counter);
	out.state = BPF_CORE_READ(tp, inet_conn.icsk_inet.sk.__sk_common.skc_state);
	if (out.state != TCP_LISTEN && !lb_state_is_open(out.state))
		return 0;
	moved = bpf_map_lookup_elem(&lb_moved, &out.cookie);
	out.slot = moved ? moved->slot : conn->slot;
	out.generation = moved ? moved->generation : conn->generation;
	out.counted = conn->counted;
	out.tells = !!(BPF_CORE_READ(tp, bpf_sock_ops_cb_flags) & BPF_SOCK_OPS_STATE_CB_FLAG);
	bpf_seq_write(ctx->meta->seq, &out, sizeof(out));
	return 0;
}

/* The connection that is to be counted in, and its slot. */
struct lb_found lb_found;

/* Its mark. One without is from before attach, and gets it now. */
static __always_inline struct lb_conn *mark_of(struct bpf_sock *sk, bool *is_new)
{
	struct lb_conn *conn = bpf_sk_storage_get(&lb_conns, sk, NULL, 0);
	struct lb_worker *worker;
	__u32 slot = lb_found.slot;

	*is_new = !conn;
	if (conn)
		return conn;
	worker = bpf_map_lookup_elem(&lb_workers, &slot);
	conn = worker ? bpf_sk_storage_get(&lb_conns, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE) : NULL;
	if (!conn)
		return NULL;
	conn->slot = slot;
	conn->generation = worker->generation;
	return conn;
}

/* Also for those that are counted: another program may have cleared the flag. */
static __always_inline bool ask_for_states(struct bpf_sock *sk, const struct tcp_sock *tp)
{
	int flags = tp->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG;

	return !bpf_setsockopt(sk, SOL_TCP, SOCK_OPS_CB_FLAGS, &flags, sizeof(flags));
}

static __always_inline void note_unseen(void)
{
	struct lb_counters *counters;
	__u32 zero = 0;

	counters = bpf_map_lookup_elem(&lb_counters, &zero);
	if (counters)
		count(&counters->unseen);
}

static __always_inline void count_in(struct bpf_sock *sk, const struct tcp_sock *tp)
{
	__u32 state = tp->inet_conn.icsk_inet.sk.__sk_common.skc_state;
	struct lb_stats *stats;
	struct lb_conn *conn;
	bool is_new;

	/* TCP Fast Open's first state: it is still to be established, and is counted then */
	if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT)
		return;
	conn = mark_of(sk, &is_new);
	stats = conn ? books_of(conn) : NULL;
	if (!stats || !ask_for_states(sk, tp) || conn->counted)
		return;
	conn->counted = 1;
	add(&stats->live, 1);
	if (!is_new)
		note_unseen();
}

/*
 * lbctl has a duplicate of the connection and sets an option on it that nobody knows but this
 * program. The kernel holds the connection's lock, as it does for the tracking program.
 */
SEC("cgroup/setsockopt")
int lb_count_in(struct bpf_sockopt *ctx)
{
	const struct tcp_sock *tp;
	struct bpf_sock *sk;

	if (ctx->level != LB_COUNT_IN)
		return GO_ON;
	sk = ctx->sk;
	if (!sk)
		return GO_ON;
	tp = bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock));
	if (tp->inet_conn.icsk_inet.sk.__sk_common.skc_cookie.counter != (__s64)lb_found.cookie)
		return GO_ON;
	count_in(sk, tp);
	ctx->optlen = DONE;
	return GO_ON;
}
