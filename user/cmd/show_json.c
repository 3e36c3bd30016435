// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See show_json.h. */
#include "cmd/show_json.h"

#include "base/text_json.h"
#include "cmd/latency_out.h"

static json_t *listeners_json(const struct view *view)
{
	json_t *rows = json_array();

	for (uint32_t i = 0; i < view->nr_listeners; i++)
		json_array_append_new(rows, text_pack("{s:s, s:s, s:b}", "proto",
						      view->listeners[i].proto, "addr",
						      view->listeners[i].address, "steering",
						      view->listeners[i].steering));
	return rows;
}

static json_t *workers_json(const struct view *view)
{
	json_t *rows = json_array();

	for (uint32_t i = 0; i < view->nr_workers; i++) {
		const struct view_worker *w = &view->workers[i];
		json_t *row = text_pack(
			"{s:i, s:i, s:s, s:I, s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I}",
			"worker", w->worker, "pid", w->pid, "state", w->state, "stalled_ms",
			(json_int_t)(w->stalled_ns / 1000000), "weight", w->weight, "live", w->live,
			"half_open", w->half_open, "queued", w->queued, "queue_max", w->queue_max,
			"load", (json_int_t)w->load, "opened", (json_int_t)w->opened, "lost",
			(json_int_t)w->lost, "restarts", (json_int_t)w->restarts);

		json_object_set_new(row, "unheard", json_integer(w->unheard));
		json_object_set_new(row, "limit", json_integer(w->limit));
		json_object_set_new(row, "pace_us", json_integer(w->pace_us));
		json_object_set_new(row, "uptime_ms", json_integer(w->usage.uptime_ms));
		json_object_set_new(row, "cpu_ms", json_integer(w->usage.cpu_ms));
		json_object_set_new(row, "memory_bytes", json_integer(w->usage.memory_bytes));
		json_object_set_new(row, "command", text_json(w->command));
		json_object_set_new(row, "process", text_json(w->process));
		if (view->latency)
			json_object_set_new(row, "latency", latency_json(&view->latency[i]));
#define X(field, help) json_object_set_new(row, #field, json_integer(w->field));
		LB_SLOT_COUNTERS(X)
#undef X
		json_array_append_new(rows, row);
	}
	return rows;
}

static json_t *counters_json(const struct view *view)
{
	json_t *counters = json_object();

#define X(field, help) json_object_set_new(counters, #field, json_integer(view->counters.field));
	LB_COUNTERS(X)
#undef X
	return counters;
}

static uint32_t named_strangers(const struct view *view)
{
	return view->unregistered < VIEW_STRANGERS ? view->unregistered : VIEW_STRANGERS;
}

static json_t *strangers_json(const struct view *view)
{
	json_t *rows = json_array();

	for (uint32_t i = 0; i < named_strangers(view); i++)
		json_array_append_new(rows,
				      text_pack("{s:i, s:s, s:b}", "pid", view->strangers[i].pid,
						"addr", view->strangers[i].address, "takes",
						view->strangers[i].takes));
	return rows;
}

static json_t *hold_json(const struct view *view)
{
	return view->hold_ns == LB_HOLD_AUTO ? text_json("auto") :
					       json_integer(view->hold_ns / 1000000);
}

json_t *show_json(const struct view *view)
{
	json_t *totals = text_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "decisions",
				   (json_int_t)view->decisions, "fallback",
				   (json_int_t)view->fallback, "migrated",
				   (json_int_t)view->migrated, "rescued", (json_int_t)view->rescued,
				   "retired", (json_int_t)view->retired, "taken_off",
				   (json_int_t)view->taken_off);

	return text_pack(
		"{s:i, s:s, s:s, s:i, s:o, s:b, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:i, s:o}",
		"schema", 1, "service", view->name, "policy", policy_name(view->policy), "limit",
		view->limit, "hold_ms", hold_json(view), "holding", view->holding, "hold_obstacle",
		view->obstacle, "latency_one_in", (json_int_t)view->latency_one_in, "listeners",
		listeners_json(view), "keeper", view_keeper_json(view), "workers",
		workers_json(view), "totals", totals, "counters", counters_json(view),
		"unregistered", view->unregistered, "strangers", strangers_json(view));
}

json_t *show_list_json(const struct view *view)
{
	json_t *listeners = json_array();
	char address[ADDR_STRLEN];

	for (uint32_t i = 0; i < view->nr_listeners; i++) {
		view_address(&view->listeners[i], address);
		json_array_append_new(listeners, text_json(address));
	}
	return text_pack("{s:s, s:s, s:i, s:I, s:I, s:o, s:o, s:I}", "service", view->name,
			 "policy", policy_name(view->policy), "workers", view->nr_workers,
			 "decisions", (json_int_t)view->decisions, "fallback",
			 (json_int_t)view->fallback, "listeners", listeners, "keeper",
			 view_keeper_json(view), "taken_off", (json_int_t)view->taken_off);
}

json_t *show_error_json(const char *name, const char *why)
{
	return text_pack("{s:s, s:s, s:i, s:s}", "service", name, "policy", "unknown", "workers", 0,
			 "error", why);
}
