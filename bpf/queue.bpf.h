/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A slot's queue as it is now: where the socket is, what waits there. At a TCP listener these are
 * connections; with LB_DATAGRAM the unread datagrams of a UDP socket, of which the structs for
 * connections have the first part. Before 6.2 each field costs a call of a helper, so whoever
 * looks at many slots looks at fewer then.
 */
#ifndef LB_QUEUE_BPF_H
#define LB_QUEUE_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "cast.bpf.h"
#include "lb_abi.h"
#include "lb_pick.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LB_ALL_SLOTS);
	__type(key, __u32);
	__type(value, struct lb_queue);
} lb_queues SEC(".maps");

/*
 * The listening socket of a slot, NULL if unknown. Its memory may have been freed and reused, so
 * it must still carry the registered socket's cookie, which the kernel never gives twice; the cast
 * makes a load from unmapped memory read 0.
 */
static __always_inline struct inet_connection_sock *socket_of_queue(const struct lb_queue *queue)
{
	struct inet_connection_sock *icsk;

	if (!queue || !queue->sock)
		return NULL;
	icsk = bpf_rdonly_cast((void *)queue->sock,
			       bpf_core_type_id_kernel(struct inet_connection_sock));
	if ((__u64)icsk->icsk_inet.sk.__sk_common.skc_cookie.counter != queue->cookie)
		return NULL;
	return icsk;
}

static __always_inline struct inet_connection_sock *socket_of_slot(__u32 slot)
{
	return socket_of_queue(bpf_map_lookup_elem(&lb_queues, &slot));
}

struct queue_now {
	__u32 state;  /* of the socket */
	__u32 queued; /* of UDP in bytes, as is the backlog */
	__u32 backlog;
	__u32 half_open;
	/*
	 * Names what has waited longest; NULL = nobody waits. The kernel soon uses the
	 * same memory for another one, but that comes by a look-up, which sees the queue without
	 * the first.
	 */
	const void *oldest;
};

#ifdef LB_DATAGRAM
#define HAS_CONNECTIONS false
#define LISTENING 7 /* TCP_CLOSE: not connected */

/*
 * A reader takes all that has come to a queue of its own (reader_queue) and reads from there: what
 * waits longest is in that, and in the other one only while that is empty.
 */
static __always_inline bool read_queue_direct(const struct lb_queue *queue, struct queue_now *now)
{
	const struct inet_connection_sock *known = socket_of_queue(queue);
	const struct udp_sock *udp;
	const struct sock *sk;

	if (!known)
		return false;
	udp = bpf_rdonly_cast((void *)known, bpf_core_type_id_kernel(struct udp_sock));
	sk = &udp->inet.sk;
	now->state = sk->__sk_common.skc_state;
	now->queued = sk->sk_backlog.rmem_alloc.counter;
	now->backlog = sk->sk_rcvbuf;
	now->half_open = 0;
	now->oldest = NULL;
	if (udp->reader_queue.qlen)
		now->oldest = udp->reader_queue.next;
	else if (sk->sk_receive_queue.qlen)
		now->oldest = sk->sk_receive_queue.next;
	return true;
}

static __always_inline bool read_queue_slowly(const struct lb_queue *queue, struct queue_now *now)
{
	struct sock *sk = (struct sock *)queue->sock;
	struct udp_sock *udp = (struct udp_sock *)sk;

	if (!sk || (__u64)BPF_CORE_READ(sk, __sk_common.skc_cookie.counter) != queue->cookie)
		return false;
	now->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	now->queued = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);
	now->backlog = BPF_CORE_READ(sk, sk_rcvbuf);
	now->half_open = 0;
	now->oldest = NULL;
	if (BPF_CORE_READ(udp, reader_queue.qlen))
		now->oldest = BPF_CORE_READ(udp, reader_queue.next);
	else if (BPF_CORE_READ(sk, sk_receive_queue.qlen))
		now->oldest = BPF_CORE_READ(sk, sk_receive_queue.next);
	return true;
}
/*
 * What a datagram takes of the buffer is not known here: from Linux 6.16 on the kernel drops it
 * unless all of that fits, its bytes in a block of twice as many at most and, from a network card,
 * a page. An empty buffer takes any.
 */
