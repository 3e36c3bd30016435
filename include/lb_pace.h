/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How long a worker takes per connection, for policy least-latency. The utilisation law (Denning,
 * Buzen, "The Operational Analysis of Queueing Network Models", 1978) says: busy time divided by
 * completions, whatever the order in which they are served and however many are open. A worker is
 * busy while a connection is open; each completion ends the busy time since the one before. All
 * times in nanoseconds.
 */
#ifndef LB_PACE_H
#define LB_PACE_H

#include "lb_pick.h"

#define LB_PACE_SAMPLES 32 /* of which the average is, about */
#define LB_PACE_MOST 32	   /* a sample counts as at most so many times the average */
#define LB_PACE_CEILING ((1ULL << 42) - 1) /* over an hour */
#define LB_SLOW_ONE 16			   /* slowness of a worker that is as fast as the service */
#define LB_SLOW_FROM (2 * LB_SLOW_ONE)
#define LB_SLOW_MOST ((1 << 14) - 1)

/*
 * The busy time that ends with this completion. It began with the completion before, or, after the
 * worker was idle, with an opening; but not before this connection came: what idles for long
 * beside it, a web socket say, makes a worker look busy and is none of its work.
 */
static __always_inline __u64 lb_pace_sample(__u64 now_ns, __u64 began_ns, __u64 opened_ns)
{
	__u64 since_ns = opened_ns > began_ns ? opened_ns : began_ns;
	__u64 sample_ns = now_ns > since_ns ? now_ns - since_ns : 1;

	return sample_ns < LB_PACE_CEILING ? sample_ns : LB_PACE_CEILING;
}

/*
 * A moving average; of the first LB_PACE_SAMPLES the plain one, or the first would count for long.
 * An outlier, such as a connection that was kept for an hour, may double it; a worker that has
 * become slow shows within a few.
 */
static __always_inline void lb_pace_learn(struct lb_pace *pace, __u64 sample_ns)
{
	__u64 average_ns = pace->average_ns, most_ns = average_ns * LB_PACE_MOST;

	if (!pace->samples) {
		pace->average_ns = sample_ns;
		pace->samples = 1;
		return;
	}
	if (sample_ns > most_ns)
		sample_ns = most_ns;
	if (pace->samples < LB_PACE_SAMPLES)
		pace->samples++;
	average_ns -= average_ns / pace->samples;
	average_ns += sample_ns / pace->samples;
	pace->average_ns = average_ns ? average_ns : 1;
}

/*
 * The same after a probe, which shows at once that a worker is fast again; every other one is below
 * the average by chance.
 */
static __always_inline void lb_pace_learn_probed(struct lb_pace *pace, __u64 sample_ns)
{
	if (sample_ns < pace->average_ns / 2)
		pace->samples = 0;
	lb_pace_learn(pace, sample_ns);
}

/* lb_counters.inverse_pace: no division in the scan. In microseconds, or so, over 2^32. */
static __always_inline __u64 lb_pace_inverse(const struct lb_pace *all)
{
	__u64 us = all->average_ns >> 10;

	return (1ULL << 32) / (us ? us : 1);
}

/*
 * From which slowness on a worker is slow. Below twice the average it never is: its own cheap and
 * dear requests make that much difference by chance, and so does the number of its connections
 * where it waits for something else rather than works. Of few samples chance makes more: a single
 * dear request, and that is a slow worker. Much more than three times can't be asked for: of four
 * workers the one that is ever so slow takes less than four times the average, as it is a fourth of
 * that.
 */
static __always_inline __u32 lb_slow_from(__u64 samples)
{
	if (samples >= LB_PACE_SAMPLES / 2)
		return LB_SLOW_FROM;
	return samples >= LB_PACE_SAMPLES / 8 ? LB_SLOW_FROM * 5 / 4 : LB_SLOW_FROM * 3 / 2;
}

/*
 * A worker's pace beside that of the service; LB_SLOW_ONE while one is not known, or it is not
 * slow.
 */
static __always_inline __u32 lb_slowness(const struct lb_pace *own, __u64 inverse_pace)
{
	__u64 slowness = (own->average_ns >> 10) * inverse_pace / ((1ULL << 32) / LB_SLOW_ONE);

	if (slowness < lb_slow_from(own->samples))
		return LB_SLOW_ONE;
	return slowness < LB_SLOW_MOST ? slowness : LB_SLOW_MOST;
}

static __always_inline int lb_is_slow(__u32 slowness)
{
	return slowness > LB_SLOW_ONE;
}

/* The delay to expect, without a unit: the connections there will be, times the time for each. */
static __always_inline __u64 lb_latency_cost(__s64 live, __u32 half_open, __u32 inverse_weight,
					     __u32 slowness)
{
	const __u64 most = (1 << 20) - 2;
	__u64 open = (live > 0 ? (__u64)live : 0) + half_open;

	if (open > most)
		open = most;
	return (open + 1) * inverse_weight * slowness;
}

#endif
