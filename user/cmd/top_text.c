// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See top_text.h. Each column is a row of a table, with the room that it takes and its rank. */
#include "cmd/top_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "lb_policies.h"

#define CELL_BYTES (TOP_WIDEST * TEXT_UTF8_MOST + 1)
#define MOST_COLUMNS 24
#define MOST_RANK 5

struct cell {
	char text[CELL_BYTES];
	const struct top_style *style;
	const struct top_service *service;
	const struct view_worker *w; /* of a worker's line; the next, too */
	const struct top_worker *worker;
	size_t width;
};

struct column {
	const char *title;
	size_t width; /* at least */
	size_t most;  /* where there is room left; 0 = the same */
	int rank;     /* those with a higher one go first */
	bool left;    /* aligned */
	bool picture;
	void (*put)(struct cell *cell);
	bool (*there)(const struct view *view); /* NULL = always */
};

/* --- figures --- */

static void put_number(struct cell *cell, double number)
{
	if (number < 0)
		strcpy(cell->text, "-");
	else if (number < 1e5)
		snprintf(cell->text, CELL_BYTES, "%.0f", number);
	else if (number < 1e8)
		snprintf(cell->text, CELL_BYTES, "%.0fk", number / 1e3);
	else
		snprintf(cell->text, CELL_BYTES, "%.0fM", number / 1e6);
}

/* A few per second are told apart. */
static void put_rate(struct cell *cell, double rate)
{
	if (rate > 0 && rate < 9.95)
		snprintf(cell->text, CELL_BYTES, "%.1f", rate);
	else
		put_number(cell, rate);
}

static void put_ratio(struct cell *cell, double ratio)
{
	if (ratio <= 0)
		strcpy(cell->text, "-");
	else
		snprintf(cell->text, CELL_BYTES, "%.2f", ratio);
}

static void put_ms(struct cell *cell, uint64_t ns)
{
	double ms = ns / 1e6;

	if (!ns)
		strcpy(cell->text, "-");
	else
		snprintf(cell->text, CELL_BYTES, "%.*f", ms < 10 ? 2 : ms < 100 ? 1 : 0, ms);
}

static void put_bytes(struct cell *cell, uint64_t bytes)
{
	double mib = bytes / 1024.0 / 1024.0;

	if (!bytes)
		strcpy(cell->text, "-");
	else if (mib < 1024)
		snprintf(cell->text, CELL_BYTES, "%.*fM", mib < 100 ? 1 : 0, mib);
	else
		snprintf(cell->text, CELL_BYTES, "%.1fG", mib / 1024);
}

static void put_uptime(struct cell *cell, uint64_t ms)
{
	uint64_t s = ms / 1000;

	if (!ms)
		strcpy(cell->text, "-");
	else if (s < 3600)
		snprintf(cell->text, CELL_BYTES, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(cell->text, CELL_BYTES, "%" PRIu64 "h%02" PRIu64 "m", s / 3600,
			 s / 60 % 60);
	else
		snprintf(cell->text, CELL_BYTES, "%" PRIu64 "d%02" PRIu64 "h", s / 86400,
			 s / 3600 % 24);
}

/* --- pictures --- */

/* How full: nothing, and eight steps; in ASCII as many. */
static const char *const blocks[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
static const char *const dots[] = { " ", ".", ".", ":", "-", "=", "+", "*", "#" };

static void add(struct cell *cell, const char *piece)
{
	strncat(cell->text, piece, CELL_BYTES - 1 - strlen(cell->text));
}

/* What is more than nothing is seen. */
static size_t steps(double part, size_t most)
{
	size_t n = part * most + 0.5;

	if (part > 0 && !n)
		n = 1;
	return n > most ? most : n;
}

/* The busiest worker's fills it. */
static void put_bar(struct cell *cell)
{
	double highest = 0;
	size_t full;

	for (uint32_t i = 0; i < cell->service->view.nr_workers; i++) {
		if (cell->service->workers[i].rate > highest)
			highest = cell->service->workers[i].rate;
	}
	full = highest > 0 ? steps(cell->worker->rate / highest, cell->width) : 0;
	for (size_t i = 0; i < cell->width; i++)
		add(cell, i >= full ? " " : cell->style->utf8 ? "█" : "#");
}

/* The last looks that there is room for, on the right. */
static void put_history(struct cell *cell, const struct top_history *history, double highest)
{
	size_t shown = history->count < cell->width ? history->count : cell->width;

	for (size_t i = shown; i < cell->width; i++)
		add(cell, " ");
	for (size_t i = history->count - shown; i < history->count; i++) {
		size_t step = highest > 0 ? steps(history->at[i] / highest, 8) : 0;

		add(cell, (cell->style->utf8 ? blocks : dots)[step]);
	}
}

static void put_minute(struct cell *cell)
{
	put_history(cell, &cell->worker->history, top_highest(cell->service));
}

static void put_service_minute(struct cell *cell)
{
	const struct top_history *history = &cell->service->history;
	double highest = 0;

	for (unsigned int i = 0; i < history->count; i++) {
		if (history->at[i] > highest)
			highest = history->at[i];
	}
	put_history(cell, history, highest);
}

/* --- columns --- */

#define CELL(name, ...)                                                                            \
	static void cell_##name(struct cell *cell)                                                 \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
	}

static uint64_t live(const struct view *view)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < view->nr_workers; i++)
		sum += view->workers[i].live;
	return sum;
}

