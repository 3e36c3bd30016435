// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Iterators over the TCP and UDP sockets of one network namespace that write a struct lb_listening
 * per listening or unconnected socket: what sock_diag does not tell (reuseport group, its program,
 * half-open requests) and where the socket is, so that the steering program can look at its queue.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "lb_inspect.h"
#include "tick.bpf.h"

#define TCP_CLOSE 7 /* of UDP: not connected; of TCP: a listener that was just closed */
#define TCP_LISTEN 10
#define BINDPORT_LOCK 8 /* SOCK_BINDPORT_LOCK */

/*
 * The kernel visits listeners first and then each connection of the namespace, under its lock: on a
 * busy host some 50,000 of them for nothing, and see count_in.bpf.c for what it may spoil on the
 * way. So the last listener ends the read, and if there was one less than lbctl thinks, the first
 * connection. That is an error to the kernel, which drops what the program wrote of that socket,
 * and says EAGAIN if it has nothing else to tell.
 */
#define GO_ON 0
#define END_READ 1

char LICENSE[] SEC("license") = "Dual BSD/GPL";

__u16 lb_port; /* 0 = all */
__u32 lb_left; /* listeners still to be visited; 0 = unknown */
bool lb_ended; /* the last one has been, and is here: */
struct lb_listening lb_last;

static __always_inline void describe_group(struct lb_listening *out, struct sock_reuseport *group)
{
	struct bpf_prog *prog;
	__u32 id;

	if (!group)
		return;
	out->group = (__u64)group;
	out->members = BPF_CORE_READ(group, num_socks);
	prog = BPF_CORE_READ(group, prog);
	if (!prog)
		return;
	id = BPF_CORE_READ(prog, aux, id);
	out->prog_id = id ? id : LB_CLASSIC_PROGRAM;
}

/* Was the port named in bind(2)? Else the kernel has chosen one, and chooses another next time. */
static __always_inline bool is_port_named(struct sock *sk)
{
	if (!bpf_core_field_exists(sk->sk_userlocks))
		return false;
	return BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & BINDPORT_LOCK;
}

static __always_inline void describe(struct lb_listening *out, struct sock *sk)
{
	out->sock = (__u64)sk;
	out->cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	out->port = BPF_CORE_READ(sk, __sk_common.skc_num);
	describe_group(out, BPF_CORE_READ(sk, sk_reuseport_cb));
	out->alone = !out->group && is_port_named(sk);
}

SEC("iter/tcp")
int lb_inspect(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct lb_listening out = {};
	struct inet_connection_sock *icsk;

	if (!skc || skc->skc_state == TCP_CLOSE)
		return GO_ON;
	if (skc->skc_state != TCP_LISTEN || lb_ended)
		return END_READ;
	if (lb_port && skc->skc_num != lb_port)
		return GO_ON;
	icsk = (struct inet_connection_sock *)skc;
	describe(&out, (struct sock *)skc);
	out.half_open = BPF_CORE_READ(icsk, icsk_accept_queue.qlen.counter);
	out.oldest = (__u64)BPF_CORE_READ(icsk, icsk_accept_queue.rskq_accept_head);
	out.now_ns = tick_clock_ns();
	if (lb_left == 1) {
		lb_last = out;
		lb_ended = true;
		return END_READ;
	}
	/* one for which there was no room is visited again */
	if (!bpf_seq_write(ctx->meta->seq, &out, sizeof(out)) && lb_left)
		lb_left--;
	return GO_ON;
}

SEC("iter/udp")
int lb_inspect_udp(struct bpf_iter__udp *ctx)
{
	struct udp_sock *udp = ctx->udp_sk;
	struct sock *sk = (struct sock *)udp;
	struct lb_listening out = {};

	if (!sk || BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_CLOSE)
		return GO_ON;
	if (lb_port && BPF_CORE_READ(sk, __sk_common.skc_num) != lb_port)
		return GO_ON;
	describe(&out, sk);
	/* of UDP, SO_REUSEADDR of both is enough */
	if (BPF_CORE_READ_BITFIELD_PROBED(&sk->__sk_common, skc_reuse))
		out.alone = 0;
	/* as in queue.bpf.h */
	if (BPF_CORE_READ(udp, reader_queue.qlen))
		out.oldest = (__u64)BPF_CORE_READ(udp, reader_queue.next);
	else if (BPF_CORE_READ(sk, sk_receive_queue.qlen))
		out.oldest = (__u64)BPF_CORE_READ(sk, sk_receive_queue.next);
	out.now_ns = tick_clock_ns();
	bpf_seq_write(ctx->meta->seq, &out, sizeof(out));
	return GO_ON;
}
