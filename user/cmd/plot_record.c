// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See plot_record.h. */
#include "cmd/plot_record.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/text.h"
#include "cmd/plot.h"
#include "lb_policies.h"
#include "service/latency.h"

#define MOST_MARKS 256

struct look {
	double time;
	uint32_t nr_workers;
	uint32_t policy;
	double half_ms, most_ms; /* since the look before; NAN = not measured, or nothing came */
	struct look_worker {
		uint64_t came;
		uint32_t live, queued;
	} workers[];
};

struct plot_record {
	char name[LB_NAME_MAX + 1];
	bool datagrams, latency;
	struct look **looks; /* the oldest first */
	size_t nr_looks, most;
	uint32_t nr_workers;		/* the most of all */
	struct lb_histogram first_byte; /* of all workers, at the last look */
	struct plot_mark marks[MOST_MARKS];
	size_t nr_marks;
};

/* --- looks --- */

struct plot_record *plot_record_new(size_t most)
{
	struct plot_record *record = calloc(1, sizeof(*record));

	if (!record)
		return NULL;
	record->most = most;
	record->looks = calloc(most, sizeof(struct look *));
	if (record->looks)
		return record;
	free(record);
	return NULL;
}

void plot_record_free(struct plot_record *record)
{
	for (size_t i = 0; record && i < record->nr_looks; i++)
		free(record->looks[i]);
	if (record)
		free(record->looks);
	free(record);
}

static void add_histogram(struct lb_histogram *sum, const struct lb_histogram *histogram)
{
	for (size_t i = 0; i < LB_LATENCY_BUCKETS; i++) {
		sum->buckets[i].count += histogram->buckets[i].count;
		sum->buckets[i].sum_ns += histogram->buckets[i].sum_ns;
	}
}

/* What has come since the look before; a measurement that began anew says nothing of that. */
static bool take_off(struct lb_histogram *now, const struct lb_histogram *before)
{
	for (size_t i = 0; i < LB_LATENCY_BUCKETS; i++) {
		struct lb_bucket *bucket = &now->buckets[i];

		if (bucket->count < before->buckets[i].count ||
		    bucket->sum_ns < before->buckets[i].sum_ns)
			return false;
		bucket->count -= before->buckets[i].count;
		bucket->sum_ns -= before->buckets[i].sum_ns;
	}
	return latency_count(now);
}

static void measure(struct plot_record *record, const struct view *view, struct look *look)
{
	struct lb_histogram all = { 0 }, grown;

	look->half_ms = look->most_ms = NAN;
	for (uint32_t i = 0; view->latency && i < view->nr_workers; i++)
		add_histogram(&all, &view->latency[i].first_byte);
	grown = all;
	if (record->nr_looks && take_off(&grown, &record->first_byte)) {
		look->half_ms = latency_quantile(&grown, 0.5) / 1e6;
		look->most_ms = latency_quantile(&grown, 0.99) / 1e6;
	}
	record->first_byte = all;
	record->latency = record->latency || view->latency;
}

int plot_record_add(struct plot_record *record, const struct view *view, double time)
{
	struct look *look =
		calloc(1, sizeof(*look) + view->nr_workers * sizeof(struct look_worker));

	if (!look)
		return -ENOMEM;
	strcpy(record->name, view->name);
	record->datagrams = view->datagrams;
	look->time = time;
	look->policy = view->policy;
	look->nr_workers = view->nr_workers;
	for (uint32_t i = 0; i < view->nr_workers; i++) {
		const struct view_worker *w = &view->workers[i];

		/* what the kernel's hash decides is in no slot's counters */
		look->workers[i].came = view->policy == LB_POLICY_KERNEL && view->counted &&
							!view->datagrams ?
						w->opened :
						w->selected;
		look->workers[i].live = w->live;
		look->workers[i].queued = w->queued;
	}
	measure(record, view, look);
	if (record->nr_looks == record->most) {
		free(record->looks[0]);
		memmove(record->looks, record->looks + 1,
			--record->nr_looks * sizeof(struct look *));
	}
	record->looks[record->nr_looks++] = look;
	if (view->nr_workers > record->nr_workers)
		record->nr_workers = view->nr_workers;
	return 0;
}

