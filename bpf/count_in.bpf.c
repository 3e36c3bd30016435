// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Counts an open connection in that the tracking program has missed: one from before attach, or
 * from a time when that program was away. lbctl has a duplicate of the connection and sets an
 * option on it that nobody knows but this program, which hangs on the cgroup for the moment. The
 * kernel holds the connection's lock meanwhile, as it does for the tracking program.
 *
 * An iterator over the TCP sockets would reach those as well that wait in accept queues. But before
 * 6.1.183, 6.6.152, 6.12.104, 6.18.45 and 7.1.9 it spoils the reference count of any request that
 * it meets half made (CVE-2026-74714), and what then waits in a queue, of whatever service, is
 * freed under it.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "lb_abi.h"
#include "lb_count_in.h"
#include "track.bpf.h"

#define PROTO_TCP 6
#define TCP_ESTABLISHED 1
#define TCP_CLOSE_WAIT 8
#define SOL_TCP 6
#define SOCK_OPS_CB_FLAGS 1008 /* TCP_BPF_SOCK_OPS_CB_FLAGS, newer than some headers */
#define GO_ON 1
#define DONE (-1) /* as a length: the kernel has nothing to do with this option */

char LICENSE[] SEC("license") = "Dual BSD/GPL";

extern void *bpf_rdonly_cast(void *obj, __u32 btf_id) __ksym;

struct lb_found lb_found;

/* Its mark. One without gets it now. */
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

/* Others may have asked for more. */
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

static __always_inline void count_in(struct bpf_sock *sk, const struct tcp_sock *tp, __u64 cookie)
{
	__u32 state = tp->inet_conn.icsk_inet.sk.__sk_common.skc_state;
	struct lb_stats *stats;
	struct lb_conn *conn;
	bool is_new;

	if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT)
		return;
	conn = mark_of(sk, &is_new);
	stats = conn ? counters_of(conn) : NULL;
	if (!stats || conn->counted || !ask_for_states(sk, tp))
		return;
	conn->counted = 1;
	/* moved, as another program had asked for its states: then it is counted where it is now */
	if (bpf_map_lookup_elem(&lb_migrated, &cookie))
		return;
	add(&stats->live, 1);
	if (!is_new)
		note_unseen();
}

SEC("cgroup/setsockopt")
int lb_count_in(struct bpf_sockopt *ctx)
{
	__u64 cookie = lb_found.cookie;
	const struct tcp_sock *tp;
	struct bpf_sock *sk;

	/* anybody may call; what comes of it is nothing, or what lbctl is about to do */
	if (ctx->level != LB_COUNT_IN || !cookie)
		return GO_ON;
	sk = ctx->sk;
	if (!sk || sk->protocol != PROTO_TCP)
		return GO_ON;
	tp = bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock));
	if ((__u64)tp->inet_conn.icsk_inet.sk.__sk_common.skc_cookie.counter != cookie)
		return GO_ON;
	count_in(sk, tp, cookie);
	ctx->optlen = DONE;
	return GO_ON;
}
