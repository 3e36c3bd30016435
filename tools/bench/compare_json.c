// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See compare.h: JSON, as schema.json describes it. */
#include "compare.h"

#include <sys/utsname.h>
#include <unistd.h>

#include "cmd.h"

static json_t *failed_json(const struct sample *sample)
{
	json_t *object = json_object();

	for (int kind = 0; kind < LOAD_FAILURE_KINDS; kind++) {
		if (sample->failed[kind])
			json_object_set_new(object, load_failure_words(kind),
					    json_integer(sample->failed[kind]));
	}
	return object;
}

static json_t *workers_json(const struct sample *sample)
{
	json_t *array = json_array();

	for (size_t i = 0; i < sample->nr_workers; i++)
		json_array_append_new(array, json_integer(sample->connections[i]));
	return array;
}

static void append_percentile(json_t *array, const struct histogram *latency, double percent)
{
	json_array_append_new(array, json_pack("[f, f]", percent,
					       histogram_percentile_ns(latency, percent) / 1e6));
}

/* Enough of the histogram to draw it, finer where it is rarer. */
static json_t *latency_json(const struct histogram *latency)
{
	json_t *array = json_array();

	if (!latency->count)
		return array;
	for (int percent = 0; percent < 99; percent++)
		append_percentile(array, latency, percent);
	for (int tenth = 0; tenth < 9; tenth++)
		append_percentile(array, latency, 99 + tenth / 10.0);
	for (int hundredth = 0; hundredth <= 10; hundredth++)
		append_percentile(array, latency, 99.9 + hundredth / 100.0);
	return array;
}

static json_t *samples_json(const struct comparison *comparison, const struct entry *entry)
{
	json_t *array = json_array(), *object;

	for (unsigned int round = 0; round < comparison->rounds; round++) {
		const struct sample *sample = &entry->samples[round];

		if (!entry->done[round])
			continue;
		object = json_pack("{s:i, s:o}", "round", (int)round, "siege",
				   siege_json(sample->siege));
		for (int i = 0; i < METRIC_COUNT; i++)
			json_object_set_new(object, metric_keys[i], json_real(sample->values[i]));
		json_object_set_new(object, "failed_by_kind", failed_json(sample));
		json_object_set_new(object, "lost",
				    sample->lost < 0 ? json_null() : json_integer(sample->lost));
		json_object_set_new(object, "connections", workers_json(sample));
		json_array_append_new(array, object);
	}
	return array;
}

static json_t *entry_json(const struct comparison *comparison, const struct entry *entry)
{
	const struct entry *ours = compare_ours(comparison, entry);
	json_t *object = json_pack("{s:s, s:s, s:s}", "peer", entry->peer->name, "what",
				   entry->peer->what, "program", entry->peer->program);
	json_t *medians = json_object(), *ratios = json_object();
	struct interval ratio;

	for (int i = 0; i < METRIC_COUNT; i++) {
		json_object_set_new(medians, metric_keys[i],
				    json_real(compare_median(entry, comparison->rounds, i)));
		if (ours && !compare_ratio(comparison, ours, entry, i, &ratio))
			json_object_set_new(ratios, metric_keys[i], cmd_interval_json(&ratio));
	}
	if (*entry->trouble)
		json_object_set_new(object, "missing", json_string(entry->trouble));
	json_object_set_new(object, "medians", medians);
	json_object_set_new(object, "ours", ours ? json_string(ours->peer->name) : json_null());
	json_object_set_new(object, "ours_by_it", ratios);
	json_object_set_new(object, "latency_ms", latency_json(&entry->latency));
	json_object_set_new(object, "samples", samples_json(comparison, entry));
	return object;
}

static json_t *goals_json(const struct comparison *comparison)
{
	json_t *array = json_array();
	struct verdict verdict;

	for (size_t i = 0; i < compare_nr_goals; i++) {
		if (!compare_judge(comparison, i, &verdict))
			continue;
		json_array_append_new(
			array, json_pack("{s:s, s:s, s:s?, s:s, s:f, s:o, s:b}", "metric",
					 verdict.metric, "peer", verdict.peer, "ours",
					 verdict.ours ? verdict.ours->peer->name : NULL, "is",
					 verdict.is, "bound", verdict.bound, "got",
					 cmd_interval_json(&verdict.got), "met", verdict.met));
	}
	return array;
}

static json_t *peers_json(const struct comparison *comparison)
{
	json_t *array = json_array();

	for (size_t i = 0; i < comparison->count; i++)
		json_array_append_new(array, entry_json(comparison, &comparison->entries[i]));
	return array;
}

json_t *compare_json(const struct comparison *comparison)
{
	const struct scenario *scenario = &comparison->scenario;
	struct utsname system = { 0 };

	uname(&system);
	return json_pack("{s:i, s:s, s:s, s:s, s:s, s:i, s:s, s:O, s:s, s:o, s:f, s:i, s:i, s:I, "
			 "s:i, s:f, s:f, s:o, s:o}",
			 "schema", 1, "scenario", scenario->name, "title", scenario->title,
			 "metric", metric_keys[scenario->metric], "kernel", system.release, "cpus",
			 (int)sysconf(_SC_NPROCESSORS_ONLN), "node",
			 comparison->peers->node_version, "machine", comparison->machine, "command",
			 comparison->command, "began", cmd_time_json(comparison->began),
			 "elapsed_s", comparison->elapsed_s, "workers",
			 (int)scenario->service.workers, "rounds", (int)comparison->rounds, "seed",
			 (json_int_t)comparison->seed, "users", (int)scenario->plan.users,
			 "seconds", scenario->plan.seconds, "rate", scenario->plan.rate, "peers",
			 peers_json(comparison), "goals", goals_json(comparison));
}