/* --- marks --- */

#define WHOLE_SECOND 1.0 /* of an event's time: it was, on average, half of it later */

/* Of what a keeper tells, that which changes what is seen; the rest would hide the curves. */
static const char *const marked[] = {
	"begin",     "reload",	"scale",  "restart", "drain",	 "resume",	"stalled",
	"recovered", "rescued", "policy", "weight",  "limit",	 "set",		"memory",
	"gave-up",   "holding", "left",	  "joined",  "replaced", "not-holding",
};

static bool is_marked(const json_t *event, const char *type)
{
	if (!strcmp(type, "exit"))
		return json_is_true(json_object_get(event, "unasked"));
	for (size_t i = 0; i < sizeof(marked) / sizeof(marked[0]); i++) {
		if (!strcmp(type, marked[i]))
			return true;
	}
	return false;
}

static void add_mark(struct plot_record *record, const struct plot_mark *mark)
{
	for (size_t i = 0; i < record->nr_marks; i++) {
		if (record->marks[i].time == mark->time &&
		    !strcmp(record->marks[i].text, mark->text))
			return;
	}
	if (record->nr_marks == MOST_MARKS)
		memmove(record->marks, record->marks + 1, --record->nr_marks * sizeof(*mark));
	record->marks[record->nr_marks++] = *mark;
}

void plot_record_event(struct plot_record *record, const json_t *event)
{
	const char *type = json_string_value(json_object_get(event, "event"));
	const json_t *worker = json_object_get(event, "worker");
	double second = json_number_value(json_object_get(event, "time"));
	struct plot_mark mark = { second + WHOLE_SECOND / 2, "" };

	if (!type || !is_marked(event, type))
		return;
	if (json_is_integer(worker))
		text_format(mark.text, sizeof(mark.text), "%s %d", type,
			    (int)json_integer_value(worker));
	else
		text_format(mark.text, sizeof(mark.text), "%s", type);
	add_mark(record, &mark);
}

/* --- the picture --- */

enum { CAME, LIVE, QUEUED };

/* Then it is another counter. */
static bool is_by_kernel(const struct look *look)
{
	return look->policy == LB_POLICY_KERNEL;
}

/* At a look that is not the first; NAN where the worker was not there. */
static double value_at(const struct plot_record *record, size_t i, uint32_t worker, int what)
{
	const struct look *look = record->looks[i], *before = record->looks[i - 1];
	double seconds = look->time - before->time;
	uint64_t came, came_before;

	if (worker >= look->nr_workers)
		return NAN;
	if (what != CAME)
		return what == LIVE ? look->workers[worker].live : look->workers[worker].queued;
	came = look->workers[worker].came;
	came_before = worker < before->nr_workers ? before->workers[worker].came : 0;
	if (seconds <= 0 || came < came_before || is_by_kernel(look) != is_by_kernel(before))
		return NAN;
	return (came - came_before) / seconds;
}

static int add_by_worker(const struct plot_record *record, struct plot_panel *panel, int what)
{
	panel->curves = calloc(record->nr_workers + 1, sizeof(*panel->curves));
	if (!panel->curves)
		return -ENOMEM;
	for (uint32_t w = 0; w < record->nr_workers; w++) {
		struct plot_curve *curve = &panel->curves[panel->nr_curves++];

		snprintf(curve->name, sizeof(curve->name), "%u", w);
		curve->values = calloc(record->nr_looks + 1, sizeof(double));
		if (!curve->values)
			return -ENOMEM;
		for (size_t i = 1; i < record->nr_looks; i++)
			curve->values[i - 1] = value_at(record, i, w, what);
	}
	return 0;
}

