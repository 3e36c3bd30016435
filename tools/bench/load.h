/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The load generator: one thread, one epoll. Closed loop: a number of users, each of whom sends
 * the next request when the last one is answered. Open loop: requests begin at times that do not
 * depend on the answers, and a request's time counts from when it was due, so that a server that
 * stalls is charged for all that came meanwhile (no coordinated omission).
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "figures.h"
#include "histogram.h"
#include "target.h"

#define LOAD_MAX_USERS 65536
#define LOAD_MAX_WORKERS 1100
#define LOAD_MAX_FAILURES 1000 /* of which details are kept */
#define LOAD_TICK_MS 100

struct load_result;

struct load_plan {
	const struct targets *targets;
	bool any_order; /* of the targets; else each user goes through them in turn */
	bool keep_alive;
	bool hold;	      /* an answered connection stays open, idle; see hold_s */
	bool burst;	      /* hold: at `seconds` each held connection asks for the last target */
	bool poisson;	      /* open loop: random times between requests, not even ones */
	unsigned int users;   /* closed loop; open loop: most requests in progress */
	uint64_t repetitions; /* closed loop, per user; 0 = until `seconds` */
	double seconds; /* when the last request begins, but for a burst; 0 = by repetitions */
	double delay_s; /* closed loop: a user waits 0 to this before each request */
	double rate;	/* requests per second: open loop; 0 = closed loop */
	double hold_s;	/* mean of the exponential time that hold keeps it; 0 = to the end */
	unsigned int timeout_ms;
	uint64_t seed;
	const char *worker_header;
	const volatile sig_atomic_t *stop; /* becomes true: end soon. NULL = never */
	/* called every LOAD_TICK_MS; must not block */
	void (*tick)(void *context, double elapsed_s, const struct load_result *result);
	void *context;
};

/* X(id, words) why a request has failed. */
#define LOAD_FAILURES(X)                                                                           \
	X(REFUSED, "connection refused")                                                           \
	X(RESET, "connection reset")                                                               \
	X(CLOSED, "closed before the answer was whole")                                            \
	X(TIMEOUT, "no answer in time")                                                            \
	X(STATUS, "status 400 or above")                                                           \
	X(BAD, "not an HTTP answer")                                                               \
	X(LOCAL, "no descriptor, port or memory left here")

enum load_failure_kind {
#define X(id, words) LOAD_FAILED_##id,
	LOAD_FAILURES(X)
#undef X
		LOAD_FAILURE_KINDS
};

const char *load_failure_words(enum load_failure_kind kind);

struct load_failure {
	double at_s; /* since the begin */
	enum load_failure_kind kind;
	int status; /* of the answer; 0 = none */
	size_t target;
};

struct load_worker {
	char name[32];
	uint64_t connections, requests;
	uint64_t open; /* now */
};

struct load_result {
	struct figures figures;
	struct histogram latency; /* of transactions; of the burst's alone, where there was one */
	uint64_t connections;	  /* established */
	uint64_t reconnects;	  /* an idle connection had been closed by the server */
	uint64_t open;		  /* requests in progress now */
	uint64_t unnamed;	  /* connections whose worker is not known */
	uint64_t by_kind[LOAD_FAILURE_KINDS];
	struct load_failure failures[LOAD_MAX_FAILURES];
	size_t nr_failures;
	struct load_worker workers[LOAD_MAX_WORKERS]; /* in the order in which they showed up */
	size_t nr_workers;
};

/*
 * Runs the plan to its end. *result is large: don't put it on the stack. Returns 0 or -errno; what
 * goes wrong with single requests is counted, not returned.
 */
int load_run(const struct load_plan *plan, struct load_result *result);

/* Lets this process have as many descriptors as the plan needs. Returns 0 or -errno. */
int load_raise_descriptors(unsigned int users);

#endif
