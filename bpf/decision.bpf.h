/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One decision: what a run of the program knows about it, and what all policies need: the
 * shared index, a look into a slot's accept queue, taking a slot.
 */
#ifndef LB_DECISION_BPF_H
#define LB_DECISION_BPF_H

/* Constants of one program instance, set by lbctl before it loads the object. */
const volatile __u32 lb_listener = 0;	    /* index in lb_config.listeners */
const volatile __u16 lb_port = 0;	    /* host order */
const volatile bool lb_can_migrate = false; /* the kernel has ctx->migrating_sk: 5.14 */

struct decision {
	struct sk_reuseport_md *ctx;
	struct lb_config *config;
	struct lb_counters *counters;
	__u64 word; /* lb_config.word, read once */
};

/*
 * The next index of the service, exact under concurrency. Before 5.12 the kernel's BPF has no
 * atomic add that returns the old value; there a spin lock does the same (object steer_v5).
 */
#ifdef LB_NO_FETCH
struct locked_cursor {
	struct bpf_spin_lock lock;
	__u32 pad;
	__u64 cursor;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct locked_cursor);
} lb_cursor SEC(".maps");

static __always_inline __u64 next_index(struct lb_counters *counters)
{
	struct locked_cursor *shared;
	__u32 zero = 0;
	__u64 index;

	shared = bpf_map_lookup_elem(&lb_cursor, &zero);
	if (!shared)
		return 0;
	bpf_spin_lock(&shared->lock);
	index = shared->cursor++;
	bpf_spin_unlock(&shared->lock);
	counters->cursor = index + 1;
	return index;
}
#else
static __always_inline __u64 next_index(struct lb_counters *counters)
{
	return __sync_fetch_and_add(&counters->cursor, 1);
}
#endif

/* The slot at an index of the live half of the schedule; its length must not be 0. */
static __always_inline __u32 schedule_slot(const struct decision *d, __u64 index)
{
	__u32 key = lb_schedule_key(d->word, index);
	__u64 *slot = bpf_map_lookup_elem(&lb_schedule, &key);

	return slot ? *slot : LB_NO_SLOT;
}

/*
 * All workers were found stalled a moment ago: then none is passed by for it. Of one listener, as
 * another one may have one worker only, which hangs.
 */
static __u64 all_stalled_ns;

static __always_inline bool all_are_stalled(void)
{
	return tick_clock_ns() - all_stalled_ns < LB_ALL_STALLED_NS;
}

/* The less the graver: where nobody takes it, one with the least grave reason gets it. */
enum verdict {
	TAKEN,
	LIMITED, /* it has as many connections as it may have */
	STALLED, /* it does not accept */
	FULL,	 /* its accept queue is */
	SKIPPED, /* draining, down, its socket is closed or about to be shut down */
};

/* A held worker that has gone on with its work needs no probe. */
static __always_inline void look_for_work(struct lb_stall *stall, __u32 slot)
{
	const struct lb_stats *stats = bpf_map_lookup_elem(&lb_stats, &slot);

	if (stats && lb_is_at_work(stall, stats))
		stall->accepted_ns = tick_clock_ns();
}

/*
 * Would the slot's queue do for a connection, or a datagram of so many bytes? What is unknown
 * does. With `taking` it gets one if so, and the books are kept.
 */
static __always_inline enum verdict judge_queue(__u32 slot, const struct queue_now *now,
						__u32 bytes, __u64 stall_ns, bool taking)
{
	struct lb_stall *stall = bpf_map_lookup_elem(&lb_stalls, &slot);
	struct lb_counters *counters;
	__u32 zero = 0;

	if (has_no_room(now, bytes))
		return FULL;
	if (!stall)
		return TAKEN;
	if (lb_is_held(stall)) {
		if (lb_is_being_rescued(stall, tick_clock_ns()))
			return SKIPPED;
		look_for_work(stall, slot);
	}
	if (is_stalled(stall, now, stall_ns)) {
		if (!all_are_stalled())
			return STALLED;
		counters = bpf_map_lookup_elem(&lb_counters, &zero);
		if (taking && counters)
			count(&counters->all_stalled);
	} else if (taking && lb_is_held(stall)) {
		stall->probed_ns = tick_clock_ns();
	}
	return TAKEN;
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

static __always_inline bool slot_is_at_limit(__u32 slot, const struct lb_worker *worker,
					     const struct lb_stats *stats)
{
	return HAS_CONNECTIONS && worker->limit &&
	       lb_is_at_limit(stats->live, read_half_open(slot), worker->limit);
}

/* Would the slot's socket here take a connection, its limit aside? Unknown counts as yes. */
static __always_inline enum verdict judge_slot(__u32 slot)
{
	struct lb_queue *queue = bpf_map_lookup_elem(&lb_queues, &slot);
	struct lb_config *config;
	struct queue_now now;
	__u32 zero = 0;

	config = bpf_map_lookup_elem(&lb_config, &zero);
	if (!queue || !queue->cookie || !config)
		return SKIPPED;
	if (!queue->sock)
		return TAKEN;
	if (!read_queue(queue, &now) || now.state != LISTENING)
		return SKIPPED;
	return judge_queue(slot, &now, 0, config->stall_ns, false);
}

/*
 * May a scan name this doubted slot? A dead worker has no connections, and one with a short queue
 * that is full has few: they would look the least busy, decision after decision, until lbctl comes
 * by. Global: few slots are doubted, and the scans should stay small.
 */
__attribute__((noinline)) int lb_slot_is_back(__u32 slot)
{
	struct lb_stats *stats = bpf_map_lookup_elem(&lb_stats, &slot);

	if (!stats || judge_slot(slot) != TAKEN)
		return false;
	stats->doubted = 0;
	return true;
}

/*
 * Hand the connection to this slot's listener; a slot that can't take it is counted. A global
 * function, so that the verifier walks it once and not once per draw.
 */
__attribute__((noinline)) int lb_take_slot(struct sk_reuseport_md *ctx, __u32 slot, __u64 stall_ns)
{
	struct lb_worker *worker = bpf_map_lookup_elem(&lb_workers, &slot);
	struct lb_stats *stats = bpf_map_lookup_elem(&lb_stats, &slot);
	struct lb_queue *queue = bpf_map_lookup_elem(&lb_queues, &slot);
	enum verdict verdict = SKIPPED;
	struct queue_now now;
	bool limited;

	if (!worker || !stats || !queue)
		return SKIPPED;
	if (worker->state == LB_SLOT_UP) {
		limited = slot_is_at_limit(slot, worker, stats);
		verdict = TAKEN;
		if (read_queue(queue, &now))
			/* one that is being closed must not pass for the least grave case */
			verdict = now.state != LISTENING ?
					  SKIPPED :
					  judge_queue(slot, &now, ctx->len, stall_ns, !limited);
		if (verdict == TAKEN && limited)
			verdict = LIMITED;
		if (verdict == TAKEN && !bpf_sk_select_reuseport(ctx, &lb_sockets, &slot, 0))
			return TAKEN;
		if (verdict == TAKEN)
			verdict = SKIPPED;
	}
	count(&stats->skipped);
	if (verdict != LIMITED)
		stats->doubted = 1;
	return verdict;
}

#endif
