// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See compare.h. */
#include "compare.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "client.h"
#include "cmd.h"

static int add(struct comparison *comparison, const struct peer *peer, struct trouble *trouble)
{
	struct entry *grown, *entry;
	const char *obstacle = scenario_obstacle(&comparison->scenario, peer);

	if (compare_find(comparison, peer->name))
		return EXIT_DONE;
	grown = realloc(comparison->entries, (comparison->count + 1) * sizeof(*grown));
	if (!grown)
		return trouble_set(trouble, EXIT_FAILED, "%s", strerror(ENOMEM));
	comparison->entries = grown;
	entry = &grown[comparison->count++];
	memset(entry, 0, sizeof(*entry));
	entry->peer = peer;
	if (obstacle)
		snprintf(entry->trouble, sizeof(entry->trouble), "%s", obstacle);
	return EXIT_DONE;
}

int compare_add(struct comparison *comparison, const char *list, struct trouble *trouble)
{
	const struct peers *peers = comparison->peers;
	_cleanup_free_ char *copy = strdup(list);
	char *rest = copy, *name;
	const struct peer *peer;
	int status = EXIT_DONE;

	while (!status && rest && (name = strsep(&rest, ","))) {
		if (!strcmp(name, "all")) {
			for (size_t i = 0; i < peers->count && !status; i++)
				status = add(comparison, &peers->all[i], trouble);
			continue;
		}
		peer = peers_get(peers, name, trouble);
		status = peer ? add(comparison, peer, trouble) : trouble->status;
	}
	return status;
}

const struct entry *compare_find(const struct comparison *comparison, const char *name)
{
	for (size_t i = 0; i < comparison->count; i++) {
		if (!strcmp(comparison->entries[i].peer->name, name))
			return &comparison->entries[i];
	}
	return NULL;
}

const struct entry *compare_ours(const struct comparison *comparison, const struct entry *entry)
{
	_cleanup_free_ char *copy = strdup(comparison->scenario.ours);
	char *rest = copy, *name;
	const struct entry *ours;

	while (rest && (name = strsep(&rest, ","))) {
		ours = compare_find(comparison, name);
		if (ours && !strcmp(ours->peer->program, entry->peer->program))
			return ours;
	}
	return NULL;
}

static struct entry *turn(struct comparison *comparison, unsigned int round, size_t position)
{
	size_t i = (position + round / 2) % comparison->count;

	return &comparison->entries[round % 2 ? comparison->count - 1 - i : i];
}

static int run_one(struct comparison *comparison, struct entry *entry, unsigned int round,
		   struct load_result *result)
{
	const struct trial trial = {
		.scenario = &comparison->scenario,
		.peers = comparison->peers,
		.peer = entry->peer,
		.world = comparison->world,
		.seed = comparison->seed + round,
	};
	struct trouble trouble = { 0 };

	if (!comparison->quiet)
		fprintf(stderr, "\r%s: round %u of %u: %s\033[K", comparison->scenario.name,
			round + 1, comparison->rounds, entry->peer->name);
	if (trial_run(&trial, result, &entry->samples[round], &trouble)) {
		snprintf(entry->trouble, sizeof(entry->trouble), "%.250s", trouble.text);
		return trouble.status;
	}
	entry->done[round] = true;
	histogram_merge(&entry->latency, &result->latency);
	return EXIT_DONE;
}

int compare_run(struct comparison *comparison, struct trouble *trouble)
{
	_cleanup_free_ struct load_result *result = malloc(sizeof(*result));
	const uint64_t begin_ns = client_now_ns();

	if (!result)
		return trouble_set(trouble, EXIT_FAILED, "%s", strerror(ENOMEM));
	comparison->began = time(NULL);
	for (unsigned int round = 0; round < comparison->rounds; round++) {
		for (size_t i = 0; i < comparison->count && !cmd_stop; i++) {
			struct entry *entry = turn(comparison, round, i);

			if (!*entry->trouble)
				run_one(comparison, entry, round, result);
		}
	}
	comparison->elapsed_s = (client_now_ns() - begin_ns) / 1e9;
	if (!comparison->quiet)
		fputs("\r\033[K", stderr);
	return cmd_stop ? trouble_set(trouble, 128 + SIGINT, "stopped") : EXIT_DONE;
}

void compare_free(struct comparison *comparison)
{
	free(comparison->entries);
	comparison->entries = NULL;
	comparison->count = 0;
}

double compare_median(const struct entry *entry, unsigned int rounds, enum metric metric)
{
	double values[COMPARE_MAX_ROUNDS];
	size_t n = 0;

	for (unsigned int i = 0; i < rounds; i++) {
		if (entry->done[i])
			values[n++] = entry->samples[i].values[metric];
	}
	return median(values, n);
}

int compare_ratio(const struct comparison *comparison, const struct entry *a, const struct entry *b,
		  enum metric metric, struct interval *interval)
{
	double of_a[COMPARE_MAX_ROUNDS], of_b[COMPARE_MAX_ROUNDS];
	size_t n = 0;

	for (unsigned int i = 0; i < comparison->rounds; i++) {
		if (!a->done[i] || !b->done[i])
			continue;
		of_a[n] = a->samples[i].values[metric];
		of_b[n++] = b->samples[i].values[metric];
	}
	return ratio_interval(of_a, of_b, n, comparison->seed, interval);
}
