/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A scenario on several peers, in rounds: each round runs all of them with the same seed, in an
 * order that turns and is reversed every second round, so that no peer is always the first or
 * behind the same one. What is compared are pairs of the same round.
 */
#ifndef BENCH_COMPARE_H
#define BENCH_COMPARE_H

#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "trial.h"

#define COMPARE_MAX_ROUNDS 100

struct entry {
	const struct peer *peer;
	struct sample samples[COMPARE_MAX_ROUNDS];
	bool done[COMPARE_MAX_ROUNDS];
	struct histogram latency; /* of all rounds */
	char trouble[256];	  /* why it takes no part, or no longer; "" = it does */
};

struct comparison {
	struct scenario scenario; /* a copy: options may change it */
	const struct peers *peers;
	const struct world *world;
	struct entry *entries;
	size_t count;
	unsigned int rounds;
	uint64_t seed;
	bool quiet;
	/* for the report */
	const char *command;
	json_t *machine;
	time_t began;
	double elapsed_s; /* from compare_run() */
};

/* Adds the peers of a list, commas between them; "all" is every one. */
int compare_add(struct comparison *comparison, const char *list, struct trouble *trouble);

/* Runs all rounds; a peer that fails takes no further part. */
int compare_run(struct comparison *comparison, struct trouble *trouble);

void compare_free(struct comparison *comparison);

/* The median over an entry's rounds. */
double compare_median(const struct entry *entry, unsigned int rounds, enum metric metric);

/* a's metric by b's, in pairs of a round. Returns 0 or -errno as ratio_interval(). */
int compare_ratio(const struct comparison *comparison, const struct entry *a, const struct entry *b,
		  enum metric metric, struct interval *interval);

/* The entry of ours that serves with the same program, or NULL. */
const struct entry *compare_ours(const struct comparison *comparison, const struct entry *entry);
const struct entry *compare_find(const struct comparison *comparison, const char *name);

/* What a goal came to. */
struct verdict {
	const char *metric;	  /* its key */
	const char *peer;	  /* whom it is about */
	const struct entry *ours; /* set against it; NULL: the peer itself is judged */
	const char *is;		  /* "at least" */
	double bound;
	struct interval got;
	bool met;
};

/* compare_report.c */
extern const size_t compare_nr_goals;
/* Fills *verdict for goal i; returns whether it was tried here. */
bool compare_judge(const struct comparison *comparison, size_t i, struct verdict *verdict);
/* Accepted connections that died with their worker, in all rounds; -1 = not known. */
int64_t compare_lost(const struct comparison *comparison, const struct entry *entry);
void compare_text(FILE *out, const struct comparison *comparison);

/* compare_json.c; to be json_decref()ed. schema.json says what it holds. */
json_t *compare_json(const struct comparison *comparison);

#endif