static __always_inline bool has_no_room(const struct queue_now *now, __u32 bytes)
{
	return now->queued && now->queued + 2 * bytes + 4096 > now->backlog;
}
#else
#define HAS_CONNECTIONS true
#define LISTENING 10 /* TCP_LISTEN */

static __always_inline bool read_queue_direct(const struct lb_queue *queue, struct queue_now *now)
{
	struct inet_connection_sock *icsk = socket_of_queue(queue);

	if (!icsk)
		return false;
	now->state = icsk->icsk_inet.sk.__sk_common.skc_state;
	now->queued = icsk->icsk_inet.sk.sk_ack_backlog;
	now->backlog = icsk->icsk_inet.sk.sk_max_ack_backlog;
	now->half_open = icsk->icsk_accept_queue.qlen.counter;
	now->oldest = icsk->icsk_accept_queue.rskq_accept_head;
	return true;
}

static __always_inline bool read_queue_slowly(const struct lb_queue *queue, struct queue_now *now)
{
	struct inet_connection_sock *icsk = (struct inet_connection_sock *)queue->sock;

	if (!icsk || (__u64)BPF_CORE_READ(icsk, icsk_inet.sk.__sk_common.skc_cookie.counter) !=
			     queue->cookie)
		return false;
	now->state = BPF_CORE_READ(icsk, icsk_inet.sk.__sk_common.skc_state);
	now->queued = BPF_CORE_READ(icsk, icsk_inet.sk.sk_ack_backlog);
	now->backlog = BPF_CORE_READ(icsk, icsk_inet.sk.sk_max_ack_backlog);
	now->half_open = BPF_CORE_READ(icsk, icsk_accept_queue.qlen.counter);
	now->oldest = BPF_CORE_READ(icsk, icsk_accept_queue.rskq_accept_head);
	return true;
}

static __always_inline bool has_no_room(const struct queue_now *now, __u32 bytes)
{
	(void)bytes;
	return lb_queue_is_full(now->queued, now->half_open, now->backlog);
}
#endif

/* Is the slot's socket known and still that one? */
static __always_inline bool read_queue(const struct lb_queue *queue, struct queue_now *now)
{
	return lb_can_cast ? read_queue_direct(queue, now) : read_queue_slowly(queue, now);
}

#ifdef LB_DATAGRAM
/* UDP has no handshakes and no connections; what waits weighs as much. */
static __always_inline __u32 read_half_open(__u32 slot)
{
	struct lb_queue *queue = bpf_map_lookup_elem(&lb_queues, &slot);
	struct queue_now now;

	return queue && read_queue(queue, &now) ? now.queued : 0;
}
#else
/*
 * Handshakes under way at the slot's listener. Whether its accept queue has room is not asked
 * with it: that is one more cache line per slot, and lb_take_slot() asks it of a scan's winner.
 */
static __always_inline __u32 read_half_open(__u32 slot)
{
	struct inet_connection_sock *icsk;
	struct lb_queue *queue;

	if (lb_can_cast) {
		icsk = socket_of_slot(slot);
		return icsk ? icsk->icsk_accept_queue.qlen.counter : 0;
	}
	queue = bpf_map_lookup_elem(&lb_queues, &slot);
	if (!queue || !queue->sock)
		return 0;
	icsk = (struct inet_connection_sock *)queue->sock;
	if ((__u64)BPF_CORE_READ(icsk, icsk_inet.sk.__sk_common.skc_cookie.counter) !=
	    queue->cookie)
		return 0;
	return BPF_CORE_READ(icsk, icsk_accept_queue.qlen.counter);
}
#endif

#endif
