/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is measured of a worker while latency=on: which times and sums, and the histogram that a
 * time goes into. No maps, no helpers: the same lines are compiled into the BPF programs, into
 * lbctl and into the unit tests.
 */
#ifndef LB_LATENCY_H
#define LB_LATENCY_H

#include <linux/types.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* X(field, "what it means"): times, each a histogram. */
#define LB_LATENCY_TIMES(X)                                                                        \
	X(wait, "from the end of a connection's handshake until the worker accepted it")           \
	X(first_byte, "from a request's first byte until the first byte of its answer")            \
	X(lifetime, "from the end of a connection's handshake until it was closed")                \
	X(held, "how long a connection was held before it came to the worker")

/* X(field, "what it means"): sums. */
#define LB_LATENCY_SUMS(X)                                                                         \
	X(bounded, "waits that were not seen to end before the first answer, and may be shorter")  \
	X(closed, "connections that were closed, of which the following are")                      \
	X(bytes_in, "bytes received from clients")                                                 \
	X(bytes_out, "bytes that clients have acknowledged")                                       \
	X(retransmits, "segments that were sent again")                                            \
	X(srtt_us, "smoothed round-trip times when connections closed, added up")

/* X(field, "what it means"): spans of time, in ns as field_ns. The one is a share of the other. */
#define LB_LATENCY_SPANS(X)                                                                        \
	X(watched, "time in which the worker was watched, counted for each of its listeners")      \
	X(busy, "of it, time in which nobody of the worker waited for its next connection")

/*
 * Four buckets for each power of two: a value is known to a fourth, and its bucket keeps the sum,
 * so that the mean of those that fell into it is exact. The first bucket has all below
 * 2^LB_LATENCY_SHIFT ns, some 4 us, the last one all from its bound on, some 51 s.
 */
#define LB_LATENCY_BUCKETS 96
#define LB_LATENCY_SHIFT 12

/* Position of the highest bit that is set; v must not be 0. */
static __always_inline __u32 lb_log2(__u64 v)
{
	__u32 bits = 0;

	if (v >> 32) {
		bits += 32;
		v >>= 32;
	}
	if (v >> 16) {
		bits += 16;
		v >>= 16;
	}
	if (v >> 8) {
		bits += 8;
		v >>= 8;
	}
	if (v >> 4) {
		bits += 4;
		v >>= 4;
	}
	if (v >> 2) {
		bits += 2;
		v >>= 2;
	}
	return bits + (__u32)(v >> 1);
}

static __always_inline __u32 lb_latency_bucket(__u64 ns)
{
	__u32 shift, bucket;

	if (ns >> LB_LATENCY_SHIFT == 0)
		return 0;
	shift = lb_log2(ns);
	bucket = 1 + (shift - LB_LATENCY_SHIFT) * 4 + ((ns >> (shift - 2)) & 3);
	return bucket < LB_LATENCY_BUCKETS ? bucket : LB_LATENCY_BUCKETS - 1;
}

/* The least value of a bucket, in ns; of the number of buckets: ~0. */
static __always_inline __u64 lb_latency_bound(__u32 bucket)
{
	if (!bucket)
		return 0;
	if (bucket >= LB_LATENCY_BUCKETS)
		return ~0ULL;
	bucket--;
	return (4ULL + (bucket & 3)) << (LB_LATENCY_SHIFT - 2 + bucket / 4);
}

#endif
