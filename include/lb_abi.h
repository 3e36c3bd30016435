/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the BPF programs and user space share: map values, limits, version. Only fixed-size
 * integers and arrays; padding is explicit and zero. Every field has one writer, named beside it
 * or at its struct.
 *
 * Two lbctl of the same LB_ABI_VERSION can take turns on one service, with values that one of them
 * knows to be longer. So within a version a field is only ever appended (or put in the place of
 * padding), with 0 as "like before there was this field"; anything else raises the version. A
 * counter is appended at the end of LB_NOTES; LB_EXITS and LB_SLOT_COUNTERS are in the middle of
 * their structs. To append a field:
 * - Raise `now` of its struct in LB_VALUES; `first` stays.
 * - Reach an entry by the size that the service's map has, never by sizeof and an index: user space
 *   by state_worker() and the like, a program by bpf_map_lookup_elem().
 * - Read and write the new field only where the value has it. In user space state_field() reads it,
 *   or 0; in a program LB_HAS(lb_sizes.NAME, struct lb_NAME, field) guards it, which the verifier
 *   knows when it loads the program.
 * - Copy whole values by state_worker_copy() and the like, by state_lookup() and state_update(): a
 *   struct's own assignment or a bare bpf(2) call goes by the wrong size.
 */
#ifndef LB_ABI_H
#define LB_ABI_H

#include <linux/types.h>

#include "lb_counters.h"
#include "lb_latency.h"
#include "lb_policies.h"

#define LB_ABI_VERSION 6

#define LB_MAX_WORKERS 1024
/* A worker owns at most two slots: while a reload's new process serves, the old one drains. */
#define LB_SLOTS_PER_WORKER 2
#define LB_MAX_SLOTS (LB_MAX_WORKERS * LB_SLOTS_PER_WORKER)
/*
 * Above the workers' slots, for listeners of lbctl's own that connections wait in. No table and no
 * scan comes there.
 */
#define LB_WAITING_SLOTS 64
#define LB_ALL_SLOTS (LB_MAX_SLOTS + LB_WAITING_SLOTS)
#define LB_MAX_LISTENERS 8
#define LB_MAX_WEIGHT 256
#define LB_MAX_SCHEDULE 32768  /* entries of one half of lb_schedule */
#define LB_SCAN_WINDOW 64      /* slots that one scan looks at, */
#define LB_SAMPLE_WINDOW 32    /* and of a service that has more */
#define LB_SLOW_SCAN_WINDOW 16 /* of any, where a look at a queue is five times as dear */
#define LB_DRAWS 8	       /* picks tried before any eligible slot is taken */
#define LB_PROBE_EVERY 8       /* decisions from one probe of a slow or silent slot to the next */
#define LB_RECENT_ENTRIES 4096
#define LB_DEFAULT_FLOWS 65536
#define LB_MAX_FLOWS (1 << 22)
#define LB_MAX_MIGRATED 32768 /* migrated connections that are open; more count for the old slot */
#define LB_NO_SLOT 0xffffffffU

#define LB_MAX_LIMIT 1000000

#define LB_DEFAULT_STALE_MS 1000
#define LB_DEFAULT_STALL_MS 100
#define LB_DEFAULT_RESCUE_MS 250

#define LB_MOST_VALUE 4096   /* bytes of any value, */
#define LB_MOST_COPIED 128   /* and of lb_place and lb_conn, which are copied whole */
#define LB_MOST_LATENCY 8192 /* but of lb_latency it is this */

/* For the test of upgrades: an lbctl that has appended a field to every value. */
#ifdef LB_ABI_APPENDED
#define LB_APPENDED __u64 appended[8];
#define LB_APPENDED_BYTES 64
#else
#define LB_APPENDED
#define LB_APPENDED_BYTES 0
#endif

enum lb_slot_state {
	LB_SLOT_FREE = 0, /* no worker has it */
	LB_SLOT_UP = 1,
	LB_SLOT_DRAINING = 2, /* open, gets no new connection */
	LB_SLOT_DOWN = 3,     /* had a worker; its sockets are closed */
};

enum lb_proto {
	LB_PROTO_TCP = 6,
	LB_PROTO_UDP = 17,
};

/* One reuseport group. Written by lbctl. */
struct lb_listener {
	__u8 addr[16]; /* network order; IPv4 in the first four bytes */
	__u64 netns;   /* inode of the network namespace */
	__u16 port;    /* host order */
	__u8 proto;    /* enum lb_proto */
	__u8 family;   /* AF_INET or AF_INET6 */
	__u32 prog_id; /* id of the program that steers it */
};
_Static_assert(sizeof(struct lb_listener) == 32, "lb_listener");

