// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Counts the open connections of each slot, from a cgroup that the service's listeners are in. A
 * connection is counted when it is established and taken off when it leaves the states of
 * lb_state_is_open(), once each: `counted` says so, and the kernel holds the socket's lock in both
 * calls. So the program may even be attached twice for a while. Connections of other sockets carry
 * nothing and cost a look-up.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#ifndef LB_NO_FETCH
#include "ask.bpf.h"
#endif
#include "cast.bpf.h"
#include "hold_maps.bpf.h"
#include "lb_hold.h"
#include "lb_pace.h"
#include "lb_pick.h"
#include "sizes.bpf.h"
#include "tick.bpf.h"
#include "track.bpf.h"

#define PF_EXITING 4

const volatile bool lb_can_see_task = false; /* bpf_get_current_task() may be called */

/* Anything else would overrule what other programs answer to the kernel. */
#define GO_ON 1

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline struct lb_conn *conn_of(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;

	return sk ? bpf_sk_storage_get(&lb_conns, sk, NULL, 0) : NULL;
}

/* The kernel tells of a socket's further states only if asked; others may have asked for more. */
static __always_inline bool ask_for_states(struct bpf_sock_ops *ops)
{
	int flags = ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG;

	return !bpf_sock_ops_cb_flags_set(ops, flags);
}

/* Before 5.12 the kernel lacks the atomics that holding connections takes. */
#ifdef LB_NO_FETCH
static __always_inline void note_given(const struct bpf_sock_ops *ops, __u32 slot, __u64 now_ns)
{
	(void)ops;
	(void)slot;
	(void)now_ns;
}

static __always_inline void note_room(__u32 slot)
{
	(void)slot;
}
#else
/* Its handshake has ended at a waiting listener. Some worker may have fallen asleep meanwhile. */
static __always_inline void note_held(struct lb_hold *hold, __u32 slot, __u64 now_ns)
{
	__u32 index = slot - LB_MAX_SLOTS;
	struct lb_waiting *waiting = bpf_map_lookup_elem(&lb_waiting, &index);
	__u64 bit = 1ULL << (index & (LB_WAITING_SLOTS - 1));

	if (!waiting)
		return;
	/* who came first to it says how long it has waited */
	if (!(__sync_fetch_and_or(&hold->occupied, bit) & bit))
		waiting->since_ns = now_ns;
	ask(hold, now_ns);
}

/*
 * The kernel knows it from its SYN-ACK and the client's ACK, but where the former was sent again.
 * With cheap work nobody asks for it, and the CPUs would take the line from each other for nothing.
 * Two of them at once may lose one of two samples: no harm to an average.
 */
static __always_inline void note_round_trip(struct lb_hold *hold, const struct bpf_sock_ops *ops)
{
	__u64 rtt_ns = (__u64)ops->srtt_us * 1000 / 8;

	if (rtt_ns && hold->work_ns >= LB_HOLD_LEAST_WORK_NS)
		hold->rtt_ns = lb_hold_average(hold->rtt_ns, rtt_ns);
}

/* Nobody looks at who is idle where the keeper does not hold connections. */
static __always_inline void note_given(const struct bpf_sock_ops *ops, __u32 slot, __u64 now_ns)
{
	struct lb_hold *hold = hold_state();
	struct lb_idle *idle;

	if (!hold || !hold->most_ns)
		return;
	note_round_trip(hold, ops);
	if (lb_is_waiting_slot(slot)) {
		note_held(hold, slot, now_ns);
		return;
	}
	idle = bpf_map_lookup_elem(&lb_idle, &slot);
	if (idle)
		idle->given_ns = now_ns;
}

/* A worker below its limit again may take one that is held. */
static __always_inline void note_room(__u32 slot)
{
	struct lb_worker *worker = bpf_map_lookup_elem(&lb_workers, &slot);
	struct lb_hold *hold = hold_state();

	if (worker && worker->limit && hold && hold->occupied)
		ask(hold, bpf_ktime_get_ns());
}
#endif

static __always_inline void note_opened(struct bpf_sock_ops *ops)
{
	struct lb_conn *conn = conn_of(ops);
	struct lb_stats *stats;

	if (!conn || conn->counted)
		return;
	stats = counters_of(conn);
	if (!stats || !ask_for_states(ops))
		return;
	conn->counted = 1;
	conn->opened_ns = bpf_ktime_get_ns();
	if (stats->live <= 0)
		stats->began_ns = conn->opened_ns;
	count(&stats->opened);
	add(&stats->live, 1);
	note_given(ops, conn->slot, conn->opened_ns);
}

