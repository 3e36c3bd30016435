// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See explain_looks.h. */
#include "cmd/explain_looks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lb_policies.h"
#include "service/latency.h"

/* A worker over all looks. */
struct sums {
	uint32_t looks, up, draining, down; /* in how many it was so */
	double live, queued;
	uint32_t live_least, queued_least;
	uint64_t pace_us, pace_most_us;
};

struct explain_looks {
	struct view first, last;
	bool more; /* last is another than the first */
	uint32_t looks;
	double seconds;
	struct sums sums[LB_MAX_WORKERS];
	uint32_t left_out, takers, unsteered; /* the least of all; in how many */
	struct explain_facts facts;
	struct explain_worker workers[LB_MAX_WORKERS];
	char address[ADDR_STRLEN];
};

/* --- looks --- */

static uint32_t count_takers(const struct view *view)
{
	uint32_t takers = 0;

	for (uint32_t i = 0; i < view->unregistered && i < VIEW_STRANGERS; i++)
		takers += view->strangers[i].takes;
	return takers;
}

static bool is_unsteered(const struct view *view)
{
	for (uint32_t i = 0; i < view->nr_listeners && !view->sockets_error; i++) {
		if (!view->listeners[i].steering)
			return true;
	}
	return false;
}

static void keep_least(uint32_t *least, uint32_t value, bool first)
{
	if (first || value < *least)
		*least = value;
}

static void add_worker(struct sums *sums, const struct view_worker *w)
{
	bool first = !sums->looks++;

	sums->up += !strcmp(w->state, "up") || !strcmp(w->state, "stalled");
	sums->draining += !strcmp(w->state, "draining");
	sums->down += !strcmp(w->state, "down");
	sums->live += w->live;
	sums->queued += w->queued;
	keep_least(&sums->live_least, w->live + w->half_open, first);
	keep_least(&sums->queued_least, w->queued, first);
	if (w->pace_us && (!sums->pace_us || w->pace_us < sums->pace_us))
		sums->pace_us = w->pace_us;
	if (w->pace_us > sums->pace_most_us)
		sums->pace_most_us = w->pace_us;
}

static void add_look(struct explain_looks *looks, const struct view *view)
{
	uint32_t takers = count_takers(view);
	bool first = !looks->looks++;

	keep_least(&looks->takers, takers, first);
	keep_least(&looks->left_out, view->unregistered - takers, first);
	looks->unsteered += is_unsteered(view);
	for (uint32_t i = 0; i < view->nr_workers && i < LB_MAX_WORKERS; i++)
		add_worker(&looks->sums[i], &view->workers[i]);
}

struct explain_looks *explain_looks_new(struct view *first)
{
	struct explain_looks *looks = calloc(1, sizeof(*looks));

	if (!looks) {
		view_free(first);
		return NULL;
	}
	looks->first = *first;
	*first = (struct view){ 0 };
	add_look(looks, &looks->first);
	return looks;
}

void explain_looks_free(struct explain_looks *looks)
{
	if (!looks)
		return;
	view_free(&looks->first);
	view_free(&looks->last);
	free(looks);
}

void explain_looks_add(struct explain_looks *looks, struct view *view, double seconds)
{
	view_free(&looks->last);
	looks->last = *view;
	*view = (struct view){ 0 };
	looks->more = true;
	looks->seconds = seconds;
	add_look(looks, &looks->last);
}

const struct view *explain_looks_last(const struct explain_looks *looks)
{
	return looks->more ? &looks->last : &looks->first;
}

/* --- facts --- */

/* What began anew meanwhile, as a measurement that was switched on, has grown by all it has. */
static uint64_t grown(uint64_t now, uint64_t before)
{
	return now >= before ? now - before : now;
}

static struct explain_time time_of(const struct lb_histogram *now,
				   const struct lb_histogram *before)
{
	struct lb_histogram histogram = *now;
	struct explain_time time;

	for (size_t i = 0; before && i < LB_LATENCY_BUCKETS; i++) {
		struct lb_bucket *bucket = &histogram.buckets[i];
		const struct lb_bucket *old = &before->buckets[i];

		if (bucket->count < old->count || bucket->sum_ns < old->sum_ns)
			continue;
		bucket->count -= old->count;
		bucket->sum_ns -= old->sum_ns;
	}
	time.count = latency_count(&histogram);
	time.mean_ns = time.count ? latency_sum_ns(&histogram) / (double)time.count : 0;
	time.half_ns = latency_quantile(&histogram, 0.5);
	time.ninth_ns = latency_quantile(&histogram, 0.9);
	return time;
}

static double cpu_of(const struct explain_looks *looks, const struct view_worker *now,
		     const struct view_worker *before)
{
	if (!before || looks->seconds <= 0 || !now->pid || now->pid != before->pid ||
	    !before->usage.uptime_ms || now->usage.cpu_ms < before->usage.cpu_ms)
		return -1;
	return (now->usage.cpu_ms - before->usage.cpu_ms) / 1e3 / looks->seconds;
}

static struct throttle throttle_of(const struct throttle *now, const struct throttle *before)
{
	struct throttle since = *now;