CELL(name, text_format(cell->text, CELL_BYTES, "%s", cell->service->view.name))
CELL(policy, strcpy(cell->text, policy_name(cell->service->view.policy)))
CELL(workers, put_number(cell, cell->service->view.nr_workers))
CELL(service_rate, put_rate(cell, cell->service->rate))
CELL(service_live, put_number(cell, live(&cell->service->view)))
CELL(unevenness, put_ratio(cell, top_unevenness(cell->service)))
CELL(fallback, put_number(cell, top_fallback(cell->service)))
CELL(decisions, put_number(cell, cell->service->view.decisions))
CELL(migrated, put_number(cell, cell->service->view.migrated))

static const struct column service_columns[] = {
	{ "SERVICE", 14, 32, 0, .left = true, .put = cell_name },
	{ "POLICY", 13, 0, 1, .left = true, .put = cell_policy },
	{ "WORKERS", 7, 0, 2, .put = cell_workers },
	{ "CONN/S", 7, 0, 0, .put = cell_service_rate },
	{ "LIVE", 6, 0, 0, .put = cell_service_live },
	{ "MAX/MEAN", 8, 0, 1, .put = cell_unevenness },
	{ "FALLBACK", 8, 0, 2, .put = cell_fallback },
	{ "DECISIONS", 10, 0, 5, .put = cell_decisions },
	{ "MIGRATED", 8, 0, 5, .put = cell_migrated },
	{ "LAST MINUTE", 8, TOP_HISTORY, 3, .picture = true, .put = put_service_minute },
};

CELL(worker, put_number(cell, cell->w->worker))
CELL(state, strcpy(cell->text, cell->w->state))
CELL(rate, put_rate(cell, cell->worker->rate))
CELL(live, put_number(cell, cell->w->live))
CELL(queue, put_number(cell, cell->w->queued))
CELL(held, put_rate(cell, cell->worker->held_rate))
CELL(cpu, put_number(cell, cell->worker->cpu))
CELL(busy, put_number(cell, cell->worker->busy))
CELL(memory, put_bytes(cell, cell->w->usage.memory_bytes))
CELL(p50, put_ms(cell, cell->worker->p50_ns))
CELL(p99, put_ms(cell, cell->worker->p99_ns))
CELL(restarts, put_number(cell, cell->w->restarts))
CELL(weight, put_number(cell, cell->w->weight))
CELL(pid, put_number(cell, cell->w->pid ? cell->w->pid : -1))
CELL(selected, put_number(cell, cell->w->selected))
CELL(uptime, put_uptime(cell, cell->w->usage.uptime_ms))

/* Without the program's folder: many a path is wider than the column. */
static void cell_command(struct cell *cell)
{
	const char *command = cell->w->command, *slash;

	slash = memrchr(command, '/', strcspn(command, " "));
	text_format(cell->text, CELL_BYTES, "%s", slash ? slash + 1 : command);
}

static bool if_measured(const struct view *view)
{
	return view->latency;
}

static bool if_connections(const struct view *view)
{
	return !view->datagrams;
}

static const struct column worker_columns[] = {
	{ "WORKER", 6, 0, 0, .left = true, .put = cell_worker },
	{ "STATE", 8, 0, 0, .left = true, .put = cell_state },
	{ "CONN/S", 6, 0, 0, .put = cell_rate },
	{ "LIVE", 5, 0, 0, .put = cell_live, .there = if_connections },
	{ "QUEUE", 5, 0, 1, .put = cell_queue },
	{ "HELD/S", 6, 0, 2, .put = cell_held, .there = if_connections },
	{ "CPU%", 4, 0, 1, .put = cell_cpu },
	{ "BUSY%", 5, 0, 1, .put = cell_busy, .there = if_measured },
	{ "MEMORY", 6, 0, 2, .put = cell_memory },
	{ "P50MS", 5, 0, 1, .put = cell_p50, .there = if_measured },
	{ "P99MS", 5, 0, 1, .put = cell_p99, .there = if_measured },
	{ "RESTARTS", 8, 0, 3, .put = cell_restarts },
	{ "WEIGHT", 6, 0, 4, .put = cell_weight },
	{ "PID", 7, 0, 4, .put = cell_pid },
	{ "SELECTED", 8, 0, 5, .put = cell_selected },
	{ "UPTIME", 7, 0, 5, .put = cell_uptime },
	{ "SHARE", 5, 12, 0, .picture = true, .put = put_bar },
	{ "MINUTE", 7, TOP_HISTORY, 2, .picture = true, .put = put_minute },
	{ "COMMAND", 36, TOP_WIDEST, 5, .left = true, .put = cell_command },
};

