/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Is a slot's worker idle: does it sleep where the next connection will wake it? That is what the
 * wait queue of its listening socket tells, without a word from the worker. Whoever sleeps in
 * accept(), poll() or select() is in it. An epoll instance is in it for good; there it is the
 * instance's own queue, where those are that sleep in epoll_wait(). All is read at the moment, so
 * what a worker opens, closes or forks later is seen as well. io_uring looks like poll(): there a
 * worker always seems idle, and nothing is held for it.
 *
 * The addresses may be stale: loads from what is gone read 0 or garbage, and the worst that comes
 * of it is one wrong answer.
 */
#ifndef LB_IDLE_BPF_H
#define LB_IDLE_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "hold_maps.bpf.h"
#include "lb_hold.h"
#include "queue.bpf.h"

#define MOST_WAITERS 4 /* of one socket that are looked at: processes that share it */

/* *(type *)at, 0 where there is nothing. */
static __always_inline __u64 load(__u64 at)
{
	__u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)at);
	return value;
}

#define ADDRESS(at, type, field) ((at) + bpf_core_field_offset(type, field))
#define FIELD(at, type, field) load(ADDRESS(at, type, field))

/* Of an entry of a socket's wait queue: the epoll instance that it belongs to; 0 = none. */
static __always_inline __u64 epoll_of(__u64 entry, __u64 queue, __u64 file)
{
	__u64 at = entry - bpf_core_field_offset(struct eppoll_entry, wait) -
		   bpf_core_field_offset(struct wait_queue_entry, entry);
	__u64 item;

	if (FIELD(at, struct eppoll_entry, whead) != queue)
		return 0;
	/* an entry of poll() looks the same so far, with flags in this place */
	item = FIELD(at, struct eppoll_entry, base);
	if (!item || FIELD(item, struct epitem, ffd.file) != file)
		return 0;
	return FIELD(item, struct epitem, ep);
}

static __always_inline bool has_waiters(__u64 head)
{
	return load(head) != head;
}

/* Does anybody sleep who the next connection at this socket wakes? */
static __always_inline bool somebody_sleeps(__u64 sk)
{
	__u64 wq = FIELD(sk, struct sock, sk_wq), queue, head, entry, file, epoll;

	if (!wq)
		return false;
	file = FIELD(FIELD(sk, struct sock, sk_socket), struct socket, file);
	queue = ADDRESS(wq, struct socket_wq, wait);
	head = ADDRESS(queue, struct wait_queue_head, head);
	entry = load(head);
	for (int i = 0; i < MOST_WAITERS && entry && entry != head; i++) {
		epoll = epoll_of(entry, queue, file);
		if (!epoll)
			return true;
		/* who waits for the instance itself, by another one or poll(), is not looked for */
		if (has_waiters(ADDRESS(epoll, struct eventpoll, wq.head)) ||
		    has_waiters(ADDRESS(epoll, struct eventpoll, poll_wait.head)))
			return true;
		entry = load(entry);
	}
	return false;
}

/*
 * Where the slot's worker waits for connections, it sleeps. One that has been woken is in its wait
 * queue until it runs, with poll() and select(): on a busy host for long. It has something in its
 * accept queue then. Global: the verifier walks it once.
 */
__attribute__((noinline)) int lb_worker_sleeps(__u32 slot)
{
	struct lb_queue *queue = bpf_map_lookup_elem(&lb_queues, &slot);
	struct queue_now now;

	if (!queue || !read_queue(queue, &now) || now.state != LISTENING || now.oldest)
		return false;
	return somebody_sleeps(queue->sock);
}

/* It sleeps, and no connection is on its way to it that it has not noticed yet. */
__attribute__((noinline)) int lb_slot_is_idle(__u32 slot, __u64 now_ns)
{
	struct lb_idle *idle = bpf_map_lookup_elem(&lb_idle, &slot);

	return idle && !lb_hold_is_awaited(idle, now_ns) && lb_worker_sleeps(slot);
}

#endif
