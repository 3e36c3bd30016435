// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * See scenario.h. Cases of S9 are those of Hermes (SIGCOMM 2025) as Micro-Hermes republished them:
 * a worker is busy for as long as the request says.
 */
#include "scenario.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/suggest.h"

#define C_PEERS                                                                                    \
	"hash,shared,exclusive,master,haproxy,lbctl-rr,lbctl-random,lbctl-least-load,"             \
	"lbctl-least-conn,lbctl-least-latency,lbctl-kernel"
#define NGINX_PEERS "nginx,nginx-reuseport,nginx-lbctl"
#define GUNICORN_PEERS "gunicorn,gunicorn-lbctl"
#define NODE_PEERS "node-cluster,node-none,node-reuseport,pm2,lbctl-run"
/* The default policy of lbctl; what the others are compared with. */
#define OURS "lbctl-least-conn,lbctl-run,nginx-lbctl,gunicorn-lbctl"

#define TAIL_TARGETS 100 /* quantiles of the Pareto distribution */
#define TAIL_LONGEST 100 /* times the shortest: one request must not fill the run */

/* HERMES(case, level, words, requests/s, extra...): the extra members come with each level */
#define HERMES(n, level, what, r, ...)                                                             \
	{                                                                                          \
		.name = "S9-" n "-" level, .title = "Hermes case " n ", " level ": " what,         \
		.peers = "hash,exclusive,lbctl-rr,lbctl-least-conn,lbctl-least-load",              \
		.ours = OURS, .service = { .workers = 4 }, .metric = METRIC_P99, .plan.rate = r,   \
		.plan.poisson = true, .plan.users = 5000, __VA_ARGS__                              \
	}
#define HERMES_1(level, r)                                                                         \
	HERMES("1", level, "1 ms", r, .plan.seconds = 4, .costs = { { 1000, 100 } })
#define HERMES_2(level, r)                                                                         \
	HERMES("2", level, "10 ms, 25 % 150 ms; a worker stalls for 400 ms", r, .plan.seconds = 4, \
	       .costs = { { 10000, 75 }, { 150000, 25 } }, .events = { { 1.5, EVENT_HANG, 400 } })
#define HERMES_3(level, r)                                                                         \
	HERMES("3", level, "2 ms, and connections stay open", r, .plan.seconds = 4,                \
	       .plan.hold = true, .costs = { { 2000, 100 } })
#define HERMES_4(level, r)                                                                         \
	HERMES("4", level, "20 ms, 30 % 200 ms", r, .plan.seconds = 4,                             \
	       .costs = { { 20000, 70 }, { 200000, 30 } })