/*
 * A listener that is shut down for a moment. If its lbctl dies in between, the next one makes it
 * listen again, and puts it back into its slot. Written by lbctl, under the service's lock.
 */
struct lb_rescue {
	__u32 pid; /* who has the socket; 0 = no rescue is under way */
	__u32 fd;  /* its descriptor there */
	__u32 backlog;
	__u32 slot;
	__u32 listener; /* index in lb_config.listeners */
	__u32 pad;
};
_Static_assert(sizeof(struct lb_rescue) == 24, "lb_rescue");

/* lb_config: one entry, mmapable. Written by lbctl; the program reads it at every run. */
struct lb_config {
	__u32 abi_version;
	__u32 used_slots;  /* slots 0 .. used_slots - 1 have had a worker; at most LB_MAX_SLOTS */
	__u64 word;	   /* policy, schedule half, length: see lb_word_pack() */
	__u64 wake_wanted; /* a number that was not here before asks for an entry in lb_wake */
	__u64 stale_ns;
	__u64 stall_ns;
	__u64 rescue_ns;
	__u32 nr_listeners;
	__u32 group;	  /* gid that may report load, or LB_NO_GROUP */
	__u64 created_ns; /* CLOCK_REALTIME when the service was made */
	struct lb_listener listeners[LB_MAX_LISTENERS];
	__u64 hash_prefix4; /* bits of a client's IPv4 address that hash goes by */
	__u64 hash_prefix6;
	__u64 limit; /* lb_worker.limit of new workers */
	struct lb_rescue rescue;
	__u64 flow_ns; /* UDP: how long a silent flow stays with its worker; 0 = each datagram anew */
	__u64 migration_wanted; /* as wake_wanted, for an entry when a connection has migrated */
	__u64 taken_off;	/* how often its program was off a group, and was put back */
	__u64 hold_ns; /* longest that a connection waits for an idle worker; 0 = it does not */
	__u64 latency; /* of one connection in so many it is measured: for who makes it anew */
	__u64 trace_until_ns; /* CLOCK_MONOTONIC: decisions are told to lb_trace; 0 = they are not */
	LB_APPENDED
};
#define LB_HOLD_AUTO (~0ULL) /* hold_ns: where it pays, see lb_hold.h */
#define LB_NO_GROUP 0xffffffffU

/* lb_workers: by slot, mmapable. Written by lbctl. */
struct lb_worker {
	__u32 worker;	      /* the number that users see */
	__u32 state;	      /* enum lb_slot_state */
	__u32 weight;	      /* 1 .. LB_MAX_WEIGHT */
	__u32 inverse_weight; /* lb_inverse_weight(weight) */
	__u32 limit;	      /* most connections, open and half-open; 0 = any number */
	__u32 pid;	      /* who polls the socket, as last seen */
	__u32 restarts;	      /* of its worker, by lbctl run */
	__u32 generation;     /* raised when a socket takes over a slot that has open connections */
	__u32 unheard;	      /* of its worker, messages that lbctl run has dropped: a flood */
	__u32 pad;
	LB_APPENDED
};

/*
 * lb_queues: by slot, one map per listener, mmapable. Written by lbctl. Where the program
 * finds the listener's accept queue. The pointer may dangle: it is believed only while the
 * memory behind it carries the cookie and the state LISTEN.
 */
struct lb_queue {
	__u64 cookie; /* of the registered socket; 0 = none */
	__u64 sock;   /* its struct sock, as a number; 0 = unknown */
	LB_APPENDED
};

/*
 * lb_stalls: by slot, one map per listener, mmapable. How the slot's accept queue moves. The first
 * part is written by the BPF programs, the second by lbctl. Times are of the kernel's tick clock,
 * in nanoseconds: see tick_clock_ns().
 */
struct lb_stall {
	__u64 oldest;	   /* what waits longest, as a number; 0 = nothing */
	__u64 oldest_ns;   /* when it was first seen as that; written before it */
	__u64 probed_ns;   /* when the held slot got a connection as a probe */
	__u64 accepted_ns; /* when it was seen to have accepted one, or to be at work again */
	__u32 half_open;   /* as last sampled */
	__u32 queued;	   /* as last sampled */

	/*
	 * when its queue was last moved, while that goes on ahead of now; from then on it is held
	 */
	__u64 rescued_ns;
	__u64 since_ns; /* when the stall began for which it is held */
	__u64 rescues;	/* how often */
	LB_APPENDED
};

