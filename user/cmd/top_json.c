// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See top_json.h. */
#include "cmd/top_json.h"

#include <stdio.h>

#include "base/parse.h"
#include "base/text_json.h"
#include "cmd/show_json.h"

static json_t *figure(double value)
{
	return value < 0 ? json_null() : json_real(value);
}

static json_t *time_ms(uint64_t ns)
{
	return ns ? json_real(ns / 1e6) : json_null();
}

static json_t *worker_json(const struct top_service *service, uint32_t i)
{
	const struct view_worker *w = &service->view.workers[i];
	const struct top_worker *worker = &service->workers[i];

	return text_pack("{s:i, s:i, s:s, s:i, s:i, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}",
			 "worker", i, "pid", w->pid, "state", w->state, "live", w->live, "queued",
			 w->queued, "restarts", (json_int_t)w->restarts, "memory_bytes",
			 (json_int_t)w->usage.memory_bytes, "per_second", figure(worker->rate),
			 "held_per_second", figure(worker->held_rate), "cpu_percent",
			 figure(worker->cpu), "busy_percent", figure(worker->busy),
			 "first_byte_p50_ms", time_ms(worker->p50_ns), "first_byte_p99_ms",
			 time_ms(worker->p99_ns));
}

static json_t *service_json(const struct top_service *service)
{
	json_t *workers = json_array();

	for (uint32_t i = 0; i < service->view.nr_workers; i++)
		json_array_append_new(workers, worker_json(service, i));
	return text_pack("{s:s, s:s, s:o, s:o, s:o, s:I, s:o, s:I, s:o}", "service",
			 service->view.name, "policy", policy_name(service->view.policy),
			 "per_second", figure(service->rate), "max_mean",
			 figure(view_unevenness(&service->view)), "recent_max_mean",
			 figure(top_unevenness(service)), "fallback",
			 (json_int_t)service->view.fallback, "recent_fallback",
			 figure(top_fallback(service)), "decisions",
			 (json_int_t)service->view.decisions, "workers", workers);
}

void top_json_print(const struct top *top)
{
	json_t *services = json_array(), *look;

	for (size_t i = 0; i < top->nr_services; i++)
		json_array_append_new(services, service_json(&top->services[i]));
	for (size_t i = 0; i < top->nr_unreadable; i++)
		json_array_append_new(services, show_error_json(top->unreadable[i].name,
								top->unreadable[i].trouble.text));
	look = text_pack("{s:i, s:o}", "schema", 1, "services", services);
	json_dumpf(look, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(look);
}