const struct scenario scenarios[] = {
	{
		.name = "S1",
		.title = "empty work, a connection for each request",
		.peers = C_PEERS "," NGINX_PEERS "," NODE_PEERS,
		.ours = OURS,
		.service = { .workers = 4 },
		.plan = { .users = 64, .seconds = 2 },
		.metric = METRIC_RATE,
	},
	{
		.name = "node",
		.title =
			"the same Node.js program under cluster, PM2 and lbctl run, a connection for "
			"each request",
		.peers = "node-cluster,pm2,lbctl-run",
		.ours = OURS,
		.service = { .workers = 4 },
		.plan = { .users = 64, .seconds = 3 },
		.rounds = 10,
		.metric = METRIC_RATE,
	},
	{
		.name = "story",
		.title = "siege -c 100 -r 2 on one Node.js program: workers that share a socket, a "
			 "master, cluster, lbctl run",
		.peers = "node-shared,node-master,node-cluster,lbctl-run-rr,lbctl-run",
		.ours = OURS,
		.service = { .workers = 4 },
		.plan = { .users = 100, .repetitions = 2 },
		.metric = METRIC_SPREAD,
		.siege = true,
	},
	{
		.name = "routes",
		.title =
			"real programs, one route of 2 ms, and of 10 % one of 150 ms; 120 a second",
		.peers = GUNICORN_PEERS ",node-cluster,node-shared,lbctl-run",
		.ours = OURS,
		.service = { .workers = 4 },
		.plan = { .rate = 120, .poisson = true, .users = 5000, .seconds = 6 },
		.costs = { { 2000, 90 }, { 150000, 10 } },
		.rounds = 5,
		.metric = METRIC_P99,
	},
	{
		.name = "S2",
		.title = "one worker is 50 times slower: 5 ms a request, the others 0.1 ms of work",
		.peers = C_PEERS "," NODE_PEERS,
		.ours = OURS,
		.service = { .workers = 4, .work_us = 100, .slow_us = 5000 },
		.plan = { .users = 16, .seconds = 2 },
		.metric = METRIC_RATE,
	},
	{
		.name = "S3",
		.title = "one worker hangs for 2 of 3 seconds",
		.peers = C_PEERS ",nginx,nginx-reuseport," NODE_PEERS,
		.ours = OURS,
		.service = { .workers = 4 },
		.plan = { .users = 16, .seconds = 3 },
		.events = { { 0.5, EVENT_HANG, 2000 } },
		.metric = METRIC_RATE,
	},
	{
		.name = "S4",
		.title = "100 connections a second, all of which stay open",
		.peers = C_PEERS ",node-cluster,node-none,node-reuseport,pm2,lbctl-run",
		.ours = OURS,
		.service = { .workers = 4 },
		.plan = { .rate = 100, .poisson = true, .users = 5000, .seconds = 5, .hold = true },
		.metric = METRIC_OPEN,
	},
	{
		.name = "S4-leave",
		.title = "200 connections a second, each of which stays open for 2 s on average",
		.peers = C_PEERS ",node-cluster,node-none,node-reuseport,pm2,lbctl-run",
		.ours = OURS,
		.service = { .workers = 4 },
		.plan = { .rate = 200,
			  .poisson = true,
			  .users = 5000,
			  .seconds = 8,
			  .hold = true,
			  .hold_s = 2 },
		.metric = METRIC_OPEN,
	},
	{
		.name = "S5",
		.title = "a burst of 1,000 connections at once, answered after 300 ms",
		.peers = C_PEERS "," NODE_PEERS,
		.ours = OURS,
		.path = "slow?ms=300",
		.service = { .workers = 4 },
		.plan = { .users = 1000, .repetitions = 1 },
		.metric = METRIC_SPREAD,
	},
	{
		.name = "S6",
		.title = "reload under load, twice",
		.peers = "hash,lbctl-rr,lbctl-least-conn,nginx,nginx-reuseport,node-cluster,"
			 "node-none,node-reuseport,pm2,lbctl-run",
		.ours = OURS,
		.service = { .workers = 4 },
		.plan = { .users = 16, .seconds = 8 },
		.events = { { .at_s = 0.5, .kind = EVENT_RELOAD },
			    { .at_s = 4, .kind = EVENT_RELOAD } },
		.metric = METRIC_FAILED,
	},
	{
		.name = "S7",
		.title = "kill -9 of a worker under load, four times",
		.peers = "hash,haproxy,lbctl-rr,lbctl-least-conn,nginx,nginx-reuseport,"
			 "node-cluster,node-none,node-reuseport,pm2,lbctl-run",
		.ours = OURS,
		.service = { .workers = 4 },
		.plan = { .users = 64, .seconds = 5 },
		.events = { { .at_s = 1, .kind = EVENT_KILL },
			    { .at_s = 2, .kind = EVENT_KILL },
			    { .at_s = 3, .kind = EVENT_KILL },
			    { .at_s = 4, .kind = EVENT_KILL } },
		.metric = METRIC_FAILED,
	},
	{
		.name = "S8",
		.title = "from 4 to 8 workers under load",
		.peers = "hash,lbctl-rr,lbctl-least-conn,node-cluster,node-none,node-reuseport,"
			 "pm2,lbctl-run",
		.ours = OURS,
		.service = { .workers = 4 },
		.plan = { .users = 16, .seconds = 4 },
		.events = { { .at_s = 1, .kind = EVENT_SCALE } },
		.metric = METRIC_FAILED,
	},
	HERMES_1("light", 400),
	HERMES_1("medium", 1600),
	HERMES_1("heavy", 3000),
	HERMES_2("light", 40),
	HERMES_2("medium", 75),
	HERMES_2("heavy", 100),
	HERMES_3("light", 30),
	HERMES_3("medium", 60),
	HERMES_3("heavy", 150),
	HERMES_4("light", 15),
	HERMES_4("medium", 40),
	HERMES_4("heavy", 50),
	HERMES("5", "burst", "after 2.5 s of case 3 every open connection asks for 5 ms at once",
	       60, .plan.seconds = 2.5, .plan.hold = true, .plan.burst = true,
	       .costs = { { 2000, 100 } }, .burst = "busy?us=5000"),
	{
		.name = "S10",
		.title = "cheap and costly requests: a heavy tail, 1 ms on average, 2,000 a second",
		.peers = C_PEERS ",node-cluster,pm2,lbctl-run",
		.ours = OURS,
		.service = { .workers = 4 },
		.plan = { .rate = 2000, .poisson = true, .users = 5000, .seconds = 3 },
		.costs = { { 1000, 100 } },
		.tail = 1.1,
		.metric = METRIC_P99,
	},
	{
		.name = "S11",
		.title = "keep-alive: 64 connections, used again and again",
		.peers = C_PEERS "," NGINX_PEERS "," NODE_PEERS,
		.ours = OURS,
		.service = { .workers = 4 },
		.plan = { .users = 64, .seconds = 2, .keep_alive = true },
		.metric = METRIC_RATE,
	},
};

