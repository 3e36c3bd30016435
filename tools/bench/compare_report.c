// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See compare.h: tables, goals, JSON. */
#include "compare.h"

#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "story.h"

enum goal_kind {
	GOAL_AT_LEAST, /* ours by the peer's, the median */
	GOAL_AT_MOST,
	GOAL_NOT_BELOW, /* the interval contains the bound or lies above it */
	GOAL_NOT_ABOVE,
	GOAL_MEDIAN_AT_MOST, /* of the peer itself */
};

static const struct goal {
	const char *scenario, *peer;
	enum metric metric;
	enum goal_kind kind;
	double bound;
} goals[] = {
	{ "S1", "hash", METRIC_RATE, GOAL_NOT_BELOW, 1 },
	{ "S1", "node-cluster", METRIC_RATE, GOAL_AT_LEAST, 1.5 },
	{ "S1", "pm2", METRIC_RATE, GOAL_AT_LEAST, 1.5 },
	{ "S1", "master", METRIC_CPU, GOAL_AT_MOST, 0.7 },
	{ "node", "node-cluster", METRIC_RATE, GOAL_AT_LEAST, 1.4 },
	{ "node", "pm2", METRIC_RATE, GOAL_AT_LEAST, 1.4 },
	{ "S2", "hash", METRIC_RATE, GOAL_AT_LEAST, 9 },
	{ "S2", "exclusive", METRIC_P99, GOAL_NOT_ABOVE, 1 },
	{ "S3", "hash", METRIC_RATE, GOAL_AT_LEAST, 9 },
	{ "S3", "exclusive", METRIC_P99, GOAL_NOT_ABOVE, 1 },
	{ "S4", "lbctl-rr", METRIC_OPEN, GOAL_MEDIAN_AT_MOST, 1 },
	{ "S4", "lbctl-least-conn", METRIC_OPEN, GOAL_MEDIAN_AT_MOST, 2 },
	{ "S5", "lbctl-rr", METRIC_SPREAD, GOAL_MEDIAN_AT_MOST, 1.004 },
	{ "S5", "lbctl-least-conn", METRIC_SPREAD, GOAL_MEDIAN_AT_MOST, 1.008 },
	{ "story", "lbctl-run", METRIC_SPREAD, GOAL_MEDIAN_AT_MOST, 1 },
	{ "story", "lbctl-run", METRIC_FAILED, GOAL_MEDIAN_AT_MOST, 0 },
	{ "S6", "lbctl-rr", METRIC_FAILED, GOAL_MEDIAN_AT_MOST, 0 },
	{ "S6", "lbctl-run", METRIC_FAILED, GOAL_MEDIAN_AT_MOST, 0 },
	{ "S8", "lbctl-rr", METRIC_FAILED, GOAL_MEDIAN_AT_MOST, 0 },
	{ "S8", "lbctl-run", METRIC_FAILED, GOAL_MEDIAN_AT_MOST, 0 },
};

static const char *const goal_words[] = {
	[GOAL_AT_LEAST] = "at least",	   [GOAL_AT_MOST] = "at most",
	[GOAL_NOT_BELOW] = "not below",	   [GOAL_NOT_ABOVE] = "not above",
	[GOAL_MEDIAN_AT_MOST] = "at most",
};

#define NR_GOALS (sizeof(goals) / sizeof(goals[0]))

/* What a goal came to. */
struct verdict {
	const struct goal *goal;
	const struct entry *ours; /* NULL: the peer itself */
	struct interval got;
	bool met;
};

/* Returns whether the goal was tried here. */
static bool judge(const struct comparison *comparison, const struct goal *goal,
		  struct verdict *verdict)
{
	const struct entry *entry = compare_find(comparison, goal->peer);

	*verdict = (struct verdict){ .goal = goal };
	if (strcmp(goal->scenario, comparison->scenario.name) || !entry || *entry->trouble)
		return false;
	if (goal->kind == GOAL_MEDIAN_AT_MOST) {
		verdict->got.middle = compare_median(entry, comparison->rounds, goal->metric);
		verdict->got.low = verdict->got.high = verdict->got.middle;
		verdict->met = verdict->got.middle <= goal->bound;
		return true;
	}
	verdict->ours = compare_ours(comparison, entry);
	if (!verdict->ours ||
	    compare_ratio(comparison, verdict->ours, entry, goal->metric, &verdict->got))
		return false;
	verdict->met = goal->kind == GOAL_AT_LEAST  ? verdict->got.middle >= goal->bound :
		       goal->kind == GOAL_AT_MOST   ? verdict->got.middle <= goal->bound :
		       goal->kind == GOAL_NOT_BELOW ? verdict->got.high >= goal->bound :
						      verdict->got.low <= goal->bound;
	return true;
}

