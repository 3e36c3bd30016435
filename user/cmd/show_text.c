// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See show_text.h. Each column is a row of a table that says when it is there. */
#include "cmd/show_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "cmd/fold.h"
#include "cmd/gone.h"
#include "lb_abi.h"
#include "lb_policies.h"
#include "service/busy.h"
#include "service/latency.h"

#define INDENT 4
#define CELL_BYTES 512
#define PROCESS_CHARS 22 /* "puma: cluster worker 0", and what 80 columns have left */

/* --- cells --- */

static void put_time(char *out, uint64_t ms)
{
	uint64_t s = ms / 1000;

	if (s < 60)
		snprintf(out, CELL_BYTES, "%" PRIu64 ".%" PRIu64 "s", s, ms % 1000 / 100);
	else if (s < 3600)
		snprintf(out, CELL_BYTES, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, CELL_BYTES, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
	else
		snprintf(out, CELL_BYTES, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s / 3600 % 24);
}

static void put_bytes(char *out, uint64_t bytes)
{
	if (bytes < 1024ULL * 1024 * 1024)
		snprintf(out, CELL_BYTES, "%.1fM", bytes / 1024.0 / 1024.0);
	else
		snprintf(out, CELL_BYTES, "%.1fG", bytes / 1024.0 / 1024.0 / 1024.0);
}

static void put_number(char *out, uint64_t number)
{
	snprintf(out, CELL_BYTES, "%" PRIu64, number);
}

/* name(out, worker): writes the cell, of CELL_BYTES. */
#define CELL(name, ...)                                                                            \
	static void cell_##name(char *out, const struct view_worker *w)                            \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
	}

CELL(worker, put_number(out, w->worker))
CELL(pid, w->pid ? put_number(out, w->pid) : (void)strcpy(out, "-"))
CELL(state, strcpy(out, w->state))
CELL(weight, put_number(out, w->weight))
CELL(live, put_number(out, w->live))
CELL(half, put_number(out, w->half_open))
CELL(queue, snprintf(out, CELL_BYTES, "%u/%u", w->queued, w->queue_max))
CELL(selected, put_number(out, w->selected))
CELL(skipped, put_number(out, w->skipped))
CELL(migrated, snprintf(out, CELL_BYTES, "%" PRIu64 "/%" PRIu64, (uint64_t)w->migrated_in,
			(uint64_t)w->migrated_out))
CELL(waited, put_number(out, w->waited))
CELL(restarts, put_number(out, w->restarts))
CELL(load, put_number(out, w->load))
CELL(uptime, w->usage.uptime_ms ? put_time(out, w->usage.uptime_ms) : (void)strcpy(out, "-"))
CELL(cpu, w->usage.uptime_ms ? put_time(out, w->usage.cpu_ms) : (void)strcpy(out, "-"))
CELL(memory, w->usage.uptime_ms ? put_bytes(out, w->usage.memory_bytes) : (void)strcpy(out, "-"))
/* A long one is whole in --wide and in JSON. */
CELL(process, snprintf(out, CELL_BYTES, "%.*s", PROCESS_CHARS, w->process))
CELL(command, snprintf(out, CELL_BYTES, "%s", w->command))

/* Of what was measured, too: name(out, latency). */
#define LATENCY_CELL(name, ...)                                                                    \
	static void cell_##name(char *out, const struct lb_latency *latency)                       \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
	}

/* Half of all, and all but one in a hundred, are not above: in milliseconds. */
static void put_quantiles(char *out, const struct lb_histogram *histogram)
{
	if (!latency_count(histogram))
		strcpy(out, "-");
	else
		snprintf(out, CELL_BYTES, "%.2f/%.2f", latency_quantile(histogram, 0.5) / 1e6,
			 latency_quantile(histogram, 0.99) / 1e6);
}

static void put_srtt(char *out, const struct lb_latency *latency)
{
	if (!latency->closed)
		strcpy(out, "-");
	else
		snprintf(out, CELL_BYTES, "%.2f", latency->srtt_us / 1e3 / latency->closed);
}

