// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See load_report.h. */
#include "load_report.h"

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
	const struct figures *figures = &result->figures;

	fprintf(out, "Transactions:            %12llu hits\n",
		(unsigned long long)figures->transactions);
	fprintf(out, "Availability:            %12.2f %%\n", figures_availability(figures));
	fprintf(out, "Elapsed time:            %12.2f secs\n", figures->elapsed_s);
	fprintf(out, "Data transferred:        %12.2f MB\n", figures_megabytes(figures));
	fprintf(out, "Response time:           %12.2f ms\n", figures_response_s(figures) * 1e3);
	fprintf(out, "Transaction rate:        %12.2f trans/sec\n", figures_rate(figures));
	fprintf(out, "Throughput:              %12.2f MB/sec\n", figures_throughput(figures));
	fprintf(out, "Concurrency:             %12.2f\n", figures_concurrency(figures));
	fprintf(out, "Successful transactions: %12llu\n",
		(unsigned long long)figures->transactions);
	fprintf(out, "Failed transactions:     %12llu\n", (unsigned long long)figures->failed);
	fprintf(out, "Longest transaction:     %12.2f ms\n", result->latency.max_ns / 1e6);
	fprintf(out, "Shortest transaction:    %12.2f ms\n", result->latency.min_ns / 1e6);
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
	const struct figures *figures = &result->figures;

	return json_pack(
		"{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:f, s:f, s:o, s:I, s:I, s:I, "
		"s:o, s:f, s:o}",
		"transactions", (json_int_t)figures->transactions, "availability",
		figures_availability(figures), "elapsed_s", figures->elapsed_s, "megabytes",
		figures_megabytes(figures), "response_ms", figures_response_s(figures) * 1e3,
		"transaction_rate", figures_rate(figures), "throughput",
		figures_throughput(figures), "concurrency", figures_concurrency(figures),
		"successful", (json_int_t)figures->transactions, "failed",
		(json_int_t)figures->failed, "longest_ms", result->latency.max_ns / 1e6,
		"shortest_ms", result->latency.min_ns / 1e6, "percentiles_ms",
		percentiles_json(&result->latency), "connections", (json_int_t)result->connections,
		"reconnects", (json_int_t)result->reconnects, "unnamed",
		(json_int_t)result->unnamed, "workers", workers_json(result), "max_over_mean",
		load_report_spread(result), "failures", failures_json(plan, result));
}
