// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Measures what a worker's connections wait and take, from the cgroup that lb_track is in, while
 * latency=on. accept() shows when the program asks for the client's address, as the kernel then
 * asks for the peer's name inside of it; by Node.js and the like, as they set TCP_NODELAY next;
 * at the latest when an answer is sent. Sockets that are none of the service's cost a look-up, and
 * packets without data not even that.
 */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "counters.bpf.h"
#include "latency.bpf.h"
#include "lb_pick.h"
#include "tls.bpf.h"
#include "track.bpf.h"

#define GO_ON 1
#define TCP_CLOSED 7
#define PROTO_TCP 6
#define IPV6_HEAD 40
#define COPIED_OPTION 4096 /* bytes of a socket option that the kernel hands over */

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* One connection in so many is measured; the others cost a look-up for each packet. */
const volatile __u32 lb_one_in = 1;

/* --- a connection's beginning and end --- */

static __always_inline void note_opened(struct bpf_sock_ops *ops, struct bpf_sock *sk)
{
	struct lb_conn *conn = bpf_sk_storage_get(&lb_conns, sk, NULL, 0);
	int flags = ops->bpf_sock_ops_cb_flags;

	if (!conn || (lb_one_in > 1 && bpf_get_prandom_u32() % lb_one_in))
		return;
	conn->timing.cookie = bpf_get_socket_cookie(ops);
	conn->timing.slot = conn->slot;
	/* lb_track has looked at the clock just now, unless it is not its turn yet */
	conn->timing.opened_ns = conn->opened_ns ?: bpf_ktime_get_ns();
	conn->measured = lb_number;
	if (!(flags & BPF_SOCK_OPS_STATE_CB_FLAG))
		bpf_sock_ops_cb_flags_set(ops, flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

/* args: old state, new state. It ends once, and is closed then or later. */
static __always_inline bool ends(const struct bpf_sock_ops *ops)
{
	return lb_state_is_open(ops->args[0]) && !lb_state_is_open(ops->args[1]);
}

static __always_inline void note_ended(struct bpf_sock_ops *ops, const struct lb_timing *timing,
				       struct lb_latency *latency)
{
	if (ends(ops)) {
		note_time(&latency->lifetime, bpf_ktime_get_ns() - timing->opened_ns);
		if (timing->maybe_ns)
			note_time(&latency->first_byte, timing->maybe_ns);
	}
	if (ops->args[1] != TCP_CLOSED)
		return;
	count(&latency->closed);
	__sync_fetch_and_add(&latency->bytes_in, ops->bytes_received);
	__sync_fetch_and_add(&latency->bytes_out, ops->bytes_acked);
	__sync_fetch_and_add(&latency->retransmits, ops->total_retrans);
	__sync_fetch_and_add(&latency->srtt_us, ops->srtt_us >> 3);
}

SEC("sockops")
int lb_lifetime(struct bpf_sock_ops *ops)
{
	struct lb_latency *latency;
	struct bpf_sock *sk;
	struct lb_timing *timing;

	if (ops->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB && ops->op != BPF_SOCK_OPS_STATE_CB)
		return GO_ON;
	if (ops->op == BPF_SOCK_OPS_STATE_CB && !ends(ops) && ops->args[1] != TCP_CLOSED)
		return GO_ON;
	sk = ops->sk;
	if (!sk)
		return GO_ON;
	if (ops->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
		note_opened(ops, sk);
		return GO_ON;
	}
	timing = timing_of(sk);
	latency = timing ? latency_of(timing->slot) : NULL;
	if (latency)
		note_ended(ops, timing, latency);
	return GO_ON;
}

/* --- accept() --- */

static __always_inline int accepted(struct bpf_sock *sk)
{
	struct lb_timing *timing = timing_of(sk);

	if (timing)
		note_accepted(timing, false);
	return GO_ON;
}

SEC("cgroup/getpeername4")
int lb_accepted4(struct bpf_sock_addr *ctx)
{
	return accepted(ctx->sk);
}

SEC("cgroup/getpeername6")
int lb_accepted6(struct bpf_sock_addr *ctx)
{
	return accepted(ctx->sk);
}

/* The option stays as it is, also where another program has changed it; a long one needs help. */
SEC("cgroup/setsockopt")
int lb_set_option(struct bpf_sockopt *ctx)
{
	if (ctx->optlen > COPIED_OPTION)
		ctx->optlen = 0;
	return accepted(ctx->sk);
}

/* --- requests and answers --- */

/* A segment with data. */
struct segment_data {
	__u32 at;  /* where the data is */
	__u32 seq; /* its number */
};

static __always_inline bool find_data(struct __sk_buff *skb, struct segment_data *data)
{
	const __u8 *ip = (void *)(long)skb->data, *end = (void *)(long)skb->data_end, *tcp;
	__u32 at;

	if (ip + IPV6_HEAD > end)
		return false;
	if (*ip >> 4 == 4) {
		at = (*ip & 15) * 4;
		if (ip[9] != PROTO_TCP)
			return false;
	} else {
		at = IPV6_HEAD;
		if (ip[6] != PROTO_TCP)
			return false;
	}
	tcp = ip + at;
	if (tcp + 20 > end)
		return false;
	data->at = at + (tcp[12] >> 4) * 4;
	data->seq = bpf_ntohl(*(const __u32 *)(tcp + 4));
	return data->at < skb->len;
}

static __always_inline struct bpf_tcp_sock *tcp_of(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	return sk ? bpf_tcp_sock(sk) : NULL;
}

SEC("cgroup_skb/ingress")
int lb_request(struct __sk_buff *skb)
{
	struct segment_data data;
	struct bpf_tcp_sock *tcp;
	struct lb_timing *timing;

	if (!find_data(skb, &data))
		return GO_ON;
	timing = timing_of(skb->sk);
	if (!timing || (timing->request_ns && !timing->maybe_ns))
		return GO_ON;
	/* one that was sent again is known */
	tcp = tcp_of(skb);
	if (!tcp || (__s32)(data.seq - tcp->rcv_nxt) < 0 || !is_request(skb, timing, data.at))
		return GO_ON;
	/* it follows an answer: there were no tickets */
	if (timing->maybe_ns) {
		note_first_byte(timing, timing->maybe_ns);
		timing->maybe_ns = 0;
		timing->tls = TLS_OPEN;
	}
	timing->request_ns = bpf_ktime_get_ns();
	return GO_ON;
}

/* What is sent while there is no request may be of the handshake. */
static __always_inline bool may_shake(const struct lb_timing *timing)
{
	return timing->tls != TLS_NONE && timing->tls != TLS_OPEN;
}

/*
 * What the client sends with the end of TCP's handshake goes by unseen. With TCP_DEFER_ACCEPT that
 * is the first request, or a TLS hello.
 */
static __always_inline void guess_unseen(struct __sk_buff *skb, struct lb_timing *timing, __u32 at)
{
	struct record record;

	if (read_record(skb, at, &record) && record.type == RECORD_HANDSHAKE) {
		timing->tls = TLS_HELLO;
		return;
	}
	timing->tls = TLS_NONE;
	timing->request_ns = timing->opened_ns;
}

static __always_inline void note_answer(struct __sk_buff *skb, struct lb_timing *timing, __u32 at)
{
	__u64 took_ns = bpf_ktime_get_ns() - timing->request_ns;

	note_accepted(timing, true);
	if (timing->tls != TLS_NONE && !is_data(skb, at))
		return;
	if (timing->tls == TLS_TICKETS && may_be_ticket(skb, timing, at)) {
		timing->maybe_ns = timing->maybe_ns ?: took_ns;
		return;
	}
	if (timing->tls == TLS_TICKETS)
		timing->tls = TLS_OPEN;
	timing->maybe_ns = 0;
	timing->request_ns = 0;
	note_first_byte(timing, took_ns);
}

SEC("cgroup_skb/egress")
int lb_answer(struct __sk_buff *skb)
{
	struct segment_data data;
	struct bpf_tcp_sock *tcp;
	struct lb_timing *timing;

	if (!find_data(skb, &data))
		return GO_ON;
	timing = timing_of(skb->sk);
	if (!timing || (!timing->request_ns && !may_shake(timing)))
		return GO_ON;
	tcp = tcp_of(skb);
	if (!tcp || (__s32)(data.seq - tcp->snd_nxt) < 0)
		return GO_ON;
	if (timing->tls == TLS_UNKNOWN && tcp->bytes_received)
		guess_unseen(skb, timing, data.at);
	if (timing->request_ns)
		note_answer(skb, timing, data.at);
	else if (timing->tls == TLS_HELLO)
		timing->tls = TLS_SHAKES;
	else if (timing->tls == TLS_TICKETS)
		may_be_ticket(skb, timing, data.at);
	return GO_ON;
}
