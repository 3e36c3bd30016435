// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl show: one service, worker by worker. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/view.h"

static json_t *listeners_json(const struct view *view)
{
	json_t *rows = json_array();

	for (uint32_t i = 0; i < view->nr_listeners; i++)
		json_array_append_new(rows, json_pack("{s:s, s:s, s:b}", "proto",
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
		json_t *row = json_pack(
			"{s:i, s:i, s:s, s:I, s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I}",
			"worker", w->worker, "pid", w->pid, "state", w->state, "stalled_ms",
			(json_int_t)(w->stalled_ns / 1000000), "weight", w->weight, "live", w->live,
			"half_open", w->half_open, "queued", w->queued, "queue_max", w->queue_max,
			"load", (json_int_t)w->load, "opened", (json_int_t)w->opened, "lost",
			(json_int_t)w->lost, "restarts", (json_int_t)w->restarts);

		json_object_set_new(row, "limit", json_integer(w->limit));
		json_object_set_new(row, "pace_us", json_integer(w->pace_us));
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

static json_t *keeper_json(const struct view *view)
{
	return json_pack("{s:i, s:b}", "pid", view->keeper, "alive", view->keeper != 0);
}

static uint32_t named_strangers(const struct view *view)
{
	return view->unregistered < VIEW_STRANGERS ? view->unregistered : VIEW_STRANGERS;
}

static json_t *strangers_json(const struct view *view)
{
	json_t *rows = json_array();

	for (uint32_t i = 0; i < named_strangers(view); i++)
		json_array_append_new(rows, json_pack("{s:i, s:s}", "pid", view->strangers[i].pid,
						      "addr", view->strangers[i].address));
	return rows;
}

static json_t *view_json(const struct view *view)
{
	json_t *totals = json_pack("{s:I, s:I, s:I, s:I, s:I}", "decisions",
				   (json_int_t)view->decisions, "fallback",
				   (json_int_t)view->fallback, "migrated",
				   (json_int_t)view->migrated, "rescued", (json_int_t)view->rescued,
				   "retired", (json_int_t)view->retired);

	return json_pack("{s:i, s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:i, s:o}", "schema", 1,
			 "service", view->name, "policy", policy_name(view->policy), "limit",
			 view->limit, "listeners", listeners_json(view), "keeper",
			 keeper_json(view), "workers", workers_json(view), "totals", totals,
			 "counters", counters_json(view), "unregistered", view->unregistered,
			 "strangers", strangers_json(view));
}

static int queue_width(const struct view *view)
{
	return view->datagrams ? 15 : 9;
}

/* "tcp 0.0.0.0:80, [::]:80, udp 0.0.0.0:80": the protocol where it changes. */
static void print_head(const struct view *view)
{
	const char *proto = "";

	printf("%s ", view->name);
	for (uint32_t i = 0; i < view->nr_listeners; i++) {
		const struct view_listener *listener = &view->listeners[i];

		printf("%s %s%s%s%s", i ? "," : "",
		       strcmp(proto, listener->proto) ? listener->proto : "",
		       strcmp(proto, listener->proto) ? " " : "", listener->address,
		       listener->steering || view->sockets_error ? "" : " (not steered)");
		proto = listener->proto;
	}
	printf("   policy %s", policy_name(view->policy));
	if (view->limit)
		printf("   limit %u", view->limit);
	if (view->keeper)
		printf("   keeper pid %d", view->keeper);
	putchar('\n');
}

/* What else is to say of a worker, at the line's end. */
static void note_of(const struct view *view, const struct view_worker *w, char note[96])
{
	size_t n = 0;

	note[0] = '\0';
	if (w->stalled_ns)
		n = snprintf(note, 96, "   not %s for %.1f s",
			     view->datagrams ? "reading" : "accepting", w->stalled_ns / 1e9);
	if (w->limit != view->limit && w->limit)
		snprintf(note + n, 96 - n, "   limit %u", w->limit);
	else if (w->limit != view->limit)
		snprintf(note + n, 96 - n, "   no limit");
}

static void print_worker(const struct view *view, const struct view_worker *w)
{
	char pid[16] = "-", queue[32], migrated[48], note[96];

	if (w->pid)
		snprintf(pid, sizeof(pid), "%d", w->pid);
	snprintf(queue, sizeof(queue), "%u/%u", w->queued, w->queue_max);
	snprintf(migrated, sizeof(migrated), "%lu/%lu", (unsigned long)w->migrated_in,
		 (unsigned long)w->migrated_out);
	note_of(view, w, note);
	printf("%-6u  %-8s %-9s %6u %5u %5u %*s %9lu %8lu  %-15s %8lu %lu%s\n", w->worker, pid,
	       w->state, w->weight, w->live, w->half_open, queue_width(view), queue,
	       (unsigned long)w->selected, (unsigned long)w->skipped, migrated,
	       (unsigned long)w->restarts, (unsigned long)w->load, note);
}

static void print_strangers(const struct view *view)
{
	bool one = view->unregistered == 1;

	printf("%u socket%s there and get%s nothing (pid", view->unregistered,
	       one ? " listens" : "s listen", one ? "s" : "");
	for (uint32_t i = 0; i < named_strangers(view); i++)
		printf("%s%d", i ? ", " : " ", view->strangers[i].pid);
	printf("%s): lbctl attach again lets %s in\n",
	       view->unregistered > VIEW_STRANGERS ? " ..." : "", one ? "it" : "them");
}

static void print_view(const struct view *view)
{
	print_head(view);
	printf("%-6s  %-8s %-9s %6s %5s %5s %*s %9s %8s  %-15s %8s %s\n", "WORKER", "PID", "STATE",
	       "WEIGHT", "LIVE", "HALF", queue_width(view),
	       view->datagrams ? "QUEUE BYTES" : "QUEUE", "SELECTED", "SKIPPED", "MIGRATED IN/OUT",
	       "RESTARTS", "LOAD");
	for (uint32_t i = 0; i < view->nr_workers; i++)
		print_worker(view, &view->workers[i]);
	printf("%lu decisions, %lu fallback, %lu migrated, ", (unsigned long)view->decisions,
	       (unsigned long)view->fallback, (unsigned long)view->migrated);
	if (view->rescued)
		printf("%lu rescue%s, ", (unsigned long)view->rescued,
		       view->rescued == 1 ? "" : "s");
	printf("%lu to a full queue; max/mean %.2f\n", (unsigned long)view->counters.overloaded,
	       view_unevenness(view));
	if (view->unregistered)
		print_strangers(view);
	if (view->sockets_error)
		printf("%sHALF, QUEUE and PID are not known (%s): run as root\n",
		       view->counted ? "" : "LIVE, ", strerror(-view->sockets_error));
}

static int run(struct cmd *cmd)
{
	struct state state;
	struct view view;
	int status, err;

	status = cmd_open_service(cmd, 0, STATE_READ, &state);
	if (status)
		return status;
	err = view_load(&state, &view);
	state_close(&state);
	if (err)
		return cmd_fail(cmd, EXIT_FAILED, "can't read its maps: %s", strerror(-err));
	if (cmd->json)
		status = cmd_print_json(view_json(&view));
	else
		print_view(&view);
	view_free(&view);
	return status;
}

const struct command cmd_show = {
	.name = "show",
	.args = "[NAME]",
	.summary = "one service, worker by worker (also: status)",
	.max_args = 1,
	.kind = NOUN,
	.run = run,
};