	if (strcmp(now->cgroup, before->cgroup))
		return (struct throttle){ 0 };
	since.periods = grown(now->periods, before->periods);
	since.throttled = grown(now->throttled, before->throttled);
	since.throttled_us = grown(now->throttled_us, before->throttled_us);
	return since;
}

static uint64_t or_none(uint64_t value, uint64_t less)
{
	return value > less ? value - less : 0;
}

/* `before` is NULL for one that was not there at the first look. */
static void fill_worker(struct explain_looks *looks, uint32_t worker, const struct view_worker *w,
			const struct view_worker *before)
{
	static const struct view_worker none;
	const struct sums *sums = &looks->sums[worker];
	const struct view_worker *was = before ? before : &none;
	struct explain_worker *to = &looks->workers[worker];
	bool always = sums->looks == looks->looks;

	*to = (struct explain_worker){
		.pid = w->pid,
		.up = always && sums->up == looks->looks,
		.draining = always && sums->draining == looks->looks,
		.down = always && sums->down == looks->looks,
		.stalled_ns = w->stalled_ns,
		.weight = w->weight,
		.limit = w->limit,
		.live = sums->looks ? sums->live / sums->looks : 0,
		.live_least = sums->live_least,
		.live_last = w->live,
		.queued = sums->looks ? sums->queued / sums->looks : 0,
		.queued_least = sums->queued_least,
		.queue_max = w->queue_max,
		.selected = grown(w->selected, was->selected),
		.opened = grown(w->opened, was->opened),
		.skipped = grown(w->skipped, was->skipped),
		.lost = grown(w->lost, was->lost),
		.restarts = w->restarts,
		.restarted = grown(w->restarts, was->restarts),
		.pace_us = sums->pace_us,
		.pace_most_us = sums->pace_most_us,
		.cpu = cpu_of(looks, w, before),
		.throttle = throttle_of(&w->throttle, &was->throttle),
	};
	if (looks->facts.counted) {
		to->stayed = or_none(w->live, to->opened);
		to->before = or_none(w->live, w->opened);
	}
}

static void fill_times(struct explain_looks *looks, const struct view *last, bool in_all)
{
	const struct lb_latency *now = last->latency,
				*before = in_all ? NULL : looks->first.latency;

	for (uint32_t i = 0; now && i < looks->facts.nr_workers; i++) {
		const struct lb_latency *was = before && i < looks->first.nr_workers ? &before[i] :
										       NULL;

		looks->workers[i].first_byte =
			time_of(&now[i].first_byte, was ? &was->first_byte : NULL);
		looks->workers[i].wait = time_of(&now[i].wait, was ? &was->wait : NULL);
	}
}

/* What came, since the service was made. */
static void fill_idle(struct explain_looks *looks, const struct view *last)
{
	looks->facts.idle = true;
	looks->facts.decisions = last->decisions;
	looks->facts.counters.all_stale = last->counters.all_stale;
	for (uint32_t i = 0; i < looks->facts.nr_workers; i++) {
		looks->workers[i].selected = last->workers[i].selected;
		looks->workers[i].opened = last->workers[i].opened;
	}
	fill_times(looks, last, true);
}

static bool is_idle(const struct explain_facts *facts)
{
	uint64_t came = facts->decisions + facts->counters.held;

	for (uint32_t i = 0; i < facts->nr_workers; i++)
		came += facts->workers[i].first_byte.count;
	return !came;
}

static void fill_service(struct explain_looks *looks, const struct view *last)
{
	struct explain_facts *facts = &looks->facts;

	view_address(&last->listeners[0], looks->address);
	*facts = (struct explain_facts){
		.name = last->name,
		.address = looks->address,
		.policy = last->policy,
		.gone = last->gone,
		.again = last->again,
		.datagrams = last->datagrams,
		.counted = last->counted && !last->datagrams,
		.blind = last->sockets_error,
		.shared = last->shared,
		.unsteered = looks->unsteered == looks->looks,
		.taken_off = grown(last->taken_off, looks->first.taken_off),
		.left_out = looks->left_out,
		.takers = looks->takers,
		.stranger = last->unregistered ? last->strangers[0].pid : 0,
		.limit = last->limit,
		.hold_ns = last->hold_ns,
		.obstacle = last->obstacle,
		.latency = last->latency,
		.seconds = looks->seconds,
		.decisions = grown(last->decisions, looks->first.decisions),
		.workers = looks->workers,
		.nr_workers = last->nr_workers < LB_MAX_WORKERS ? last->nr_workers : LB_MAX_WORKERS,
	};
#define X(field, help)                                                                             \
	facts->counters.field = grown(last->counters.field, looks->first.counters.field);
	LB_COUNTERS(X)
#undef X
}

struct explain_facts *explain_looks_facts(struct explain_looks *looks)
{
	const struct view *first = &looks->first, *last = explain_looks_last(looks);

	fill_service(looks, last);
	for (uint32_t i = 0; i < looks->facts.nr_workers; i++)
		fill_worker(looks, i, &last->workers[i],
			    i < first->nr_workers ? &first->workers[i] : NULL);
	fill_times(looks, last, false);
	if (is_idle(&looks->facts))
		fill_idle(looks, last);
	return &looks->facts;
}