static void print_goals(FILE *out, const struct comparison *comparison)
{
	struct verdict verdict;

	for (size_t i = 0; i < NR_GOALS; i++) {
		if (!judge(comparison, &goals[i], &verdict))
			continue;
		fprintf(out, "%s  ", verdict.met ? "goal met:    " : "goal NOT met:");
		if (verdict.ours)
			fprintf(out, "%s, %s by %s's: %.2f (%.2f-%.2f), %s %g\n",
				metric_keys[goals[i].metric], verdict.ours->peer->name,
				goals[i].peer, verdict.got.middle, verdict.got.low,
				verdict.got.high, goal_words[goals[i].kind], goals[i].bound);
		else
			fprintf(out, "%s of %s: %.3g, %s %g\n", metric_keys[goals[i].metric],
				goals[i].peer, verdict.got.middle, goal_words[goals[i].kind],
				goals[i].bound);
	}
}

static void print_entry(FILE *out, const struct comparison *comparison, const struct entry *entry,
			size_t width)
{
	const struct entry *ours = compare_ours(comparison, entry);
	enum metric metric = comparison->scenario.metric;
	struct interval ratio;

	fprintf(out, "%-*s", (int)width, entry->peer->name);
	for (int i = 0; i < METRIC_COUNT; i++)
		fprintf(out, " %8.*f", metric_digits[i],
			compare_median(entry, comparison->rounds, i));
	if (ours && ours != entry && !compare_ratio(comparison, ours, entry, metric, &ratio))
		fprintf(out, "   %.2f (%.2f-%.2f)", ratio.middle, ratio.low, ratio.high);
	else if (ours == entry)
		fputs("   1", out);
	fputc('\n', out);
}

static void print_program(FILE *out, const struct comparison *comparison, const char *program,
			  size_t width)
{
	const struct entry *ours = NULL;

	for (size_t i = 0; i < comparison->count && !ours; i++) {
		if (!strcmp(comparison->entries[i].peer->program, program))
			ours = compare_ours(comparison, &comparison->entries[i]);
	}
	fprintf(out, "\n%-*s %8s %8s %8s %8s %8s %8s %8s %8s %8s %8s %8s", (int)width, "PEER",
		"req/s", "mean ms", "p50", "p90", "p99", "p99.9", "max", "failed", "max/mean",
		"open +-", "CPU us");
	fprintf(out, ours ? "   %s: %s by it (95 %%)\n" : "\n", ours ? ours->peer->name : "",
		metric_keys[comparison->scenario.metric]);
	for (size_t i = 0; i < comparison->count; i++) {
		const struct entry *entry = &comparison->entries[i];

		if (!*entry->trouble && !strcmp(entry->peer->program, program))
			print_entry(out, comparison, entry, width);
	}
}

/* Over all rounds. */
static void print_failures(FILE *out, const struct comparison *comparison,
			   const struct entry *entry)
{
	const char *between = "";
	uint64_t sum;

	for (int kind = 0; kind < LOAD_FAILURE_KINDS; kind++) {
		sum = 0;
		for (unsigned int round = 0; round < comparison->rounds; round++)
			sum += entry->done[round] ? entry->samples[round].failed[kind] : 0;
		if (!sum)
			continue;
		if (!*between)
			fprintf(out, "failed: %s: ", entry->peer->name);
		fprintf(out, "%s%llu %s", between, (unsigned long long)sum,
			load_failure_words(kind));
		between = ", ";
	}
	if (*between)
		fputs(" (in all rounds)\n", out);
}

static bool is_first_of_program(const struct comparison *comparison, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (!*comparison->entries[i].trouble &&
		    !strcmp(comparison->entries[i].peer->program,
			    comparison->entries[index].peer->program))
			return false;
	}
	return !*comparison->entries[index].trouble;
}

static void print_head(FILE *out, const struct comparison *comparison)
{
	const struct load_plan *plan = &comparison->scenario.plan;
	struct utsname system = { 0 };

	uname(&system);
	fprintf(out, "%s: %s\n", comparison->scenario.name, comparison->scenario.title);
	fprintf(out, "Linux %s, %ld CPUs, Node.js %s; %u workers; ", system.release,
		sysconf(_SC_NPROCESSORS_ONLN),
		*comparison->peers->node_version ? comparison->peers->node_version : "none",
		comparison->scenario.service.workers);
	if (plan->rate > 0)
		fprintf(out, "%g requests/s", plan->rate);
	else
		fprintf(out, "%u users", plan->users);
	if (plan->seconds > 0)
		fprintf(out, " for %g s", plan->seconds);
	if (plan->repetitions)
		fprintf(out, ", %llu %s each", (unsigned long long)plan->repetitions,
			plan->repetitions == 1 ? "request" : "requests");
	fprintf(out, "; medians of %u rounds, seed %llu\n", comparison->rounds,
		(unsigned long long)comparison->seed);
}

