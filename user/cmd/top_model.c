// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See top_model.h. */
#include "cmd/top_model.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/busy.h"
#include "service/latency.h"

static void history_add(struct top_history *history, double value)
{
	if (value < 0)
		return;
	if (history->count == TOP_HISTORY)
		memmove(history->at, history->at + 1, sizeof(history->at) - sizeof(*history->at));
	else
		history->count++;
	history->at[history->count - 1] = value;
}

static uint64_t since(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static double rate(uint64_t now, uint64_t before, double seconds)
{
	return since(now, before) / seconds;
}

static double sum(const struct top_history *history)
{
	double all = 0;

	for (unsigned int i = 0; i < history->count; i++)
		all += history->at[i];
	return all;
}

/* Of its process, if it is the same one. */
static double cpu(const struct view_worker *now, const struct view_worker *before, double seconds)
{
	if (!now->pid || now->pid != before->pid || !before->usage.uptime_ms ||
	    now->usage.cpu_ms < before->usage.cpu_ms)
		return TOP_UNKNOWN;
	return (now->usage.cpu_ms - before->usage.cpu_ms) / seconds / 10;
}

/* Where it has been switched off and on meanwhile it begins from zero. */
static void measure(struct top_worker *worker, const struct lb_latency *now,
		    const struct lb_latency *before)
{
	bool goes_on = latency_count(&now->first_byte) >= latency_count(&before->first_byte);
	struct lb_histogram answers = now->first_byte;

	for (size_t i = 0; goes_on && i < LB_LATENCY_BUCKETS; i++) {
		answers.buckets[i].count -= before->first_byte.buckets[i].count;
		answers.buckets[i].sum_ns -= before->first_byte.buckets[i].sum_ns;
	}
	worker->busy = busy_percent_since(now, before);
	worker->p50_ns = latency_quantile(&answers, 0.5);
	worker->p99_ns = latency_quantile(&answers, 0.99);
}

/* It has fewer decisions than before: then it is another one with this name. */
static bool goes_on(const struct view *now, const struct view *before)
{
	return !strcmp(now->name, before->name) && now->decisions >= before->decisions;
}

static void compare_workers(struct top_service *service, const struct top_service *before,
			    double seconds)
{
	for (uint32_t i = 0; i < service->view.nr_workers; i++) {
		const struct view_worker *now = &service->view.workers[i], *old;
		struct top_worker *worker = &service->workers[i];

		if (!before || i >= before->view.nr_workers)
			continue;
		old = &before->view.workers[i];
		*worker = before->workers[i];
		worker->rate = rate(now->selected, old->selected, seconds);
		worker->held_rate = rate(now->waited, old->waited, seconds);
		worker->cpu = cpu(now, old, seconds);
		worker->p50_ns = worker->p99_ns = 0;
		worker->busy = TOP_UNKNOWN;
		if (service->view.latency && before->view.latency)
			measure(worker, &service->view.latency[i], &before->view.latency[i]);
		history_add(&worker->history, worker->rate);
	}
}

static void compare(struct top_service *service, const struct top_service *before, double seconds)
{
	for (uint32_t i = 0; i < service->view.nr_workers; i++)
		service->workers[i] = (struct top_worker){ .rate = TOP_UNKNOWN,
							   .held_rate = TOP_UNKNOWN,
							   .cpu = TOP_UNKNOWN,
							   .busy = TOP_UNKNOWN };
	service->rate = TOP_UNKNOWN;
	if (before) {
		service->history = before->history;
		service->rate = rate(service->view.decisions, before->view.decisions, seconds);
		history_add(&service->history, service->rate);
		service->fallback = before->fallback;
		history_add(&service->fallback,
			    since(service->view.fallback, before->view.fallback));
	}
	compare_workers(service, before, seconds);
}

static const struct top_service *find(const struct top *top, const struct view *now)
{
	for (size_t i = 0; i < top->nr_services; i++) {
		if (goes_on(now, &top->services[i].view))
			return &top->services[i];
	}
	return NULL;
}

static void free_services(struct top_service *services, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(services[i].workers);
		view_free(&services[i].view);
	}
	free(services);
}

