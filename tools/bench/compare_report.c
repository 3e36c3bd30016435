// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See compare.h: goals and tables. */
#include "compare.h"

#include <math.h>
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
	GOAL_SUM_AT_MOST,    /* over all rounds */
	GOAL_ONLY_LOST,	     /* it fails no more than what its dead workers had accepted */
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
	{ "node", "node-cluster", METRIC_RATE, GOAL_AT_LEAST, 1.5 },
	{ "node", "pm2", METRIC_RATE, GOAL_AT_LEAST, 1.5 },
	{ "S2", "hash", METRIC_RATE, GOAL_AT_LEAST, 9 },
	{ "S2", "exclusive", METRIC_P99, GOAL_NOT_ABOVE, 1 },
	{ "S3", "hash", METRIC_RATE, GOAL_AT_LEAST, 9 },
	{ "S3", "exclusive", METRIC_P99, GOAL_NOT_ABOVE, 1 },
	{ "S4", "lbctl-rr", METRIC_OPEN, GOAL_MEDIAN_AT_MOST, 1 },
	{ "S4", "lbctl-least-conn", METRIC_OPEN, GOAL_MEDIAN_AT_MOST, 2 },
	{ "S5", "lbctl-rr", METRIC_SPREAD, GOAL_MEDIAN_AT_MOST, 1.004 },
	{ "S5", "lbctl-least-conn", METRIC_SPREAD, GOAL_MEDIAN_AT_MOST, 1.008 },
	{ "story", "lbctl-run-rr", METRIC_SPREAD, GOAL_MEDIAN_AT_MOST, 1 },
	{ "story", "lbctl-run-rr", METRIC_FAILED, GOAL_MEDIAN_AT_MOST, 0 },
	{ "S6", "lbctl-rr", METRIC_FAILED, GOAL_SUM_AT_MOST, 0 },
	{ "S6", "lbctl-run", METRIC_FAILED, GOAL_SUM_AT_MOST, 0 },
	{ "S7", "lbctl-rr", METRIC_FAILED, GOAL_ONLY_LOST, 0 },
	{ "S7", "lbctl-least-conn", METRIC_FAILED, GOAL_ONLY_LOST, 0 },
	{ "S7", "lbctl-run", METRIC_FAILED, GOAL_ONLY_LOST, 0 },
	{ "S8", "lbctl-rr", METRIC_FAILED, GOAL_SUM_AT_MOST, 0 },
	{ "S8", "lbctl-run", METRIC_FAILED, GOAL_SUM_AT_MOST, 0 },
};

static const char *const goal_words[] = {
	[GOAL_AT_LEAST] = "at least",	   [GOAL_AT_MOST] = "at most",
	[GOAL_NOT_BELOW] = "not below",	   [GOAL_NOT_ABOVE] = "not above",
	[GOAL_MEDIAN_AT_MOST] = "at most", [GOAL_SUM_AT_MOST] = "at most",
	[GOAL_ONLY_LOST] = "at most",
};

const size_t compare_nr_goals = sizeof(goals) / sizeof(goals[0]);

int64_t compare_lost(const struct comparison *comparison, const struct entry *entry)
{
	int64_t sum = 0;

	for (unsigned int round = 0; round < comparison->rounds; round++) {
		if (!entry->done[round])
			continue;
		if (entry->samples[round].lost < 0)
			return -1;
		sum += entry->samples[round].lost;
	}
	return sum;
}

/*
 * The sum of a metric over all rounds; with but_lost, of what fails only as much as a worker that
 * died had not accepted.
 */
static double sum_of(const struct comparison *comparison, const struct entry *entry,
		     enum metric metric, bool but_lost)
{
	double sum = 0;

	for (unsigned int round = 0; round < comparison->rounds; round++) {
		const struct sample *sample = &entry->samples[round];

		if (entry->done[round])
			sum += fmax(sample->values[metric] - (but_lost ? sample->lost : 0), 0);
	}
	return sum;
}

/* Of a peer by itself. Returns whether it was tried. */
static bool judge_alone(const struct comparison *comparison, const struct goal *goal,
			const struct entry *entry, struct verdict *verdict)
{
	bool but_lost = goal->kind == GOAL_ONLY_LOST;
	double got;

	if (but_lost && compare_lost(comparison, entry) < 0)
		return false;
	got = goal->kind == GOAL_MEDIAN_AT_MOST ?
		      compare_median(entry, comparison->rounds, goal->metric) :
		      sum_of(comparison, entry, goal->metric, but_lost);
	if (but_lost)
		verdict->metric = "failed_not_lost";
	verdict->got = (struct interval){ got, got, got };
	verdict->met = got <= goal->bound;
	return true;
}

bool compare_judge(const struct comparison *comparison, size_t i, struct verdict *verdict)
{
	const struct goal *goal = &goals[i];
	const struct entry *entry = compare_find(comparison, goal->peer);

	*verdict = (struct verdict){
		.metric = metric_keys[goal->metric],
		.peer = goal->peer,
		.is = goal_words[goal->kind],
		.bound = goal->bound,
	};
	if (strcmp(goal->scenario, comparison->scenario.name) || !entry || *entry->trouble)
		return false;
	if (goal->kind >= GOAL_MEDIAN_AT_MOST)
		return judge_alone(comparison, goal, entry, verdict);
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

	for (size_t i = 0; i < compare_nr_goals; i++) {
		if (!compare_judge(comparison, i, &verdict))
			continue;
		fprintf(out, "%s  ", verdict.met ? "goal met:    " : "goal NOT met:");
		if (verdict.ours)
			fprintf(out, "%s, %s by %s's: %.2f (%.2f-%.2f), %s %g\n", verdict.metric,
				verdict.ours->peer->name, verdict.peer, verdict.got.middle,
				verdict.got.low, verdict.got.high, verdict.is, verdict.bound);
		else
			fprintf(out, "%s of %s: %.3g, %s %g\n", verdict.metric, verdict.peer,
				verdict.got.middle, verdict.is, verdict.bound);
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

/* Over all rounds: what failed, and what by its own counts died with its workers. */
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
	if (compare_lost(comparison, entry) > 0)
		fprintf(out, "lost: %s: %lld accepted connections, with workers that died\n",
			entry->peer->name, (long long)compare_lost(comparison, entry));
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