/*
 * lb_flows: LRU hash, one map per UDP listener, the kernel's hash of a datagram's addresses and
 * ports -> where the flow is. Two flows with one hash share a worker. Written by the BPF program.
 */
struct lb_flow {
	__u32 slot;
	__u32 pad;
	__u64 seen_ns; /* CLOCK_MONOTONIC of its last datagram */
};
_Static_assert(sizeof(struct lb_flow) == 16, "lb_flow");

/* lb_cookies: hash, cookie of a registered socket -> where it is. Written by lbctl. */
struct lb_place {
	__u32 slot;
	__u32 listener; /* index in lb_config.listeners */
	LB_APPENDED
};

/* How far a connection's requests are, while it is measured: by the programs of latency=on. */
struct lb_timing {
	__u64 cookie;
	__u64 opened_ns;
	__u64 request_ns; /* when the request began that has no answer; 0 = there is none */
	__u64 maybe_ns;	  /* how long its answer took, unless that was TLS tickets; 0 = none was */
	__u16 slot;
	union {
		__u16 left;	  /* in TLS's handshake: bytes of a record that are still to come */
		__u16 ticket_len; /* after it: of the record that was sent first; 0 = none was */
	};
	__u8 tls; /* how far that is: enum tls_state of latency.bpf.h */
	__u8 old; /* it is TLS 1.2 */
	__u8 accepted;
	__u8 pad;
};
_Static_assert(LB_ALL_SLOTS <= 1 << 16, "a slot is 16 bits in lb_timing");

/*
 * lb_conns: sk_storage. lbctl sets it on each listener that it registers, the connections that the
 * listener accepts inherit a copy, and the tracking program marks that copy: one writer, the
 * holder of the socket's lock. Also the value of lb_migrated, a hash by cookie of the connections
 * that migrated while they waited: there the steering program says where they are now.
 *
 * `measured` and `timing` are those of the programs that measure latency: a storage of their own
 * would be allocated and freed for each connection, which takes as long as half of what they do.
 */
struct lb_conn {
	__u32 slot;
	__u32 generation; /* lb_worker.generation of the slot; once they differ, it counts nowhere */
	__u32 counted;	  /* 1: it is in `live` of its slot */
	__u32 measured;	  /* latency: the number of its switching on that `timing` is of */
	__u64 opened_ns;  /* when it came to this slot; 0 = before it was counted */
	struct lb_timing timing;
	LB_APPENDED
};

/*
 * lb_load: by slot, mmapable. Written by the slot's worker, through liblbctl or the keeper that it
 * reports to, one cache line each, except `closed`. A worker of the service's group can write any
 * slot's entry: it can spoil load figures, and nothing else. It never gets longer: the library is
 * part of other programs, of any age, and can't always ask the kernel for the size. New fields take
 * the padding's place.
 */
struct lb_load {
	__u64 load;	    /* what least-load compares; any unit, the same for all workers */
	__u64 reported_ns;  /* CLOCK_MONOTONIC of that report; 0 = never */
	__u64 heartbeat_ns; /* CLOCK_MONOTONIC of the last sign of life; 0 = never */
	__u64 opened;	    /* connections accepted, as the worker counts them */
	__u64 ended;	    /* connections closed, as the worker counts them */
	__u64 closed;	    /* by lbctl: not 0 = the service is gone, let go of this page */
	__u64 pad[2];
};
_Static_assert(sizeof(struct lb_load) == 64, "lb_load");

/* What a connection takes: busy time per completion, as an average. See lb_pace.h. */
struct lb_pace {
	__u64 average_ns;
	__u32 samples; /* 0 = none yet; no more are counted than the average is of */
	__u32 probed;  /* 1: the slot was given a connection to see whether it is still slow */
};

/*
 * lb_stats: by slot, mmapable. Written by the BPF programs only; never set back. The exception is
 * `live`: lbctl corrects it by atomic adds where it finds that the programs missed something.
 */
struct lb_stats {
#define X(field, help) __u64 field;
	LB_SLOT_COUNTERS(X)
#undef X
	/* least-load's view of the last report; see lb_report_refresh() */
	__u64 report_seen_ns; /* the reported_ns that was seen */
	__u64 report_at_ns;   /* when it was made, never in the future */
	__u64 selected_at_report;
	__u64 selected_ns; /* when the slot was last selected by a scan */
	__u64 opened;	   /* connections that became established */
	__s64 live;	   /* open now; see lb_state_is_open() */
	__u64 doubted;	   /* not 0: it could not take a connection, so look before it is named */
	/* what least-latency goes by; see lb_pace.h */
	__u64 began_ns; /* the busy time that the next completion ends */
	struct lb_pace pace;
	__u64 ended_ns; /* of the tick clock: when the worker itself last ended a connection */
	__u64 lost;	/* accepted connections that were open when their process ended */
	/* to the end of the cache line: the next slot's counters are written by other CPUs */
	__u64 pad[7];
	LB_APPENDED
};

