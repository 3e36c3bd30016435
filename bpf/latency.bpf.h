/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the programs that measure latency share: what a connection carries with it, and the
 * histograms of its worker. Each time that latency is switched on it gets another number, so
 * connections from before are left out.
 */
#ifndef LB_LATENCY_BPF_H
#define LB_LATENCY_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "counters.bpf.h"
#include "latency_map.bpf.h"
#include "lb_hold.h"
#include "track.bpf.h"

/* How far a connection is in a TLS handshake: see tls.bpf.h. */
enum tls_state {
	TLS_UNKNOWN, /* nothing came yet */
	TLS_NONE,
	TLS_HELLO,   /* the client has begun */
	TLS_SHAKES,  /* the server has answered; the client's second part is to come */
	TLS_TICKETS, /* done, by TLS 1.3: the server may send tickets now, which are no answer */
	TLS_OPEN,    /* each record is a request's or an answer's */
};

/* Of this switching on; never 0. */
const volatile __u32 lb_number = 1;

/* NULL = it is not measured, or `sk` is none of the service's connections. */
static __always_inline struct lb_timing *timing_of(struct bpf_sock *sk)
{
	struct lb_conn *conn = sk ? bpf_sk_storage_get(&lb_conns, sk, NULL, 0) : NULL;

	return conn && conn->measured == lb_number ? &conn->timing : NULL;
}

static __always_inline void note_time(struct lb_histogram *histogram, __u64 ns)
{
	__u32 bucket = lb_latency_bucket(ns);

	if (bucket >= LB_LATENCY_BUCKETS)
		return;
	__sync_fetch_and_add(&histogram->buckets[bucket].count, 1);
	__sync_fetch_and_add(&histogram->buckets[bucket].sum_ns, ns);
}

static __always_inline void note_first_byte(const struct lb_timing *timing, __u64 ns)
{
	struct lb_latency *latency = latency_of(timing->slot);

	if (latency)
		note_time(&latency->first_byte, ns);
}

/*
 * The worker has accepted it, at the latest now: so it migrates no more, and lb_migrated, if it is
 * there, has its worker, and when it came to that. Of one that was held, the time until then is
 * none of the worker's.
 */
static __always_inline void note_accepted(struct lb_timing *timing, bool bounded)
{
	__u64 from_ns = timing->opened_ns, held_ns = 0;
	struct lb_latency *latency;
	struct lb_conn *migrated;

	if (timing->accepted)
		return;
	timing->accepted = 1;
	migrated = migrated_of(timing->slot, timing->cookie);
	if (migrated) {
		if (lb_is_waiting_slot(timing->slot) && migrated->opened_ns > from_ns) {
			held_ns = migrated->opened_ns - from_ns;
			from_ns = migrated->opened_ns;
		}
		timing->slot = migrated->slot;
	}
	latency = latency_of(timing->slot);
	if (!latency)
		return;
	note_time(&latency->wait, bpf_ktime_get_ns() - from_ns);
	if (held_ns)
		note_time(&latency->held, held_ns);
	if (bounded)
		count(&latency->bounded);
}

#endif
