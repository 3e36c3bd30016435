/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For tests of explain: a service that is well, and each row, which is so but for one thing. */
#ifndef EXPLAIN_MADE_H
#define EXPLAIN_MADE_H

#include <string.h>

#include "cmd/explain.h"
#include "cmd/explain_parts.h"
#include "explain_rows.h"

#define WORKERS 4
#define MOST_WORKERS 64
#define NOTHING EXPLAIN_NR_KINDS
#define ALL EXPLAIN_ALL
#define MS 1e6

/* Well, and busy: 100 connections a second and worker. */
static void make_healthy(struct explain_facts *f, struct explain_worker *w, uint32_t n)
{
	*f = (struct explain_facts){
		.name = "web",
		.address = "127.0.0.1:8080",
		.policy = LB_POLICY_LEAST_CONN,
		.again = "",
		.kept = UINT32_MAX,
		.counted = true,
		.shared = "",
		.hold_ns = LB_HOLD_AUTO,
		.obstacle = "",
		.seconds = 5,
		.decisions = 500 * n,
		.workers = w,
		.nr_workers = n,
	};
	for (uint32_t i = 0; i < n; i++)
		w[i] = (struct explain_worker){
			.pid = 100 + i,
			.up = true,
			.weight = 1,
			.live = 5,
			.live_last = 5,
			.queue_max = 511,
			.selected = 500,
			.opened = 500,
			.pace_us = 1000,
			.pace_most_us = 1200,
			.cpu = 0.2,
		};
}

static void measure(struct explain_facts *f)
{
	f->latency = true;
	for (uint32_t i = 0; i < f->nr_workers; i++) {
		f->workers[i].first_byte = (struct explain_time){ 500, 1.2 * MS, 1 * MS, 2 * MS };
		f->workers[i].wait = (struct explain_time){ 500, 0.1 * MS, 0.1 * MS, 0.2 * MS };
	}
}

static void make_down(struct explain_worker *w)
{
	*w = (struct explain_worker){ .down = true, .weight = 1, .cpu = -1 };
}

static void make_drained(struct explain_worker *w)
{
	*w = (struct explain_worker){ .draining = true, .weight = 1, .pid = 7 };
}

static void all_wait(struct explain_worker *w, uint32_t least, double mean)
{
	for (uint32_t i = 0; i < WORKERS; i++) {
		w[i].queued_least = least;
		w[i].queued = mean;
	}
}

static void all_have(struct explain_worker *w, uint32_t limit, uint32_t live)
{
	for (uint32_t i = 0; i < WORKERS; i++) {
		w[i].limit = limit;
		w[i].live_least = live;
	}
}

static void all_use(struct explain_worker *w, double cpu)
{
	for (uint32_t i = 0; i < WORKERS; i++)
		w[i].cpu = cpu;
}

static void all_opened(struct explain_worker *w, uint64_t a, uint64_t b)
{
	for (uint32_t i = 0; i < WORKERS; i++)
		w[i].opened = w[i].selected = i ? b : a;
}

static void all_wait_for(struct explain_worker *w, double wait_ms, double answer_ms)
{
	for (uint32_t i = 0; i < WORKERS; i++) {
		w[i].wait =
			(struct explain_time){ 500, wait_ms * MS, wait_ms * MS, 2 * wait_ms * MS };
		w[i].first_byte = (struct explain_time){ 500, answer_ms * MS, answer_ms * MS,
							 2 * answer_ms * MS };
	}
}

static void slow_by_request(struct explain_facts *f, double mean_ms, double half_ms)
{
	measure(f);
	f->workers[2].first_byte = (struct explain_time){ 500, mean_ms * MS, half_ms * MS, 3 * MS };
}

/* By a limit of their own, or of a cgroup that others are in, too. */
static void throttle(struct explain_worker *w, const char *cgroup, uint64_t periods,
		     uint64_t throttled, uint64_t ms)
{
	w->throttle = (struct throttle){ .periods = periods,
					 .throttled = throttled,
					 .throttled_us = ms * 1000 };
	strcpy(w->throttle.cgroup, cgroup);
}

static void throttle_all(struct explain_worker *w)
{
	for (uint32_t i = 0; i < WORKERS; i++)
		throttle(&w[i], "/c/web", 50, 25, 2000);
}

static void slow_by_pace(struct explain_worker *w, uint64_t us)
{
	w[2].pace_us = w[2].pace_most_us = us;
}

#define X(name, kind, worker, words, ...)                                                          \
	static void case_##name(struct explain_facts *f, struct explain_worker *w)                 \
	{                                                                                          \
		(void)f;                                                                           \
		(void)w;                                                                           \
		__VA_ARGS__;                                                                       \
	}
EXPLAIN_ROWS(X)
#undef X

static const struct row {
	const char *name;
	enum explain_kind want;
	uint32_t worker;
	const char *words;
	void (*make)(struct explain_facts *f, struct explain_worker *w);
} rows[] = {
#define X(name, kind, worker, words, ...) { #name, kind, worker, words, case_##name },
	EXPLAIN_ROWS(X)
#undef X
};

#endif
