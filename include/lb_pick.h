/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The arithmetic of picking a slot: no maps, no helpers, so that the same lines are compiled
 * into the BPF programs and into the unit tests.
 */
#ifndef LB_PICK_H
#define LB_PICK_H

#include "lb_abi.h"

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/*
 * lb_config.word: bits 0-7 policy, bit 8 schedule half, bit 10 LB_WORD_LEAVES_OUT, bits 32-63
 * length of that half. One aligned 64-bit store switches all at once.
 */
static __always_inline __u64 lb_word_pack(__u32 policy, __u32 half, __u32 length)
{
	return (policy & 0xff) | (__u64)(half & 1) << 8 | (__u64)length << 32;
}

static __always_inline __u32 lb_word_policy(__u64 word)
{
	return word & 0xff;
}

static __always_inline __u32 lb_word_half(__u64 word)
{
	return word >> 8 & 1;
}

static __always_inline __u32 lb_word_length(__u64 word)
{
	return word >> 32;
}

/* A worker has a listening socket and is in no table: the kernel's hash knows nothing of that. */
#define LB_WORD_LEAVES_OUT (1ULL << 10)

/* In a decision's own copy of the word: idle workers come first, and whom none takes may wait. */
#define LB_WORD_HOLDS (1ULL << 9)

/* Is it one of the least-* policies, which look at the workers and not at the table? */
static __always_inline int lb_policy_scans(__u32 policy)
{
	return policy == LB_POLICY_LEAST_CONN || policy == LB_POLICY_LEAST_LATENCY ||
	       policy == LB_POLICY_LEAST_LOAD;
}

/* Where the table policies look: entry index % length of the live half. length must not be 0. */
static __always_inline __u32 lb_schedule_key(__u64 word, __u64 index)
{
	return lb_word_half(word) * LB_MAX_SCHEDULE + (__u32)(index % lb_word_length(word));
}

/* Costs are multiplied by this instead of divided by the weight: no division in the scan. */
static __always_inline __u32 lb_inverse_weight(__u32 weight)
{
	return 65536 / (weight ? weight : 1);
}

/*
 * Effective load: what the worker reported plus what was selected for it since. Adding one, the
 * connection to place, makes weights count among idle workers. A report of 2^32 or more is cut:
 * such a worker is as loaded as can be. The cost stays below 2^49.
 */
static __always_inline __u64 lb_load_cost(__u64 load, __u64 selected_since, __u32 inverse_weight)
{
	const __u64 most = (1ULL << 32) - 1;

	if (load > most)
		load = most;
	if (selected_since > most)
		selected_since = most;
	return (load + selected_since + 1) * inverse_weight;
}

/*
 * The same for connections that the kernel counts: open ones and handshakes under way. A count
 * that an unseen event drove below 0 is 0.
 */
static __always_inline __u64 lb_conn_cost(__s64 live, __u32 half_open, __u32 inverse_weight)
{
	return lb_load_cost(live > 0 ? live : 0, half_open, inverse_weight);
}

/*
 * Does a connection in this TCP state count as live? ESTABLISHED and CLOSE_WAIT, as in sock_diag's
 * list, and SYN_RECV: with TCP Fast Open a connection is told established while it is in that.
 */
static __always_inline int lb_state_is_open(__u32 tcp_state)
{
	return tcp_state == 1 || tcp_state == 3 || tcp_state == 8;
}

/* Has the slot's worker a socket, as lb_worker.state says? */
static __always_inline int lb_slot_is_open(__u32 state)
{
	return state == LB_SLOT_UP || state == LB_SLOT_DRAINING;
}

/*
 * A scan takes the minimum over keys, cost in the high bits and the position in the scan in the
 * low ones, so that the winner names itself and the first of equals wins. All keys are below
 * 2^63, and the minimum has no branch: the verifier then sees one path through a scan, not 2^64.
 *
 *	silent	the position alone: due for a probe, has nothing to go by; comes first
 *	fresh	cost, LB_KEY_FRESH, position; the cost is 1 .. 2^49 - 1
 *	busy	a fresh one and LB_KEY_BUSY: comes after all workers that are idle
 *	none	LB_KEY_NONE
 *
 * LB_KEY_FRESH, ORed over all keys, says whether there was a fresh one: lb_key_result() puts it
 * into the top bit of the minimum, so that both go through one return value.
 */