const size_t nr_scenarios = sizeof(scenarios) / sizeof(scenarios[0]);

const char *const metric_keys[METRIC_COUNT] = {
#define X(id, key, unit, digits) [METRIC_##id] = key,
	METRICS(X)
#undef X
};

const int metric_digits[METRIC_COUNT] = {
#define X(id, key, unit, digits) [METRIC_##id] = digits,
	METRICS(X)
#undef X
};

const struct scenario *scenario_get(const char *name, struct trouble *trouble)
{
	const char *names[sizeof(scenarios) / sizeof(scenarios[0])], *nearest;

	for (size_t i = 0; i < nr_scenarios; i++) {
		names[i] = scenarios[i].name;
		if (!strcasecmp(names[i], name))
			return &scenarios[i];
	}
	nearest = suggest(name, names, nr_scenarios);
	trouble_set(trouble, EXIT_USAGE, "no scenario '%s'%s%s%s; lb-bench --help lists them", name,
		    nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
	return NULL;
}

static bool has_event(const struct scenario *scenario, enum event_kind kind)
{
	for (size_t i = 0; i < SCENARIO_MAX_EVENTS; i++) {
		if (scenario->events[i].kind == kind)
			return true;
	}
	return false;
}

const char *scenario_obstacle(const struct scenario *scenario, const struct peer *peer)
{
	bool busy = scenario->service.work_us || scenario->costs[0].share;

	if (*peer->missing)
		return peer->missing;
	if (busy && !peer->can_slow)
		return "its requests can't be made slow";
	if (scenario->path && !peer->can_hold)
		return "it has no path that answers later";
	if (has_event(scenario, EVENT_RELOAD) && !peer->can_reload)
		return "it has no reload";
	if (has_event(scenario, EVENT_SCALE) && !peer->can_scale)
		return "it can't be scaled";
	return NULL;
}

static int add(struct targets *targets, uint16_t port, const char *path, bool keep_alive,
	       struct trouble *trouble)
{
	char url[128];

	snprintf(url, sizeof(url), "127.0.0.1:%u/%s", port, path);
	return targets_add(targets, url, keep_alive, trouble);
}

static int add_busy(struct targets *targets, uint16_t port, double us, bool keep_alive,
		    struct trouble *trouble)
{
	char path[64];

	snprintf(path, sizeof(path), "busy?us=%.0f", us);
	return add(targets, port, path, keep_alive, trouble);
}

/* Quantiles of a Pareto distribution that was cut at TAIL_LONGEST, scaled to the mean. */
static int add_tail(const struct scenario *scenario, uint16_t port, struct targets *targets,
		    struct trouble *trouble)
{
	double us[TAIL_TARGETS], sum = 0;
	int status = EXIT_DONE;

	for (int i = 0; i < TAIL_TARGETS; i++) {
		us[i] = fmin(pow(1 - (i + 0.5) / TAIL_TARGETS, -1 / scenario->tail), TAIL_LONGEST);
		sum += us[i];
	}
	for (int i = 0; i < TAIL_TARGETS && !status; i++)
		status = add_busy(targets, port, us[i] * scenario->costs[0].us * TAIL_TARGETS / sum,
				  false, trouble);
	return status;
}

int scenario_targets(const struct scenario *scenario, uint16_t port, struct targets *targets,
		     struct trouble *trouble)
{
	const struct scenario_cost *costs = scenario->costs;
	int status = EXIT_DONE;

	if (scenario->tail > 0)
		return add_tail(scenario, port, targets, trouble);
	if (!costs[0].share)
		return add(targets, port, scenario->path ? scenario->path : "",
			   scenario->plan.keep_alive || scenario->plan.hold, trouble);
	for (size_t i = 0; i < SCENARIO_MAX_COSTS; i++) {
		for (unsigned int n = 0; n < costs[i].share && !status; n++)
			status = add_busy(targets, port, costs[i].us, scenario->plan.hold, trouble);
	}
	if (scenario->burst && !status)
		status = add(targets, port, scenario->burst, true, trouble);
	return status;
}