/* --- lines --- */

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Sets the width of each column, 0 = there is no room for it. */
static void choose(const struct column *columns, size_t n, const struct top_style *style,
		   const struct view *view, size_t *widths)
{
	size_t left = smaller(style->width, TOP_WIDEST), more;

	memset(widths, 0, n * sizeof(*widths));
	for (int rank = 0; rank <= MOST_RANK; rank++) {
		for (size_t i = 0; i < n; i++) {
			const struct column *column = &columns[i];

			if (column->rank != rank || left < column->width + 1 ||
			    (column->picture && !style->pictures) ||
			    (column->there && !column->there(view)))
				continue;
			widths[i] = column->width;
			left -= column->width + 1;
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (!widths[i] || !columns[i].most)
			continue;
		more = smaller(left, columns[i].most - widths[i]);
		widths[i] += more;
		left -= more;
	}
}

static void add_cell(char out[TOP_LINE_BYTES], const struct column *column, struct cell *cell)
{
	size_t at = strlen(out), pad = 0;

	if (!column->picture || !cell->service) {
		text_cut(cell->text, cell->width);
		pad = cell->width - text_columns(cell->text);
	}
	snprintf(out + at, TOP_LINE_BYTES - at, "%s%*s%s%*s", at ? " " : "",
		 column->left ? 0 : (int)pad, "", cell->text, column->left ? (int)pad : 0, "");
}

static void print_line(const struct column *columns, size_t n, const struct top_style *style,
		       const struct top_service *service, uint32_t worker, bool titles, char *out)
{
	size_t widths[MOST_COLUMNS], end;
	struct cell cell = { .style = style };

	choose(columns, n, style, service ? &service->view : NULL, widths);
	*out = '\0';
	for (size_t i = 0; i < n; i++) {
		if (!widths[i])
			continue;
		cell.width = widths[i];
		*cell.text = '\0';
		if (titles) {
			strcpy(cell.text, columns[i].title);
		} else {
			cell.service = service;
			if (worker != TOP_TITLES) {
				cell.w = &service->view.workers[worker];
				cell.worker = &service->workers[worker];
			}
			columns[i].put(&cell);
		}
		add_cell(out, &columns[i], &cell);
	}
	for (end = strlen(out); end && out[end - 1] == ' ';)
		out[--end] = '\0';
}

#define COLUMNS_OF(table) table, sizeof(table) / sizeof((table)[0])

void top_service_line(const struct top_style *style, const struct top_service *service,
		      char out[TOP_LINE_BYTES])
{
	print_line(COLUMNS_OF(service_columns), style, service, TOP_TITLES, !service, out);
}

void top_worker_line(const struct top_style *style, const struct top_service *service,
		     uint32_t worker, char out[TOP_LINE_BYTES])
{
	print_line(COLUMNS_OF(worker_columns), style, service, worker, worker == TOP_TITLES, out);
}

void top_summary(const struct top *top, char out[TOP_LINE_BYTES])
{
	struct cell cell = { 0 };
	double all = TOP_UNKNOWN;
	size_t workers = 0;

	for (size_t i = 0; i < top->nr_services; i++) {
		workers += top->services[i].view.nr_workers;
		if (top->services[i].rate >= 0)
			all = (all < 0 ? 0 : all) + top->services[i].rate;
	}
	put_rate(&cell, all);
	snprintf(out, TOP_LINE_BYTES, "%zu service%s, %zu worker%s, %s decisions/s",
		 top->nr_services, top->nr_services == 1 ? "" : "s", workers,
		 workers == 1 ? "" : "s", cell.text);
}

void top_service_head(const struct top_service *service, char out[TOP_LINE_BYTES])
{
	const struct view *view = &service->view;
	char address[ADDR_STRLEN];
	size_t len = snprintf(out, TOP_LINE_BYTES, "%s ", view->name);

	for (uint32_t i = 0; i < view->nr_listeners && len < TOP_LINE_BYTES / 2; i++) {
		view_address(&view->listeners[i], address);
		len += snprintf(
			out + len, TOP_LINE_BYTES - len, " %s%s", address,
			view->listeners[i].steering || view->sockets_error ? "" : " (not steered)");
	}
	if (view->keeper)
		len += snprintf(out + len, TOP_LINE_BYTES - len, "  keeper pid %d", view->keeper);
	if (view->gone)
		len += snprintf(out + len, TOP_LINE_BYTES - len, "  KEEPER GONE");
	if (view->unregistered)
		len += snprintf(out + len, TOP_LINE_BYTES - len, "  %u socket%s get%s nothing",
				view->unregistered, plural(view->unregistered),
				view->unregistered == 1 ? "s" : "");
	if (view->sockets_error)
		snprintf(out + len, TOP_LINE_BYTES - len, "  QUEUE is not known: %s",
			 strerror(-view->sockets_error));
}

enum top_look top_worker_look(const struct top_service *service, uint32_t worker)
{
	const char *state = service->view.workers[worker].state;

	if (!strcmp(state, "up"))
		return TOP_PLAIN;
	return strcmp(state, "draining") ? TOP_BAD : TOP_CAREFUL;
}