static void put_busy(char *out, const struct lb_latency *latency)
{
	double percent = busy_percent(latency);

	if (percent < 0)
		strcpy(out, "-");
	else
		snprintf(out, CELL_BYTES, "%.0f%%", percent);
}

LATENCY_CELL(busy, put_busy(out, latency))
LATENCY_CELL(wait, put_quantiles(out, &latency->wait))
LATENCY_CELL(first_byte, put_quantiles(out, &latency->first_byte))
LATENCY_CELL(lifetime, put_quantiles(out, &latency->lifetime))
LATENCY_CELL(held, put_quantiles(out, &latency->held))
LATENCY_CELL(bytes_in, put_bytes(out, latency->bytes_in))
LATENCY_CELL(bytes_out, put_bytes(out, latency->bytes_out))
LATENCY_CELL(retransmits, put_number(out, latency->retransmits))
LATENCY_CELL(srtt, put_srtt(out, latency))

/* --- columns --- */

static bool never(const struct view *view)
{
	(void)view;
	return false;
}

static bool always(const struct view *view)
{
	(void)view;
	return true;
}

static bool if_datagrams(const struct view *view)
{
	return view->datagrams;
}

static bool if_connections(const struct view *view)
{
	return !view->datagrams;
}

static bool if_measured(const struct view *view)
{
	return view->latency;
}

static bool if_least_load(const struct view *view)
{
	return view->policy == LB_POLICY_LEAST_LOAD;
}

static bool if_named(const struct view *view)
{
	return view->named && !if_least_load(view);
}

static bool if_room_for_migrated(const struct view *view)
{
	return if_connections(view) && !if_named(view);
}

static bool if_room_for_restarts(const struct view *view)
{
	return !if_least_load(view) && !if_named(view);
}

/* A negative width is aligned left, 0 is as long as it gets. */
static const struct column {
	const char *title;
	int width;
	bool (*narrow)(const struct view *view); /* is it there in 80 columns? */
	bool (*wide)(const struct view *view);
	void (*cell)(char *out, const struct view_worker *w);
	void (*latency_cell)(char *out, const struct lb_latency *latency);
} columns[] = {
	{ "WORKER", -6, always, always, .cell = cell_worker },
	{ "PID", -7, always, always, .cell = cell_pid },
	{ "STATE", -8, always, always, .cell = cell_state },
	{ "WEIGHT", 6, always, always, .cell = cell_weight },
	{ "LIVE", 5, if_connections, always, .cell = cell_live },
	{ "HALF", 5, never, always, .cell = cell_half },
	{ "QUEUE", 9, if_connections, if_connections, .cell = cell_queue },
	{ "QUEUE BYTES", 15, if_datagrams, if_datagrams, .cell = cell_queue },
	{ "SELECTED", 9, always, always, .cell = cell_selected },
	{ "SKIPPED", 8, never, always, .cell = cell_skipped },
	{ "MIGRATED", 9, if_room_for_migrated, always, .cell = cell_migrated },
	{ "WAITED", 8, never, always, .cell = cell_waited },
	{ "RESTARTS", 8, if_room_for_restarts, always, .cell = cell_restarts },
	{ "LOAD", 8, if_least_load, always, .cell = cell_load },
	{ "PROCESS", 0, if_named, never, .cell = cell_process },
	{ "UPTIME", 8, never, always, .cell = cell_uptime },
	{ "CPU", 8, never, always, .cell = cell_cpu },
	{ "MEMORY", 8, never, always, .cell = cell_memory },
	{ "BUSY", 6, never, if_measured, .latency_cell = cell_busy },
	{ "WAIT MS", 15, never, if_measured, .latency_cell = cell_wait },
	{ "FIRST BYTE MS", 15, never, if_measured, .latency_cell = cell_first_byte },
	{ "LIFETIME MS", 17, never, if_measured, .latency_cell = cell_lifetime },
	{ "HELD MS", 15, never, if_measured, .latency_cell = cell_held },
	{ "RTT MS", 8, never, if_measured, .latency_cell = cell_srtt },
	{ "IN", 9, never, if_measured, .latency_cell = cell_bytes_in },
	{ "OUT", 9, never, if_measured, .latency_cell = cell_bytes_out },
	{ "RETRANS", 7, never, if_measured, .latency_cell = cell_retransmits },
	{ "COMMAND", 0, never, always, .cell = cell_command },
};

