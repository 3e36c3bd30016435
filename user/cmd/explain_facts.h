/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a service is explained by, and what is found: see explain.h. */
#ifndef EXPLAIN_FACTS_H
#define EXPLAIN_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/throttle.h"
#include "lb_abi.h"

/* Of a finding that is not about one worker. */
#define EXPLAIN_ALL UINT32_MAX

/* X(KIND, "its name"), in the order in which they are looked for: causes before what they cause. */
#define EXPLAIN_KINDS(X)                                                                           \
	X(BLIND, "blind")                                                                          \
	X(KEEPER_GONE, "keeper-gone")                                                              \
	X(NOT_STEERED, "not-steered")                                                              \
	X(TAKEN_OFF, "taken-off")                                                                  \
	X(TAKERS, "takers")                                                                        \
	X(LEFT_OUT, "left-out")                                                                    \
	X(ONE_SOCKET, "one-socket")                                                                \
	X(NO_WORKER, "no-worker")                                                                  \
	X(THROTTLED, "throttled")                                                                  \
	X(HANGS, "hangs")                                                                          \
	X(RESTARTS, "restarts")                                                                    \
	X(DOWN, "down")                                                                            \
	X(DRAINED, "drained")                                                                      \
	X(LIMITED, "limited")                                                                      \
	X(LIMIT, "limit")                                                                          \
	X(SILENT, "silent")                                                                        \
	X(FEW_CLIENTS, "few-clients")                                                              \
	X(UNEVEN, "uneven")                                                                        \
	X(WEIGHT, "weight")                                                                        \
	X(SLOW, "slow")                                                                            \
	X(KEPT, "kept")                                                                            \
	X(FULL, "full")                                                                            \
	X(BEHIND, "behind")                                                                        \
	X(QUEUE, "queue")                                                                          \
	X(HOT, "hot")                                                                              \
	X(PASSED_BY, "passed-by")                                                                  \
	X(LOST, "lost")                                                                            \
	X(HOLD, "hold")                                                                            \
	X(BUSY, "busy")                                                                            \
	X(FALLBACK_CONFIG, "fallback-config")                                                      \
	X(FALLBACK_EMPTY, "fallback-empty")                                                        \
	X(FALLBACK_NONE, "fallback-none")                                                          \
	X(NOT_HEADER, "not-header")                                                                \
	X(MIGRATE_FAILED, "migrate-failed")                                                        \
	X(RESET, "reset")                                                                          \
	X(UNANSWERED, "unanswered")                                                                \
	X(HELD_LATE, "held-late")                                                                  \
	X(LATENCY_OFF, "latency-off")

enum explain_kind {
#define X(kind, name) EXPLAIN_##kind,
	EXPLAIN_KINDS(X)
#undef X
		EXPLAIN_NR_KINDS
};

/* Who keeps the service up to date: what its user can ask for. */
enum explain_keeper {
	EXPLAIN_NOBODY, /* attach alone */
	EXPLAIN_WATCH,
	EXPLAIN_FORKS, /* run --forks: it can reload, and not scale */
	EXPLAIN_RUN,
};

/* A time that was measured, in the time looked at. */
struct explain_time {
	uint64_t count;
	double mean_ns, half_ns, ninth_ns; /* half of them, and nine in ten, were not above this */
};

/* "Always" is in all looks, "grown" is from the first look to the last one. */
struct explain_worker {
	pid_t pid;
	bool up;	     /* always: it takes connections, or would if it did not hang */
	bool draining, down; /* always */
	uint64_t stalled_ns;
	uint32_t weight; /* 0 counts as 1 */
	uint32_t limit;	 /* 0 = none */
	double live;	 /* mean of the looks; the least and the last of them follow */
	uint32_t live_least, live_last;
	double queued;
	uint32_t queued_least, queue_max;
	uint64_t stayed; /* of its open connections, at least so many were open at the first look */
	uint64_t before; /* and at least so many before the service was there */
	uint64_t selected, opened, skipped, lost; /* grown */
	uint64_t restarts, restarted;		  /* in all, and grown */
	uint64_t pace_us, pace_most_us;		  /* least and most of the looks; 0 = unknown */
	double cpu; /* share of one CPU that it used; below 0 = unknown */
	struct explain_time first_byte, wait;
	struct throttle throttle; /* grown; of no cgroup where it was another one at first */
};

struct explain_facts {
	const char *name;
	const char *address; /* of its first listener, as attach takes it */
	uint32_t policy;
	enum explain_keeper keeper;
	uint32_t kept;	    /* EXPLAIN_RUN's own workers: all below; others were attached by hand */
	bool gone;	    /* it had a keeper */
	const char *again;  /* what takes it up again, "" = not known */
	bool datagrams;	    /* UDP only: queues are in bytes, and there are no connections */
	bool counted;	    /* live and opened are counted in the kernel */
	bool blind;	    /* what comes from the sockets could not be read */
	const char *shared; /* one socket that processes share, in words: what, "; ", remedy */
	bool unsteered;	    /* always: our program is not on a group of the service */
	uint64_t taken_off; /* grown */
	uint32_t left_out, takers; /* always, sockets that get nothing, and that take datagrams */
	pid_t stranger;		   /* whose one of those is, 0 = not known */
	uint32_t limit;
	uint64_t hold_ns;     /* LB_HOLD_AUTO, 0 = off */
	const char *obstacle; /* why nothing can wait for an idle worker, "" = it may */
	bool latency;	      /* it is measured */
	bool can_measure;     /* it could be */
	double seconds;	      /* from the first look to the last */
	/*
	 * Nothing came in between: what has grown of workers' selected and opened, times, decisions
	 * and all_stale is then since the service was made.
	 */
	bool idle;
	uint64_t decisions;		/* grown */
	struct lb_counters counters;	/* grown */
	struct explain_worker *workers; /* by number */
	uint32_t nr_workers;
};

#define EXPLAIN_NUMBERS 6

struct explain_finding {
	enum explain_kind kind;
	uint32_t worker; /* or EXPLAIN_ALL */
	struct {
		const char *name; /* NULL = there are no more */
		double value;
	} numbers[EXPLAIN_NUMBERS];
	char text[400];	  /* what, and why */
	char remedy[480]; /* a command, or "no setting helps: ..." */
};

#endif