/* NULL without memory. */
static struct top_service *make_services(const struct top *top, struct views *look, uint64_t now_ns)
{
	double seconds = (now_ns - top->looked_ns) / 1e9;
	struct top_service *services = calloc(look->count + 1, sizeof(*services));

	for (size_t i = 0; services && i < look->count; i++) {
		struct top_service *service = &services[i];

		service->workers = calloc(look->at[i].nr_workers + 1, sizeof(*service->workers));
		if (!service->workers) {
			free_services(services, i);
			return NULL;
		}
		service->view = look->at[i];
		look->at[i] = (struct view){ 0 };
		compare(service, top->looked_ns && seconds > 0 ? find(top, &service->view) : NULL,
			seconds);
	}
	return services;
}

/* Where the one that was selected is now, else what has come in its place. */
static void select_again(struct top *top, const char *name)
{
	const struct top_service *service;

	for (size_t i = 0; i < top->nr_services; i++) {
		if (!strcmp(top->services[i].view.name, name))
			top->service = i;
	}
	if (top->service >= top->nr_services)
		top->service = top->nr_services ? top->nr_services - 1 : 0;
	service = top_selected(top);
	if (!service || strcmp(service->view.name, name))
		top->worker = 0;
	if (!service || !service->view.nr_workers)
		top->in_workers = false;
	else if (top->worker >= service->view.nr_workers)
		top->worker = service->view.nr_workers - 1;
}

void top_take(struct top *top, struct views *look, uint64_t now_ns)
{
	struct top_service *services = make_services(top, look, now_ns);
	const struct top_service *selected = top_selected(top);
	char name[LB_NAME_MAX + 1] = "";

	if (services) {
		if (selected)
			strcpy(name, selected->view.name);
		free_services(top->services, top->nr_services);
		free(top->unreadable);
		top->services = services;
		top->nr_services = look->count;
		top->unreadable = look->unreadable;
		top->nr_unreadable = look->nr_unreadable;
		look->unreadable = NULL;
		top->looked_ns = now_ns;
		select_again(top, name);
	}
	views_free(look);
}

void top_free(struct top *top)
{
	free_services(top->services, top->nr_services);
	free(top->unreadable);
	*top = (struct top){ 0 };
}

const struct top_service *top_selected(const struct top *top)
{
	return top->nr_services ? &top->services[top->service] : NULL;
}

void top_move(struct top *top, long lines)
{
	const struct top_service *service = top_selected(top);
	long count = 0, at;

	if (service)
		count = top->in_workers ? (long)service->view.nr_workers : (long)top->nr_services;
	at = (top->in_workers ? (long)top->worker : (long)top->service) + lines;
	if (at >= count)
		at = count - 1;
	if (at < 0)
		at = 0;
	if (top->in_workers) {
		top->worker = at;
	} else if ((size_t)at != top->service) {
		top->service = at;
		top->worker = 0;
	}
}

static double selected_of(uint32_t worker, void *workers)
{
	return sum(&((const struct top_worker *)workers)[worker].history);
}

double top_unevenness(const struct top_service *service)
{
	return service->history.count ?
		       view_unevenness_of(&service->view, selected_of, service->workers) :
		       TOP_UNKNOWN;
}

double top_fallback(const struct top_service *service)
{
	return service->fallback.count ? sum(&service->fallback) : TOP_UNKNOWN;
}

double top_highest(const struct top_service *service)
{
	double highest = 0;

	for (uint32_t i = 0; i < service->view.nr_workers; i++) {
		const struct top_history *history = &service->workers[i].history;

		for (unsigned int k = 0; k < history->count; k++) {
			if (history->at[k] > highest)
				highest = history->at[k];
		}
	}
	return highest;
}

size_t top_scroll(size_t first, size_t selected, size_t room, size_t count)
{
	if (count <= room || !room)
		return 0;
	if (selected < first)
		first = selected;
	if (selected >= first + room)
		first = selected - room + 1;
	return first > count - room ? count - room : first;
}