static int add_first_byte(const struct plot_record *record, struct plot_panel *panel)
{
	static const char *const names[] = { "p50", "p99" };

	panel->curves = calloc(2, sizeof(*panel->curves));
	if (!panel->curves)
		return -ENOMEM;
	for (size_t j = 0; j < 2; j++) {
		struct plot_curve *curve = &panel->curves[panel->nr_curves++];

		strcpy(curve->name, names[j]);
		curve->values = calloc(record->nr_looks + 1, sizeof(double));
		if (!curve->values)
			return -ENOMEM;
		for (size_t i = 1; i < record->nr_looks; i++)
			curve->values[i - 1] = j ? record->looks[i]->most_ms :
						   record->looks[i]->half_ms;
	}
	return 0;
}

static int add_panels(const struct plot_record *record, struct plot *plot)
{
	struct plot_panel *panels = plot->panels;
	int err;

	panels[0].title = record->datagrams ? "Datagrams by worker" : "Connections by worker";
	panels[0].label = record->datagrams ? "datagrams / s" : "connections / s";
	plot->nr_panels = 2;
	err = add_by_worker(record, &panels[0], CAME);
	if (!err && record->latency) {
		panels[1].title = "First byte, of all workers";
		panels[1].label = "ms";
		return add_first_byte(record, &panels[1]);
	}
	panels[1].title = record->datagrams ? "Unread by worker" : "Open connections by worker";
	panels[1].label = record->datagrams ? "bytes" : "connections";
	if (!err)
		err = add_by_worker(record, &panels[1], record->datagrams ? QUEUED : LIVE);
	if (err || record->datagrams)
		return err;
	plot->nr_panels = 3;
	panels[2].title = "Waiting to be accepted, by worker";
	panels[2].label = "connections";
	return add_by_worker(record, &panels[2], QUEUED);
}

/* "rr", or "least-conn, then rr" */
static void put_policies(const struct plot_record *record, FILE *out)
{
	uint32_t last = 0;

	for (size_t i = 0; i < record->nr_looks; i++) {
		uint32_t policy = record->looks[i]->policy;

		if (policy != last)
			fprintf(out, "%s%s", last ? ", then " : "policy ", policy_name(policy));
		last = policy;
	}
}

static void put_time(FILE *out, const char *format, double time)
{
	time_t seconds = (time_t)time;
	struct tm local;
	char text[64];

	strftime(text, sizeof(text), format, localtime_r(&seconds, &local));
	fputs(text, out);
}

static int write_titles(const struct plot_record *record, char **subtitle)
{
	size_t len;
	FILE *out = open_memstream(subtitle, &len);

	if (!out)
		return -ENOMEM;
	put_policies(record, out);
	if (record->nr_looks) {
		put_time(out, "; %Y-%m-%d %H:%M:%S", record->looks[0]->time);
		put_time(out, " to %H:%M:%S %z", record->looks[record->nr_looks - 1]->time);
	}
	fprintf(out, "; %u worker%s", record->nr_workers, plural(record->nr_workers));
	return fclose(out) ? -ENOMEM : 0;
}

int plot_record_write(const struct plot_record *record, FILE *out)
{
	_cleanup_free_ double *times = calloc(record->nr_looks + 1, sizeof(*times));
	_cleanup_free_ char *subtitle = NULL;
	struct plot_panel panels[3] = { 0 };
	struct plot plot = {
		.title = record->name,
		.times = times,
		.panels = panels,
		.marks = record->marks,
		.nr_marks = record->nr_marks,
	};
	int err = times ? write_titles(record, &subtitle) : -ENOMEM;

	for (size_t i = 1; !err && i < record->nr_looks; i++)
		times[plot.nr_times++] = record->looks[i]->time;
	plot.subtitle = subtitle;
	if (!err)
		err = add_panels(record, &plot);
	if (!err)
		plot_write(out, &plot);
	for (size_t i = 0; i < 3; i++) {
		for (size_t j = 0; j < panels[i].nr_curves; j++)
			free(panels[i].curves[j].values);
		free(panels[i].curves);
	}
	return err;
}