_Static_assert(sizeof(struct lb_stats) % 64 == 0, "slots in cache lines of their own");

/* lb_counters: one entry. Written by the BPF programs only; never set back. */
struct lb_counters {
	__u64 cursor;		  /* the next index of rr, and the next start of a scan */
	__u64 probed_at;	  /* the cursor when a slow or silent worker last got a probe */
	struct lb_pace pace;	  /* of all workers */
	__u64 inverse_pace;	  /* lb_pace_inverse() of it, 0 = none yet */
	__u64 wake_answered;	  /* the last lb_config.wake_wanted that was answered */
	__u64 migration_answered; /* and the last migration_wanted */
	__u64 pad;
#define X(field, help) __u64 field;
	LB_COUNTERS(X)
#undef X
	LB_APPENDED
};

enum lb_wake_kind {
	LB_WAKE_ACTIVITY = 1,	/* a connection or datagram was decided */
	LB_WAKE_MIGRATION = 2,	/* a waiting connection migrates; it is in its new queue soon */
	LB_WAKE_UNANSWERED = 3, /* whoever empties waiting listeners does not answer */
};

/*
 * lb_wake: ring buffer. Written by the steering programs, at most once for each number in
 * lb_config.wake_wanted and in migration_wanted (or twice, when two CPUs decide at the same
 * moment); read by who waits for the service to have something to do again, if anybody does. See
 * user/service/wake.h.
 */
struct lb_wake {
	__u32 kind; /* enum lb_wake_kind */
	__u32 slot; /* that was chosen, or LB_NO_SLOT */
};
_Static_assert(sizeof(struct lb_wake) == 8, "lb_wake");

/*
 * lb_hold: one entry, mmapable. What is held: a connection that finds no idle worker may wait in a
 * waiting listener, one of lbctl's own, until a worker is idle. Waiting listener w has bit 1 << w
 * here, entry w of lb_waiting, and slot LB_MAX_SLOTS + w of one listener of the service. The first
 * two parts are written by the keeper, but told_ns; the rest by all, sets of bits with atomics.
 */
struct lb_hold {
	__u64 open[LB_MAX_LISTENERS]; /* which waiting listeners there are, by listener */

	__u64 most_ns; /* longest that one is held; 0 = nobody is told when a worker sleeps */
	__u64 always;  /* not 0: also where it does not pay */
	__u64 told_ns; /* the asked_ns of which the keeper was told; by the programs */
	char why[96];  /* why nothing can be held, as text; "" = it can */

	__u64 longest_ns; /* as work_ns, the longest lately */

	__u64 taken;	/* a SYN has chosen it since it was emptied last */
	__u64 occupied; /* an established connection is in it */
	__u64 closing;	/* it is being emptied */
	__u64 asked_ns; /* the oldest request to empty some that has no answer yet; 0 = none */
	__u64 let_go;	/* so many of what is in it get a worker, idle or not; the rest waits on */
	__u64 invited;	/* not 0: ask once it pays, as there are none yet */
	__u64 work_ns;	/* average time from a worker's connection to its next sleep */
	__u64 delay_ns; /* average time from the sleep to the connection that is given for it */

	__u64 last;   /* the one that was chosen last: where no other is free, more go there */
	__u64 rtt_ns; /* average round trip of the handshakes that end; 0 = not known */
	__u64 pad_last[6];
	LB_APPENDED
};

/* lb_ask: ring buffer, from the programs to whoever empties waiting listeners. */
struct lb_ask {
	__u32 slot; /* that a held connection was given to; LB_NO_SLOT = look what can be emptied */
	__u32 pad;
};

/* lb_waiting: by waiting listener, mmapable. Times are CLOCK_MONOTONIC. Written by the programs. */
struct lb_waiting {
	__u64 since_ns;	 /* what is in it became established, or came from elsewhere */
	__u64 chosen_ns; /* the last SYN chose it */
	__u64 moved_to; /* while it is emptied: where the rest of it waits on, plus 1; 0 = nowhere yet */
	__u64 pad;
	LB_APPENDED
};

