/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether a worker goes on accepting: no maps, no helpers, so that the same lines are compiled into
 * the BPF programs, into lbctl and into the unit tests.
 */
#ifndef LB_STALL_H
#define LB_STALL_H

#include "lb_pick.h"

/*
 * A rescued worker that shows no sign of life gets one connection as a probe that long after the
 * rescue or the last probe. No rescue takes longer.
 */
#define LB_PROBE_NS 1000000000ULL
/* A probe has ended its handshake by then. If it has not, the worker is trusted too early. */
#define LB_PROBE_GRACE_NS 250000000ULL
/* Once all workers were found stalled, the test is off that long. */
#define LB_ALL_STALLED_NS 20000000ULL

/* For how long the oldest waiting connection has been that. Another CPU may be ahead of now_ns. */
static __always_inline __u64 lb_stall_age_ns(const struct lb_stall *stall, __u64 now_ns)
{
	__s64 age = now_ns - stall->oldest_ns;

	return age > 0 ? age : 0;
}

/* Has the worker accepted nothing since its queue was rescued? */
static __always_inline int lb_is_held(const struct lb_stall *stall)
{
	return stall->accepted_ns < stall->rescued_ns;
}

/* Is its listener about to be shut down for a moment? What comes to it then may be reset. */
static __always_inline int lb_is_being_rescued(const struct lb_stall *stall, __u64 now_ns)
{
	return (__s64)(stall->rescued_ns - now_ns) > 0;
}

/*
 * Has the worker ended a connection by itself since its queue was rescued? Then it is at work, and
 * will come to its queue.
 */
static __always_inline int lb_is_at_work(const struct lb_stall *stall, const struct lb_stats *stats)
{
	return stats->ended_ns > stall->rescued_ns;
}

/* Of a held slot with an empty queue: did it accept its probe? */
static __always_inline int lb_probe_is_accepted(const struct lb_stall *stall, __u64 now_ns)
{
	return stall->probed_ns > stall->rescued_ns &&
	       (__s64)(now_ns - stall->probed_ns) > (__s64)LB_PROBE_GRACE_NS;
}

/* Of a held slot with an empty queue: is it time for a probe? */
static __always_inline int lb_probe_is_due(const struct lb_stall *stall, __u64 now_ns)
{
	__u64 last_ns = stall->rescued_ns;

	if (stall->probed_ns > last_ns)
		last_ns = stall->probed_ns;
	return (__s64)(now_ns - last_ns) >= (__s64)LB_PROBE_NS;
}

#endif