/* A line of the table; the titles where there is no worker. */
static void print_row(FILE *out, const struct view *view, const struct view_worker *w, bool wide)
{
	const char *space = "";
	char cell[CELL_BYTES];

	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
		const struct column *column = &columns[i];

		if (!(wide ? column->wide : column->narrow)(view))
			continue;
		if (w && column->cell)
			column->cell(cell, w);
		else if (w)
			column->latency_cell(cell, &view->latency[w - view->workers]);
		fprintf(out, "%s%*s", space, column->width, w ? cell : column->title);
		space = " ";
	}
	fputc('\n', out);
}

/* --- lines --- */

/* "tcp 0.0.0.0:80, [::]:80, udp 0.0.0.0:80": the protocol where it changes. */
static void put_head(FILE *line, const struct view *view)
{
	const char *proto = "";

	fprintf(line, "%s ", view->name);
	for (uint32_t i = 0; i < view->nr_listeners; i++) {
		const struct view_listener *listener = &view->listeners[i];

		fprintf(line, "%s %s%s%s%s", i ? "," : "",
			strcmp(proto, listener->proto) ? listener->proto : "",
			strcmp(proto, listener->proto) ? " " : "", listener->address,
			listener->steering || view->sockets_error ? "" : " (not steered)");
		proto = listener->proto;
	}
	fprintf(line, "   policy %s", policy_name(view->policy));
	if (view->limit)
		fprintf(line, "   limit %u", view->limit);
	if (view->latency_one_in > 1)
		fprintf(line, "   latency 1/%lu", (unsigned long)view->latency_one_in);
	else if (view->latency)
		fprintf(line, "   latency on");
	if (view->keeper)
		fprintf(line, "   keeper pid %d", view->keeper);
	if (view->gone)
		fprintf(line, "   keeper gone");
}

static void put_totals(FILE *line, const struct view *view)
{
	fprintf(line, "%" PRIu64 " decisions, %" PRIu64 " fallback, %" PRIu64 " migrated, ",
		view->decisions, view->fallback, view->migrated);
	if (view->counters.held)
		fprintf(line, "%" PRIu64 " held, ", (uint64_t)view->counters.held);
	if (view->rescued)
		fprintf(line, "%" PRIu64 " rescue%s, ", view->rescued, plural(view->rescued));
	fprintf(line, "%" PRIu64 " to a full queue; max/mean %.2f",
		(uint64_t)view->counters.overloaded, view_unevenness(view));
}

/* Of those that take datagrams, or of the others. */
static uint32_t count_strangers(const struct view *view, bool takes)
{
	uint32_t named = view->unregistered < VIEW_STRANGERS ? view->unregistered : VIEW_STRANGERS;
	uint32_t takers = 0;

	for (uint32_t i = 0; i < named; i++)
		takers += view->strangers[i].takes;
	return takes ? takers : view->unregistered - takers;
}

static void put_pids(FILE *line, const struct view *view, bool takes)
{
	const char *before = " ";

	for (uint32_t i = 0; i < view->unregistered && i < VIEW_STRANGERS; i++) {
		if (view->strangers[i].takes != takes)
			continue;
		fprintf(line, "%s%d", before, view->strangers[i].pid);
		before = ", ";
	}
	if (!takes && view->unregistered > VIEW_STRANGERS)
		fputs(" ...", line);
}

