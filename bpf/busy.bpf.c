// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How much of the time each worker is at work, one object per TCP listener while latency=on. A
 * timer of the kernel looks some hundred times a second, at moments that nobody can keep in step
 * with, whether somebody of the worker waits for its next connection (idle.bpf.h): the workers pay
 * nothing for it, no process has to live, and a worker that is blocked, or has no CPU, is as busy
 * as one that computes. The timer ends with the pin of its map.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "counters.bpf.h"
#include "idle.bpf.h"
#include "latency_map.bpf.h"
#include "queue.bpf.h"

#define CLOCK_MONOTONIC 1
#define LEAST_PAUSE_NS 5000000ULL
#define PAUSE_MASK ((1U << 23) - 1) /* up to 8.4 ms more */
/* Of one look: with more slots each has its turn in a later one. */
#define WINDOW 64
#define WINDOWS (LB_MAX_SLOTS / WINDOW)
/* Since the last look: more is a host that was stopped. */
#define MOST_NS 10000000000ULL

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct watch {
	struct bpf_timer timer;
	__u32 window; /* whose turn it is */
	__u32 pad;
	__u64 looked_ns[WINDOWS]; /* the last look at it; 0 = there was none */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct watch);
} lb_busy SEC(".maps");

/* Global: the verifier walks it once. */
__attribute__((noinline)) int lb_watch_slot(__u32 slot, __u64 since_ns)
{
	struct lb_queue *queue = bpf_map_lookup_elem(&lb_queues, &slot);
	struct lb_latency *latency;
	struct queue_now now;

	if (!LB_HAS(lb_sizes.latency, struct lb_latency, busy_ns))
		return 0;
	/* it may have a socket of another listener only, or be dead already */
	if (!queue || !read_queue(queue, &now) || now.state != LISTENING)
		return 0;
	latency = latency_of(slot);
	if (!latency)
		return 0;
	__sync_fetch_and_add(&latency->watched_ns, since_ns);
	if (!lb_worker_sleeps(slot))
		__sync_fetch_and_add(&latency->busy_ns, since_ns);
	return 0;
}

static int watch(void *map, __u32 *key, struct watch *watch)
{
	__u64 now_ns = bpf_ktime_get_ns(), since_ns;
	__u32 zero = 0, window = watch->window, first;
	struct lb_config *config = bpf_map_lookup_elem(&lb_config, &zero);

	(void)map;
	(void)key;
	if (!config)
		return 0;
	if (window >= WINDOWS || window * WINDOW >= config->used_slots)
		window = 0;
	since_ns = now_ns - watch->looked_ns[window];
	first = window * WINDOW;
	for (__u32 i = 0; i < WINDOW && first + i < config->used_slots; i++) {
		if (since_ns < MOST_NS)
			lb_watch_slot(first + i, since_ns);
	}
	watch->looked_ns[window] = now_ns;
	watch->window = window + 1;
	bpf_timer_start(&watch->timer, LEAST_PAUSE_NS + (bpf_get_prandom_u32() & PAUSE_MASK), 0);
	return 0;
}

SEC("syscall")
int lb_start_watch(void *ctx)
{
	__u32 zero = 0;
	struct watch *state = bpf_map_lookup_elem(&lb_busy, &zero);

	(void)ctx;
	if (!state || bpf_timer_init(&state->timer, &lb_busy, CLOCK_MONOTONIC) ||
	    bpf_timer_set_callback(&state->timer, watch))
		return 1;
	return bpf_timer_start(&state->timer, LEAST_PAUSE_NS, 0) ? 1 : 0;
}
