/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * least-conn: the worker with the fewest connections for its weight, open ones and handshakes
 * under way. Both are the kernel's own figures at this moment (track.bpf.c counts the open ones,
 * the listener's queue knows the handshakes), so the worker need not know of lbctl, nothing is
 * ever stale, and a burst does not pile up: each connection counts before the next one is picked.
 *
 * Good when connections or requests differ in cost: a slow worker keeps its connections longer,
 * so it gets fewer, and one that hangs gets none once the others have more. Blind to what goes on
 * inside connections: with few long-lived ones (a proxy's pool) it is rr, and a worker that fails
 * fast looks idle. Of idle workers the one with the greatest weight is taken. Handshakes are those of this program's own listener; with SYN cookies they can't
 * be seen until they end. Looks at LB_SCAN_WINDOW slots from a rotating start, so ties rotate.
 */

/* Without the cast a look into a queue is five times as dear; then fewer. */
#define SLOW_SCAN_WINDOW 16

/*
 * Handshakes under way at the slot's listener. Whether its accept queue has room is not asked
 * here: that is one more cache line per slot, and lb_take_slot() asks it of the winner.
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

/* The key (see lb_key()) of the slot at a position of the scan; `none` is LB_KEY_NONE, veiled. */
static __always_inline __u64 weigh_conns(__u32 first, __u32 used, __u32 position, __u64 none)
{
	__u32 slot = lb_scan_slot(first, used, position);
	struct lb_worker *worker = bpf_map_lookup_elem(&lb_workers, &slot);
	struct lb_stats *stats = bpf_map_lookup_elem(&lb_stats, &slot);

	if (!worker || !stats || worker->state != LB_SLOT_UP)
		return none;
	if (stats->doubted && !lb_slot_is_back(slot))
		return none;
	return lb_key(lb_conn_cost(stats->live, read_half_open(slot), worker->inverse_weight),
		      position);
}

/* The slot to take, or LB_NO_SLOT when none of the window is up. */
__attribute__((noinline)) __u32 lb_scan_conns(__u64 start, __u32 used)
{
	const __u32 window = lb_can_cast ? LB_SCAN_WINDOW : SLOW_SCAN_WINDOW;
	__u64 none = veiled(LB_KEY_NONE), least = none;
	__u32 first, i;

	if (!used)
		return LB_NO_SLOT;
	first = start % used;
	for (i = 0; i < window && i < used; i++)
		least = lb_key_min(least, weigh_conns(first, used, i, none));
	if (least >= LB_KEY_SILENT)
		return LB_NO_SLOT;
	return lb_scan_slot(first, used, lb_key_position(least));
}

static __always_inline __u32 pick_least_conn(const struct decision *d)
{
	__u64 start = next_index(d->counters);
	__u32 slot = lb_scan_conns(start, d->config->used_slots);

	return slot == LB_NO_SLOT ? schedule_slot(d, start) : slot;
}
