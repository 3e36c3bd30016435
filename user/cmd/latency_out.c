// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See latency_out.h. */
#include "cmd/latency_out.h"

#include <stddef.h>
#include <string.h>

#include "base/text_json.h"
#include "lb_abi.h"
#include "lb_latency.h"
#include "service/latency.h"

/* Bounds of Prometheus' buckets, as numbers of ours: 65.5 us to 51.5 s, every other one. */
#define FIRST_BOUND (1 + (16 - LB_LATENCY_SHIFT) * 4)
#define BOUND_STEP 2

static const struct time {
	const char *name, *help;
	size_t offset; /* in struct lb_latency */
} times[] = {
#define X(field, help) { #field, help, offsetof(struct lb_latency, field) },
	LB_LATENCY_TIMES(X)
#undef X
};

static const struct time sums[] = {
#define X(field, help) { #field, help, offsetof(struct lb_latency, field) },
	LB_LATENCY_SUMS(X)
#undef X
};

static const struct time spans[] = {
#define X(field, help) { #field, help, offsetof(struct lb_latency, field##_ns) },
	LB_LATENCY_SPANS(X)
#undef X
};

static const struct lb_histogram *histogram_of(const struct lb_latency *latency,
					       const struct time *time)
{
	return (const void *)((const char *)latency + time->offset);
}

static uint64_t sum_of(const struct lb_latency *latency, const struct time *sum)
{
	return *(const uint64_t *)((const char *)latency + sum->offset);
}

/* --- JSON --- */

/* [[bound, count], ...] of those that hold something; the last bucket of all has no bound. */
static json_t *buckets_json(const struct lb_histogram *histogram)
{
	json_t *rows = json_array();

	for (uint32_t i = 0; i < LB_LATENCY_BUCKETS; i++) {
		json_t *row;

		if (!histogram->buckets[i].count)
			continue;
		row = json_array();
		json_array_append_new(row, i + 1 < LB_LATENCY_BUCKETS ?
						   json_integer(lb_latency_bound(i + 1)) :
						   json_null());
		json_array_append_new(row, json_integer(histogram->buckets[i].count));
		json_array_append_new(rows, row);
	}
	return rows;
}

static json_t *histogram_json(const struct lb_histogram *histogram)
{
	return text_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "count",
			 (json_int_t)latency_count(histogram), "sum_us",
			 (json_int_t)(latency_sum_ns(histogram) / 1000), "p50_us",
			 (json_int_t)(latency_quantile(histogram, 0.5) / 1000), "p90_us",
			 (json_int_t)(latency_quantile(histogram, 0.9) / 1000), "p99_us",
			 (json_int_t)(latency_quantile(histogram, 0.99) / 1000), "buckets_ns",
			 buckets_json(histogram));
}

json_t *latency_json(const struct lb_latency *latency)
{
	json_t *json = json_object();

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		json_object_set_new(json, times[i].name,
				    histogram_json(histogram_of(latency, &times[i])));
	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
		json_object_set_new(json, sums[i].name, json_integer(sum_of(latency, &sums[i])));
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		char key[32];

		snprintf(key, sizeof(key), "%s_us", spans[i].name);
		json_object_set_new(json, key, json_integer(sum_of(latency, &spans[i]) / 1000));
	}
	return json;
}

/* --- Prometheus --- */

static void print_histogram(FILE *out, const char *name, const char *labels,
			    const struct lb_histogram *histogram)
{
	uint64_t below = 0;
	uint32_t next = 0;

	for (uint32_t bound = FIRST_BOUND; bound < LB_LATENCY_BUCKETS; bound += BOUND_STEP) {
		while (next < bound)
			below += histogram->buckets[next++].count;
		fprintf(out, "lbctl_worker_%s_seconds_bucket{%s,le=\"%.9f\"} %lu\n", name, labels,
			lb_latency_bound(bound) / 1e9, (unsigned long)below);
	}
	fprintf(out, "lbctl_worker_%s_seconds_bucket{%s,le=\"+Inf\"} %lu\n", name, labels,
		(unsigned long)latency_count(histogram));
	fprintf(out, "lbctl_worker_%s_seconds_sum{%s} %.9f\n", name, labels,
		latency_sum_ns(histogram) / 1e9);
	fprintf(out, "lbctl_worker_%s_seconds_count{%s} %lu\n", name, labels,
		(unsigned long)latency_count(histogram));
}

/* Calls what follows with `latency` and `labels` of each worker that is measured. */
#define EACH_MEASURED(views, n)                                                                    \
	for (size_t v = 0; v < (n); v++)                                                           \
		for (uint32_t w = 0; (views)[v].latency && w < (views)[v].nr_workers; w++)

static void put_labels(char out[LB_NAME_MAX + 40], const struct view *view, uint32_t worker)
{
	snprintf(out, LB_NAME_MAX + 40, "service=\"%s\",worker=\"%u\"", view->name, worker);
}

/* `unit` stands behind the name, "" = none. */
static void put_head(FILE *out, const char *name, const char *unit, const char *ending,
		     const char *help, const char *type)
{
	fprintf(out, "# HELP lbctl_worker_%s%s%s %s\n# TYPE lbctl_worker_%s%s%s %s\n", name, unit,
		ending, help, name, unit, ending, type);
}

/* A field_us is in seconds there, as all times are. */
static void print_sum(FILE *out, const char *ending, const struct time *sum,
		      const struct view *views, size_t n)
{
	size_t len = strlen(sum->name);
	bool is_time = !strcmp(sum->name + len - strlen("_us"), "_us");
	char name[64], labels[LB_NAME_MAX + 40];

	snprintf(name, sizeof(name), "%.*s%s", (int)(is_time ? len - strlen("_us") : len),
		 sum->name, is_time ? "_seconds" : "");
	put_head(out, name, "", ending, sum->help, "counter");
	EACH_MEASURED(views, n)
	{
		uint64_t value = sum_of(&views[v].latency[w], sum);

		put_labels(labels, &views[v], w);
		fprintf(out, "lbctl_worker_%s_total{%s} %.*f\n", name, labels, is_time ? 6 : 0,
			is_time ? value / 1e6 : value);
	}
}

/* Those of whom it is not known whether they are busy have no such time. */
static void print_spans(FILE *out, const char *ending, const struct view *views, size_t n)
{
	char labels[LB_NAME_MAX + 40];

	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		put_head(out, spans[i].name, "_seconds", ending, spans[i].help, "counter");
		EACH_MEASURED(views, n)
		{
			if (!views[v].latency[w].watched_ns)
				continue;
			put_labels(labels, &views[v], w);
			fprintf(out, "lbctl_worker_%s_seconds_total{%s} %.6f\n", spans[i].name,
				labels, sum_of(&views[v].latency[w], &spans[i]) / 1e9);
		}
	}
}

void latency_print_metrics(FILE *out, bool openmetrics, const struct view *views, size_t n)
{
	/* OpenMetrics calls a counter by its name without what ends that of its samples */
	const char *ending = openmetrics ? "" : "_total";
	char labels[LB_NAME_MAX + 40];

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		put_head(out, times[i].name, "_seconds", "", times[i].help, "histogram");
		EACH_MEASURED(views, n)
		{
			put_labels(labels, &views[v], w);
			print_histogram(out, times[i].name, labels,
					histogram_of(&views[v].latency[w], &times[i]));
		}
	}
	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
		print_sum(out, ending, &sums[i], views, n);
	print_spans(out, ending, views, n);
}
