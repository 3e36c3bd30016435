/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When a connection is held until a worker is idle: no maps, no helpers, so that the same lines are
 * compiled into the BPF programs, into lbctl and into the unit tests.
 *
 * A connection that is given to a busy worker waits until that one is through with what it has, and
 * a perfect choice at its SYN can't know which worker that will be first. One that is held waits
 * for whoever is first, and then for its release. So it pays where the former is long and the
 * latter short:
 *
 *	work_ns >= LB_HOLD_LEAST_WORK_NS and work_ns >= LB_HOLD_DELAYS * delay_ns
 *
 * work_ns is the average time from the moment when a worker gets a connection to its next sleep,
 * which is what one that is queued behind it would wait; a worker that sleeps while it waits for a
 * backend is not busy. delay_ns is the average time from a worker's sleep to the connection that
 * comes to it for that.
 *
 * Of clients far away even an idle worker is no good choice at the SYN: it need not be idle when
 * the handshake ends, a round trip later, and until then nothing shows that it was chosen. So where
 * holding pays their connections wait in any case, and the choice is made when the handshake ends:
 *
 *	rtt_ns >= LB_HOLD_FAR * work_ns
 */
#ifndef LB_HOLD_H
#define LB_HOLD_H

#include "lb_abi.h"

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define LB_HOLD_LEAST_WORK_NS 3000000ULL
#define LB_HOLD_DELAYS 20
/* More has other reasons than a slow release: a limit, a stall that ended. */
#define LB_HOLD_MOST_DELAY_NS 5000000ULL
#define LB_HOLD_FAR 1
#define LB_HOLD_MOST_BEHIND 64		 /* connections of one waiting listener */
#define LB_HOLD_FIRST_DELAY_NS 100000ULL /* what is believed before there was a release */
/* The longest that hold_ms=auto holds one. */
#define LB_HOLD_AUTO_MOST_NS 1000000000ULL
/* A request that has no answer for so long: whoever empties waiting listeners is stopped. */
#define LB_HOLD_ANSWER_NS 20000000ULL
/* From the moment when a worker is chosen to that when it shows that it is awake. */
#define LB_HOLD_AWAKE_NS 300000ULL
/* One average over so many samples, as a power of two. */
#define LB_HOLD_AVERAGE_SHIFT 4
#define LB_HOLD_MOST_SAMPLE_NS 10000000000ULL
/*
 * A worker that hung is no dear work: one sample counts for at most so many times the average, or
 * so much that it alone does not make holding pay.
 */
#define LB_HOLD_MOST_TIMES 8
#define LB_HOLD_MOST_ALONE_NS ((LB_HOLD_LEAST_WORK_NS << LB_HOLD_AVERAGE_SHIFT) / 4 * 3)

#define LB_HOLD_LONGEST_SHIFT 6
#define LB_HOLD_LEAST_PATIENCE_NS 100000000ULL
#define LB_HOLD_PATIENCE_WORK 8	   /* times the average */
#define LB_HOLD_PATIENCE_LONGEST 2 /* times the longest */

#define LB_LET_ALL_GO (~0ULL) /* lb_hold.let_go */

static __always_inline int lb_is_waiting_slot(__u32 slot)
{
	return slot >= LB_MAX_SLOTS && slot < LB_ALL_SLOTS;
}

static __always_inline int lb_hold_pays(__u64 always, __u64 work_ns, __u64 delay_ns)
{
	return always || (work_ns >= LB_HOLD_LEAST_WORK_NS && work_ns >= LB_HOLD_DELAYS * delay_ns);
}

/* Also where always: with cheap work it does not matter which worker is idle. */
static __always_inline int lb_hold_is_far(__u64 rtt_ns, __u64 work_ns)
{
	return work_ns >= LB_HOLD_LEAST_WORK_NS && rtt_ns >= LB_HOLD_FAR * work_ns;
}

/* A moving average after one more sample; 0 = there was none yet. */
static __always_inline __u64 lb_hold_average(__u64 average_ns, __u64 sample_ns)
{
	__u64 most_ns = average_ns * LB_HOLD_MOST_TIMES;

	if (most_ns < LB_HOLD_MOST_ALONE_NS)
		most_ns = LB_HOLD_MOST_ALONE_NS;
	if (!average_ns || most_ns > LB_HOLD_MOST_SAMPLE_NS)
		most_ns = LB_HOLD_MOST_SAMPLE_NS;
	if (sample_ns > most_ns)
		sample_ns = most_ns;
	if (!average_ns)
		return sample_ns;
	return average_ns + (sample_ns >> LB_HOLD_AVERAGE_SHIFT) -
	       (average_ns >> LB_HOLD_AVERAGE_SHIFT);
}

/* The longest sample lately: each next one takes a 64th off. */
static __always_inline __u64 lb_hold_longest(__u64 longest_ns, __u64 sample_ns)
{
	longest_ns -= longest_ns >> LB_HOLD_LONGEST_SHIFT;
	return sample_ns > longest_ns ? sample_ns : longest_ns;
}

/*
 * Nobody slept for so long while something waited: the workers are too busy ever to sleep. All of
 * them at their longest work is no reason.
 */
static __always_inline __u64 lb_hold_patience(__u64 work_ns, __u64 longest_ns)
{
	__u64 patience_ns = LB_HOLD_LEAST_PATIENCE_NS;

	if (patience_ns < work_ns * LB_HOLD_PATIENCE_WORK)
		patience_ns = work_ns * LB_HOLD_PATIENCE_WORK;
	if (patience_ns < longest_ns * LB_HOLD_PATIENCE_LONGEST)
		patience_ns = longest_ns * LB_HOLD_PATIENCE_LONGEST;
	return patience_ns;
}

/* Another CPU may be ahead of now_ns. */
static __always_inline int lb_hold_is_unanswered(__u64 asked_ns, __u64 now_ns)
{
	return asked_ns && (__s64)(now_ns - asked_ns) > (__s64)LB_HOLD_ANSWER_NS;
}

/* Was the worker chosen so lately that it may be asleep still, with a connection on its way? */
static __always_inline int lb_hold_is_awaited(const struct lb_idle *idle, __u64 now_ns)
{
	__u64 last_ns = idle->chosen_ns > idle->given_ns ? idle->chosen_ns : idle->given_ns;

	return idle->slept_ns <= last_ns && (__s64)(now_ns - last_ns) <= (__s64)LB_HOLD_AWAKE_NS;
}

/*
 * Of the waiting listeners `open`, those that a connection may be put into: empty ones that no SYN
 * has chosen. The highest one is kept for what migrates from another one. 0 = none.
 */
static __always_inline __u64 lb_hold_free(__u64 open, __u64 taken, __u64 occupied, __u64 closing)
{
	return open & (open >> 1) & ~(taken | occupied | closing);
}

/* The index of the lowest bit, at or above `first` if there is one; set must not be 0. */
static __always_inline __u32 lb_hold_pick(__u64 set, __u32 first)
{
	__u64 above = set & (~0ULL << (first & 63));
	__u32 index = 0;

	if (above)
		set = above;
	set &= -set;
	if (set >> 32) {
		index += 32;
		set >>= 32;
	}
	if (set >> 16) {
		index += 16;
		set >>= 16;
	}
	if (set >> 8) {
		index += 8;
		set >>= 8;
	}
	if (set >> 4) {
		index += 4;
		set >>= 4;
	}
	if (set >> 2) {
		index += 2;
		set >>= 2;
	}
	return index + (__u32)(set >> 1);
}

#endif