/* lb_idle: by slot, mmapable, while something may be held. Written by the programs. */
struct lb_idle {
	__u64 chosen_ns; /* it was last chosen, be it by a SYN only */
	__u64 given_ns;	 /* it last got a connection */
	__u64 slept_ns;	 /* its worker last went to sleep where it waits for connections */
	__u64 pad[5];
	LB_APPENDED
};

/*
 * lb_latency: hash, slot -> what is measured of its worker. There, and written by the programs of
 * bpf/latency.bpf.c and busy.bpf.c, while latency=on; from one switch-on to the next it is never
 * set back.
 */
struct lb_histogram {
	struct lb_bucket {
		__u64 count;
		__u64 sum_ns;
	} buckets[LB_LATENCY_BUCKETS];
};

struct lb_latency {
#define X(field, help) struct lb_histogram field;
	LB_LATENCY_TIMES(X)
#undef X
#define X(field, help) __u64 field;
	LB_LATENCY_SUMS(X)
#undef X
#define X(field, help) __u64 field##_ns;
	LB_LATENCY_SPANS(X)
#undef X
	LB_APPENDED
};

/*
 * lb_trace: array of maps, of which the only one is the ring buffer of who reads it, while somebody
 * does. The entries, one for each decision. Written by the steering programs.
 */
#define LB_TRACE_CANDIDATES LB_SCAN_WINDOW

/* Why a slot gets nothing. */
enum lb_out {
	LB_OUT_NOT, /* it may get it */
	LB_OUT_LIMITED,
	LB_OUT_STALLED,
	LB_OUT_FULL,
	LB_OUT_DRAINING,
	LB_OUT_DOWN,
};

/* A slot as the decision found it. */
struct lb_candidate {
	__u64 key; /* what a scan compares, see lb_key(); 0 = the policy does not scan */
	__u32 live;
	__u32 half_open;
	__u32 queued; /* of UDP in bytes */
	__u8 out;     /* enum lb_out */
	__u8 pad[3];
};

struct lb_trace {
	__u64 time_ns;	  /* CLOCK_MONOTONIC */
	__u64 word;	  /* lb_config.word, with LB_WORD_HOLDS where connections may wait */
	__be32 client[4]; /* its address; IPv4 as ::ffff:a.b.c.d */
	__u32 port;	  /* the client's, in host order */
	__u32 listener;	  /* index in lb_config.listeners */
	__u32 picked;	  /* the slot that the policy named first */
	__u32 slot; /* that got it, maybe a waiting listener's; LB_NO_SLOT = left to the kernel */
	__u32 from; /* the slot that it migrates from, if that is known; else LB_NO_SLOT */
	__u32 migrates;	     /* 1: it is not new */
	__u32 nr_candidates; /* the first so many slots */
	__u32 pad;
	struct lb_candidate candidates[LB_TRACE_CANDIDATES];
};
_Static_assert(sizeof(struct lb_trace) == 64 + 24 * LB_TRACE_CANDIDATES, "lb_trace");

/* X(name, first, now): bytes of struct lb_NAME in the first lbctl of this version, and in ours. */
#define LB_VALUES(X)                                                                               \
	X(config, 400, 416)                                                                        \
	X(worker, 40, 40)                                                                          \
	X(stats, 136, 192)                                                                         \
	X(counters, 248, 256)                                                                      \
	X(queue, 16, 16)                                                                           \
	X(stall, 64, 64)                                                                           \
	X(place, 8, 8)                                                                             \
	X(conn, 24, 64)                                                                            \
	X(hold, 320, 320)                                                                          \
	X(waiting, 32, 32)                                                                         \
	X(idle, 64, 64)                                                                            \
	X(latency, 6192, 6208)

enum lb_first_bytes {
#define X(name, first, now) LB_FIRST_##name = (first),
	LB_VALUES(X)
#undef X
};

#define X(name, first, now)                                                                        \
	_Static_assert((first) <= (now) && (first) % 8 == 0 && (now) % 8 == 0, "lb_" #name);       \
	_Static_assert(sizeof(struct lb_##name) == (now) + LB_APPENDED_BYTES, "lb_" #name);
LB_VALUES(X)
#undef X

/* The bytes that the values of a service's maps have; lbctl tells the programs that it loads. */
struct lb_sizes {
#define X(name, first, now) __u32 name;
	LB_VALUES(X)
#undef X
};

/* Does a value of so many bytes have this field, its last byte included? */
#define LB_HAS(bytes, type, field)                                                                 \
	((bytes) >= __builtin_offsetof(type, field) + sizeof(((type *)0)->field))

#endif
