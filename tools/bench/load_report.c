// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See load_report.h. */
#include "load_report.h"

#include "siege.h"

#include <string.h>

#define SHOWN_FAILURES 10
#define SHOWN_WORKERS 64

static const double percents[] = { 50, 75, 90, 95, 99, 99.9, 99.99 };
#define NR_PERCENTS (sizeof(percents) / sizeof(percents[0]))

static size_t get_connections(const struct load_result *result, uint64_t *counts)
{
	for (size_t i = 0; i < result->nr_workers; i++)
		counts[i] = result->workers[i].connections;
	return result->nr_workers;
}

double load_report_spread(const struct load_result *result)
{
	uint64_t counts[LOAD_MAX_WORKERS];

	return spread_max_over_mean(counts, get_connections(result, counts));
}

static void print_figures(FILE *out, const struct load_result *result)
{
	double values[SIEGE_COUNT];
	char label[32];

	siege_of(result, values);
	for (int i = 0; i < SIEGE_COUNT; i++) {
		snprintf(label, sizeof(label), "%s:", siege_words[i].name);
		fprintf(out, "%-24s %12.*f%s%s\n", label, siege_words[i].digits, values[i],
			*siege_words[i].unit ? " " : "", siege_words[i].unit);
	}
}

static void print_percentiles(FILE *out, const struct histogram *latency)
{
	fputs("\nPercentiles, ms:        ", out);
	for (size_t i = 0; i < NR_PERCENTS; i++)
		fprintf(out, " %g%% %.2f", percents[i],
			histogram_percentile_ns(latency, percents[i]) / 1e6);
	fputc('\n', out);
}

static void print_workers(FILE *out, const struct load_result *result)
{
	size_t shown = result->nr_workers < SHOWN_WORKERS ? result->nr_workers : SHOWN_WORKERS;

	if (!result->nr_workers) {
		fputs("Connections per worker:  not known: answers have no X-Worker header, nor a "
		      "body that begins with \"worker NAME\"\n",
		      out);
		return;
	}
	fputs("Connections per worker: ", out);
	for (size_t i = 0; i < shown; i++)
		fprintf(out, " %s:%llu", result->workers[i].name,
			(unsigned long long)result->workers[i].connections);
	if (shown < result->nr_workers)
		fprintf(out, " and %zu more", result->nr_workers - shown);
	if (result->unnamed)
		fprintf(out, " not known:%llu", (unsigned long long)result->unnamed);
	fprintf(out, "   max/mean %.2f\n", load_report_spread(result));
}

static void print_failures(FILE *out, const struct load_plan *plan,
			   const struct load_result *result)
{
	size_t shown = result->nr_failures < SHOWN_FAILURES ? result->nr_failures : SHOWN_FAILURES;

	if (!result->figures.failed)
		return;
	fputs("\nFailed:\n", out);
	for (int kind = 0; kind < LOAD_FAILURE_KINDS; kind++) {
		if (result->by_kind[kind])
			fprintf(out, "%8llu %s\n", (unsigned long long)result->by_kind[kind],
				load_failure_words(kind));
	}
	for (size_t i = 0; i < shown; i++) {
		const struct load_failure *failure = &result->failures[i];

		fprintf(out, "  at %.3f s: %s: %s", failure->at_s,
			plan->targets->all[failure->target].url, load_failure_words(failure->kind));
		if (failure->kind == LOAD_FAILED_STATUS)
			fprintf(out, " (%d)", failure->status);
		fputc('\n', out);
	}
	if (shown < result->figures.failed)
		fprintf(out, "  and %llu more\n",
			(unsigned long long)(result->figures.failed - shown));
}

void load_report_text(FILE *out, const struct load_plan *plan, const struct load_result *result)
{
	print_figures(out, result);
	print_percentiles(out, &result->latency);
	print_workers(out, result);
	if (result->reconnects)
		fprintf(out, "Begun again:             %llu (an idle connection had been closed)\n",
			(unsigned long long)result->reconnects);
	print_failures(out, plan, result);
}

static json_t *percentiles_json(const struct histogram *latency)
{
	json_t *object = json_object();
	char name[16];

	for (size_t i = 0; i < NR_PERCENTS; i++) {
		snprintf(name, sizeof(name), "p%g", percents[i]);
		json_object_set_new(object, name,
				    json_real(histogram_percentile_ns(latency, percents[i]) / 1e6));
	}
	return object;
}

static json_t *workers_json(const struct load_result *result)
{
	json_t *array = json_array();

	for (size_t i = 0; i < result->nr_workers; i++) {
		const struct load_worker *worker = &result->workers[i];

		json_array_append_new(array,
				      json_pack("{s:s, s:I, s:I}", "worker", worker->name,
						"connections", (json_int_t)worker->connections,
						"requests", (json_int_t)worker->requests));
	}
	return array;
}

static json_t *failures_json(const struct load_plan *plan, const struct load_result *result)
{
	json_t *array = json_array();

	for (size_t i = 0; i < result->nr_failures; i++) {
		const struct load_failure *failure = &result->failures[i];

		json_array_append_new(array,
				      json_pack("{s:f, s:s, s:s, s:i}", "at_s", failure->at_s,
						"why", load_failure_words(failure->kind), "url",
						plan->targets->all[failure->target].url, "status",
						failure->status));
	}
	return array;
}

json_t *load_report_json(const struct load_plan *plan, const struct load_result *result)
{
	double values[SIEGE_COUNT];
	json_t *object;

	siege_of(result, values);
	object = siege_json(values);
	json_object_update_new(
		object,
		json_pack("{s:o, s:I, s:I, s:I, s:o, s:f, s:o}", "percentiles_ms",
			  percentiles_json(&result->latency), "connections",
			  (json_int_t)result->connections, "reconnects",
			  (json_int_t)result->reconnects, "unnamed", (json_int_t)result->unnamed,
			  "workers", workers_json(result), "max_over_mean",
			  load_report_spread(result), "failures", failures_json(plan, result)));
	return object;
}