#define LB_KEY_POSITION_BITS 11
#define LB_KEY_FRESH (1ULL << LB_KEY_POSITION_BITS)
#define LB_KEY_BUSY (1ULL << 61)
#define LB_KEY_NONE (1ULL << 62)

static __always_inline __u64 lb_key(__u64 cost, __u32 position)
{
	return cost << (LB_KEY_POSITION_BITS + 1) | LB_KEY_FRESH | position;
}

static __always_inline __u32 lb_key_position(__u64 key)
{
	return key & (LB_KEY_FRESH - 1);
}

/* A key of a worker that is busy, or not; those that are not fresh stay as they are. */
static __always_inline __u64 lb_key_busy(__u64 key, __u32 busy)
{
	return key | (key >> LB_KEY_POSITION_BITS & (busy & 1)) << 61;
}

/* Is the least key that of a busy worker, or of none? */
static __always_inline int lb_key_is_busy(__u64 least)
{
	return least >= LB_KEY_BUSY;
}

static __always_inline __u64 lb_key_min(__u64 a, __u64 b)
{
	__u64 difference = a - b, mask = -(difference >> 63);

	/* else the compiler sees through it and makes it a branch again */
	asm volatile("" : "+r"(mask));
	return b + (difference & mask);
}

static __always_inline __u64 lb_key_result(__u64 least, __u64 seen)
{
	return least | (seen & LB_KEY_FRESH) << (63 - LB_KEY_POSITION_BITS);
}

static __always_inline __u64 lb_result_least(__u64 result)
{
	return result & ~(1ULL << 63);
}

/* Was there a fresh key? */
static __always_inline int lb_result_is_fresh(__u64 result)
{
	return result >> 63;
}

static __always_inline int lb_key_is_none(__u64 least)
{
	return least >= LB_KEY_NONE;
}

static __always_inline int lb_key_is_silent(__u64 least)
{
	return least < LB_KEY_FRESH;
}

/* The slot at a position of a scan that begins at first; first and position are below used. */
static __always_inline __u32 lb_scan_slot(__u32 first, __u32 used, __u32 position)
{
	__u32 slot = first + position;

	return slot < used ? slot : slot - used;
}

/*
 * A report's time as the program believes it. A worker's clock may run ahead (another time
 * namespace, a bad writer): a report cannot be younger than the moment it was first seen.
 */
static __always_inline __u64 lb_report_time(__u64 reported_ns, __u64 now_ns)
{
	return reported_ns < now_ns ? reported_ns : now_ns;
}

/* now_ns may lag report_at_ns when another CPU took the later time stamp. */
static __always_inline int lb_report_is_stale(__u64 report_at_ns, __u64 now_ns, __u64 stale_ns)
{
	return !report_at_ns || (now_ns > report_at_ns && now_ns - report_at_ns > stale_ns);
}

/* Same rule as the kernel's sk_acceptq_is_full(), with the half-open ones counted as arrived. */
static __always_inline int lb_queue_is_full(__u32 queued, __u32 half_open, __u32 backlog)
{
	return (__u64)queued + half_open > backlog;
}

/* Has the worker as many connections as it may have? A count below 0 is 0, a limit of 0 is none. */
static __always_inline int lb_is_at_limit(__s64 live, __u32 half_open, __u32 limit)
{
	return limit && (live > 0 ? (__u64)live : 0) + half_open >= limit;
}

/*
 * Why the n-th pick was refused, so that lb_key_min() finds the least grave reason, and of those
 * the first: verdict, n, slot.
 */
static __always_inline __u64 lb_refusal(__u32 verdict, __u32 n, __u32 slot)
{
	return (__u64)verdict << 48 | (__u64)n << 32 | slot;
}

static __always_inline __u32 lb_refusal_verdict(__u64 refusal)
{
	return refusal >> 48;
}

static __always_inline __u32 lb_refusal_slot(__u64 refusal)
{
	return refusal;
}

/* lb_recent: flow hash in the high half, slot + 1 in the low half; 0 = empty. */
static __always_inline __u64 lb_recent_pack(__u32 hash, __u32 slot)
{
	return (__u64)hash << 32 | (slot + 1);
}

/* The slot chosen at this flow's SYN, or LB_NO_SLOT. */
static __always_inline __u32 lb_recent_slot(__u64 entry, __u32 hash)
{
	if (!(__u32)entry || entry >> 32 != hash)
		return LB_NO_SLOT;
	return (__u32)entry - 1;
}

#endif