static void put_takers(FILE *line, const struct view *view)
{
	uint32_t n = count_strangers(view, true);

	fprintf(line, "%u socket%s there beside the workers' and take%s datagrams (pid", n,
		n == 1 ? " is" : "s are", n == 1 ? "s" : "");
	put_pids(line, view, true);
	fprintf(line, "): all have SO_REUSEADDR; end %s", n == 1 ? "it" : "them");
}

static void put_strangers(FILE *line, const struct view *view)
{
	bool one = count_strangers(view, false) == 1;

	fprintf(line, "%u socket%s there and get%s nothing (pid", count_strangers(view, false),
		one ? " listens" : "s listen", one ? "s" : "");
	put_pids(line, view, false);
	fprintf(line, "): lbctl attach again lets %s in", one ? "it" : "them");
}

static void put_taken_off(FILE *line, const struct view *view)
{
	fprintf(line,
		"its BPF program was taken off the sockets %" PRIu64 " time%s, and put back: who "
		"has the workers' user id can (lbctl events %s names the processes)",
		view->taken_off, plural(view->taken_off), view->name);
}

static void put_obstacle(FILE *line, const struct view *view)
{
	fprintf(line, "no connection waits for an idle worker, whatever hold_ms says: %s",
		view->obstacle);
}

static void put_blindness(FILE *line, const struct view *view)
{
	fprintf(line,
		"%sHALF, QUEUE and PID are not known (%s): run as root (lbctl doctor shows what "
		"is missing)",
		view->counted ? "" : "LIVE, ", strerror(-view->sockets_error));
}

static void put_gone(FILE *line, const struct view *view)
{
	fprintf(line, "its keeper is gone: lbctl starts no worker again, and new sockets get "
		      "nothing; ");
	if (*view->again)
		fprintf(line, "this takes it up again: %s", view->again);
	else
		fprintf(line, "the command that started it takes it up again, with --name %s",
			view->name);
}

static void print_line(FILE *out, const struct view *view, size_t width,
		       void (*put)(FILE *line, const struct view *view))
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *line = open_memstream(&text, &len);

	if (!line)
		return;
	put(line, view);
	fclose(line);
	fold_print(out, text, INDENT, width);
}

/* What is to say of a worker that is as no column has it. */
static void print_note(FILE *out, const struct view *view, const struct view_worker *w)
{
	bool limited = w->limit != view->limit;

	if (!w->stalled_ns && !limited)
		return;
	fprintf(out, "worker %u:", w->worker);
	if (w->stalled_ns)
		fprintf(out, " not %s for %.1f s", view->datagrams ? "reading" : "accepting",
			w->stalled_ns / 1e9);
	if (limited && w->limit)
		fprintf(out, "%s limit %u", w->stalled_ns ? "," : "", w->limit);
	else if (limited)
		fprintf(out, "%s no limit", w->stalled_ns ? "," : "");
	fputc('\n', out);
}

void show_text(FILE *out, const struct view *view, bool wide)
{
	size_t width = wide ? FOLD_NEVER : FOLD_COLUMNS;

	print_line(out, view, width, put_head);
	print_row(out, view, NULL, wide);
	for (uint32_t i = 0; i < view->nr_workers; i++)
		print_row(out, view, &view->workers[i], wide);
	print_line(out, view, width, put_totals);
	for (uint32_t i = 0; i < view->nr_workers; i++)
		print_note(out, view, &view->workers[i]);
	if (count_strangers(view, true))
		print_line(out, view, width, put_takers);
	if (count_strangers(view, false))
		print_line(out, view, width, put_strangers);
	if (view->taken_off)
		print_line(out, view, width, put_taken_off);
	if (*view->obstacle && view->hold_ns && view->hold_ns != LB_HOLD_AUTO)
		print_line(out, view, width, put_obstacle);
	if (view->sockets_error)
		print_line(out, view, width, put_blindness);
	if (view->gone)
		print_line(out, view, width, put_gone);
}
