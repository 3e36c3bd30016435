/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is done to a service to see how its connections are spread: the table of scenarios. */
#ifndef BENCH_SCENARIO_H
#define BENCH_SCENARIO_H

#include "load.h"
#include "peer.h"

#define SCENARIO_MAX_EVENTS 8
#define SCENARIO_MAX_COSTS 4

/* What is measured in a trial. X(id, key, unit, digits) */
#define METRICS(X)                                                                                 \
	X(RATE, "rate", "requests/s", 0)                                                           \
	X(MEAN, "mean_ms", "ms", 2)                                                                \
	X(P50, "p50_ms", "ms", 2)                                                                  \
	X(P90, "p90_ms", "ms", 2)                                                                  \
	X(P99, "p99_ms", "ms", 2)                                                                  \
	X(P999, "p99.9_ms", "ms", 2)                                                               \
	X(MAX, "max_ms", "ms", 1)                                                                  \
	X(FAILED, "failed", "requests", 0)                                                         \
	X(SPREAD, "max_over_mean", "connections per worker", 2)                                    \
	X(OPEN, "open_max_minus_min", "open connections per worker", 1)                            \
	X(CPU, "cpu_us", "us of server CPU per request", 1)

enum metric {
#define X(id, key, unit, digits) METRIC_##id,
	METRICS(X)
#undef X
		METRIC_COUNT
};

extern const char *const metric_keys[METRIC_COUNT];
extern const int metric_digits[METRIC_COUNT];

enum event_kind {
	EVENT_NONE,
	EVENT_HANG, /* a worker is stopped for ms */
	EVENT_KILL, /* a worker gets SIGKILL */
	EVENT_RELOAD,
	EVENT_SCALE, /* twice as many workers */
};

struct scenario_event {
	double at_s;
	enum event_kind kind;
	unsigned int ms;
};

/* Requests that hold their worker up for us, as many of a hundred as share says. */
struct scenario_cost {
	unsigned int us, share;
};

struct scenario {
	const char *name, *title;
	const char *peers; /* by default; commas */
	const char *ours;  /* what the others are compared with, by program: demo, node, nginx */
	const char *path;  /* NULL = "/", or the costs */
	const char *burst; /* what a burst asks for */
	struct peer_service service;
	struct load_plan plan; /* without targets, seed and time out */
	unsigned int rounds;   /* by default; 0 = 5 */
	struct scenario_event events[SCENARIO_MAX_EVENTS];
	struct scenario_cost costs[SCENARIO_MAX_COSTS];
	double tail; /* > 0: costs of a Pareto distribution with this exponent, costs[0] on average */
	enum metric metric; /* the one that matters most */
	bool siege;	    /* show siege's fields and each worker's connections; see story.h */
};

extern const struct scenario scenarios[];
extern const size_t nr_scenarios;

/* By name, in any case; NULL with *trouble set. */
const struct scenario *scenario_get(const char *name, struct trouble *trouble);

/* Why this peer can't take part, or NULL. */
const char *scenario_obstacle(const struct scenario *scenario, const struct peer *peer);

/* The requests of a scenario against a port. */
int scenario_targets(const struct scenario *scenario, uint16_t port, struct targets *targets,
		     struct trouble *trouble);

#endif