/*
 * The average of all workers. The CPUs take its cache line from each other, so it is kept only for
 * the policy that goes by it; it is of the last few connections, so it is soon there.
 */
static __always_inline void note_pace(__u64 sample_ns)
{
	struct lb_counters *counters;
	struct lb_config *config;
	__u32 zero = 0;

	config = bpf_map_lookup_elem(&lb_config, &zero);
	if (!config || lb_word_policy(config->word) != LB_POLICY_LEAST_LATENCY)
		return;
	counters = bpf_map_lookup_elem(&lb_counters, &zero);
	if (!counters)
		return;
	lb_pace_learn(&counters->pace, sample_ns);
	counters->inverse_pace = lb_pace_inverse(&counters->pace);
}

/*
 * Learns from a completion what the worker takes per connection. Two CPUs at once may lose one of
 * two samples: no harm to an average.
 */
static __always_inline void note_served(struct lb_stats *stats, __u64 opened_ns)
{
	__u64 now_ns = bpf_ktime_get_ns(), sample_ns;

	sample_ns = lb_pace_sample(now_ns, stats->began_ns, opened_ns);
	stats->began_ns = now_ns;
	/* it was open before anybody counted */
	if (!opened_ns)
		return;
	if (stats->pace.probed)
		lb_pace_learn_probed(&stats->pace, sample_ns);
	else
		lb_pace_learn(&stats->pace, sample_ns);
	stats->pace.probed = 0;
	note_pace(sample_ns);
}

/* Does a process have the socket's lock, or an interrupt that came from the network? */
static __always_inline bool is_owned(struct bpf_sock *sk)
{
	return READ_SOCK(sk, sk_lock.owned);
}

/* Of the process that the program interrupts, or that has called. */
static __always_inline bool is_exiting(void)
{
	return READ(bpf_get_current_task(), struct task_struct, flags) & PF_EXITING;
}

/*
 * Who ends a connection: its worker has the socket's lock then, while a client's FIN or reset comes
 * from below, with the lock free. A worker that does so is at work, or is a process that ends and
 * cuts off what is open.
 */
static __always_inline void note_who_ends(struct bpf_sock_ops *ops, struct lb_stats *stats)
{
	struct bpf_sock *sk = ops->sk;

	if (!sk || !is_owned(sk))
		return;
	if (lb_can_see_task && is_exiting()) {
		count(&stats->lost);
		return;
	}
	stats->ended_ns = tick_clock_ns();
}

/* Of a connection that no process has accepted there is a socket, and no file. */
static __always_inline bool is_accepted(struct bpf_sock *sk)
{
	return READ_SOCK(sk, sk_socket) != NULL;
}

/*
 * A process that ends closes its listener, with what waits there; what another one can have has
 * migrated, which ends nothing.
 */
static __always_inline void note_reset(struct bpf_sock_ops *ops)
{
	struct lb_counters *counters;
	__u32 zero = 0;

	if (!lb_can_see_task || !ops->sk || is_owned(ops->sk) || is_accepted(ops->sk) ||
	    !is_exiting())
		return;
	counters = bpf_map_lookup_elem(&lb_counters, &zero);
	if (counters && LB_HAS(lb_sizes.counters, struct lb_counters, reset))
		count(&counters->reset);
}

static __always_inline void note_ended(struct bpf_sock_ops *ops)
{
	struct lb_conn *conn = conn_of(ops), *migrated;
	struct lb_stats *stats;
	__u64 cookie;

	if (!conn || !conn->counted)
		return;
	conn->counted = 0;
	cookie = bpf_get_socket_cookie(ops);
	migrated = migrated_of(conn->slot, cookie);
	stats = counters_of(migrated ? migrated : conn);
	if (stats) {
		add(&stats->live, -1);
		note_served(stats, migrated ? migrated->opened_ns : conn->opened_ns);
		note_room(migrated ? migrated->slot : conn->slot);
		note_who_ends(ops, stats);
		note_reset(ops);
	}
	if (migrated)
		bpf_map_delete_elem(&lb_migrated, &cookie);
}

SEC("sockops")
int lb_track(struct bpf_sock_ops *ops)
{
	switch (ops->op) {
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		note_opened(ops);
		break;
	case BPF_SOCK_OPS_STATE_CB: /* args: old state, new state */
		if (!lb_state_is_open(ops->args[1]))
			note_ended(ops);
		break;
	}
	return GO_ON;
}