void compare_text(FILE *out, const struct comparison *comparison)
{
	size_t width = 4;

	for (size_t i = 0; i < comparison->count; i++) {
		if (strlen(comparison->entries[i].peer->name) > width)
			width = strlen(comparison->entries[i].peer->name);
	}
	print_head(out, comparison);
	if (comparison->scenario.siege)
		story_text(out, comparison);
	for (size_t i = 0; i < comparison->count && !comparison->scenario.siege; i++) {
		if (is_first_of_program(comparison, i))
			print_program(out, comparison, comparison->entries[i].peer->program, width);
	}
	fputc('\n', out);
	for (size_t i = 0; i < comparison->count; i++) {
		if (*comparison->entries[i].trouble)
			fprintf(out, "missing: %s: %s\n", comparison->entries[i].peer->name,
				comparison->entries[i].trouble);
	}
	for (size_t i = 0; i < comparison->count; i++)
		print_failures(out, comparison, &comparison->entries[i]);
	print_goals(out, comparison);
}

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

/* Per worker, in the order of their names. */
static json_t *connections_json(const struct sample *sample)
{
	json_t *array = json_array();

	for (size_t i = 0; i < sample->nr_workers; i++)
		json_array_append_new(array, json_integer(sample->connections[i]));
	return array;
}

static json_t *interval_json(const struct interval *interval)
{
	return json_pack("[f, f, f]", interval->low, interval->middle, interval->high);
}

static json_t *samples_json(const struct comparison *comparison, const struct entry *entry)
{
	json_t *array = json_array(), *object;

	for (unsigned int round = 0; round < comparison->rounds; round++) {
		if (!entry->done[round])
			continue;
		object = json_pack("{s:i, s:o, s:o}", "round", (int)round, "connections",
				   connections_json(&entry->samples[round]), "siege",
				   siege_json(entry->samples[round].siege));
		for (int i = 0; i < METRIC_COUNT; i++)
			json_object_set_new(object, metric_keys[i],
					    json_real(entry->samples[round].values[i]));
		json_object_set_new(object, "failed_by_kind", failed_json(&entry->samples[round]));
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
			json_object_set_new(ratios, metric_keys[i], interval_json(&ratio));
	}
	if (*entry->trouble)
		json_object_set_new(object, "missing", json_string(entry->trouble));
	json_object_set_new(object, "medians", medians);
	json_object_set_new(object, "ours", ours ? json_string(ours->peer->name) : json_null());
	json_object_set_new(object, "ours_by_it", ratios);
	json_object_set_new(object, "samples", samples_json(comparison, entry));
	return object;
}

static json_t *goals_json(const struct comparison *comparison)
{
	json_t *array = json_array();
	struct verdict verdict;

	for (size_t i = 0; i < NR_GOALS; i++) {
		if (!judge(comparison, &goals[i], &verdict))
			continue;
		json_array_append_new(
			array, json_pack("{s:s, s:s, s:s?, s:s, s:f, s:o, s:b}", "metric",
					 metric_keys[goals[i].metric], "peer", goals[i].peer,
					 "ours", verdict.ours ? verdict.ours->peer->name : NULL,
					 "is", goal_words[goals[i].kind], "bound", goals[i].bound,
					 "got", interval_json(&verdict.got), "met", verdict.met));
	}
	return array;
}

json_t *compare_json(const struct comparison *comparison)
{
	const struct scenario *scenario = &comparison->scenario;
	struct utsname system = { 0 };
	json_t *entries = json_array();

	uname(&system);
	for (size_t i = 0; i < comparison->count; i++)
		json_array_append_new(entries, entry_json(comparison, &comparison->entries[i]));
	return json_pack("{s:i, s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:i, s:I, s:i, s:f, s:f, s:o, "
			 "s:o}",
			 "schema", 1, "scenario", scenario->name, "title", scenario->title,
			 "metric", metric_keys[scenario->metric], "kernel", system.release, "cpus",
			 (int)sysconf(_SC_NPROCESSORS_ONLN), "node",
			 comparison->peers->node_version, "workers", (int)scenario->service.workers,
			 "rounds", (int)comparison->rounds, "seed", (json_int_t)comparison->seed,
			 "users", (int)scenario->plan.users, "seconds", scenario->plan.seconds,
			 "rate", scenario->plan.rate, "peers", entries, "goals",
			 goals_json(comparison));
}
