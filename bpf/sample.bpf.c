// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Looks at the queues of one listener's slots as the steering program does when it picks them, so
 * that a stall shows without new connections. lbctl runs it now and then. The same for UDP
 * (LB_DATAGRAM) is object sample_udp.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "lb_abi.h"
#include "lb_inspect.h"
#include "stall.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct bpf_map;

/* Slots come in order. */
#define GO_ON 0
#define ENOUGH 1

static long sample_slot(struct bpf_map *map, __u32 *slot, struct lb_stall *stall, __u64 *slots)
{
	struct lb_queue *queue = bpf_map_lookup_elem(&lb_queues, slot);
	struct queue_now now = {};

	(void)map;
	if (*slot >= *slots)
		return ENOUGH;
	if (!queue || !queue->cookie || !read_queue(queue, &now) || now.state != LISTENING)
		now = (struct queue_now){};
	stall->queued = now.queued;
	stall->half_open = now.half_open;
	if (now.oldest)
		note_oldest(stall, now.oldest, tick_clock_ns(), 0);
	else if (stall->oldest)
		stall->oldest = 0;
	if (queue && queue->cookie && lb_is_held(stall))
		hold_ends(stall, &now, tick_clock_ns());
	return GO_ON;
}

SEC("syscall")
int lb_sample(struct lb_sample *sample)
{
	__u64 slots = sample->slots;

	sample->now_ns = tick_clock_ns();
	bpf_for_each_map_elem(&lb_stalls, sample_slot, &slots, 0);
	return 0;
}
