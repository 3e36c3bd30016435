// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See explain.h. The table of rules. */
#include "cmd/explain.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "cmd/explain_parts.h"

/* What a worker does when it can't keep up, or can't be reached: not worth a word of their own. */
#define EFFECTS_OF_ONE                                                                             \
	(EXPLAIN_BIT(THROTTLED) | EXPLAIN_BIT(HANGS) | EXPLAIN_BIT(RESTARTS) | EXPLAIN_BIT(SLOW) | \
	 EXPLAIN_BIT(WEIGHT))
#define EFFECTS_OF_ENDS (EXPLAIN_BIT(RESTARTS) | EXPLAIN_BIT(NO_WORKER))
#define EFFECTS_OF_MANY (EXPLAIN_BIT(LIMITED) | EXPLAIN_BIT(FEW_CLIENTS) | EXPLAIN_BIT(UNEVEN))

static const struct rule {
	explain_rule *rule; /* NULL = a counter */
	bool by_worker;
	bool latency_tells; /* measuring latency would say more */
	uint64_t unless;    /* one of these was found */
} rules[EXPLAIN_NR_KINDS] = {
	[EXPLAIN_BLIND] = { .rule = explain_blind },
	[EXPLAIN_KEEPER_GONE] = { .rule = explain_keeper_gone },
	[EXPLAIN_NOT_STEERED] = { .rule = explain_not_steered },
	[EXPLAIN_TAKEN_OFF] = { .rule = explain_taken_off, .unless = EXPLAIN_BIT(NOT_STEERED) },
	[EXPLAIN_TAKERS] = { .rule = explain_takers },
	[EXPLAIN_LEFT_OUT] = { .rule = explain_left_out,
			       .unless = EXPLAIN_BIT(NOT_STEERED) | EXPLAIN_BIT(KEEPER_GONE) },
	[EXPLAIN_ONE_SOCKET] = { .rule = explain_one_socket },
	[EXPLAIN_NO_WORKER] = { .rule = explain_no_worker, .unless = EXPLAIN_BIT(NOT_STEERED) },
	[EXPLAIN_THROTTLED] = { .rule = explain_throttled, .by_worker = true },
	[EXPLAIN_HANGS] = { .rule = explain_hangs, .by_worker = true },
	[EXPLAIN_RESTARTS] = { .rule = explain_restarts, .by_worker = true },
	[EXPLAIN_DOWN] = { .rule = explain_down,
			   .by_worker = true,
			   .unless = EXPLAIN_BIT(NO_WORKER) | EXPLAIN_BIT(NOT_STEERED) |
				     EXPLAIN_BIT(KEEPER_GONE) },
	[EXPLAIN_DRAINED] = { .rule = explain_drained,
			      .by_worker = true,
			      .unless = EXPLAIN_BIT(NO_WORKER) },
	[EXPLAIN_LIMITED] = { .rule = explain_limited, .unless = EXPLAIN_BIT(HANGS) },
	[EXPLAIN_LIMIT] = { .rule = explain_limit,
			    .by_worker = true,
			    .unless = EXPLAIN_BIT(LIMITED) },
	[EXPLAIN_SILENT] = { .rule = explain_silent },
	[EXPLAIN_FEW_CLIENTS] = { .rule = explain_few_clients },
	[EXPLAIN_UNEVEN] = { .rule = explain_uneven, .latency_tells = true },
	[EXPLAIN_WEIGHT] = { .rule = explain_weight, .by_worker = true, .latency_tells = true },
	[EXPLAIN_SLOW] = { .rule = explain_slow, .by_worker = true, .latency_tells = true },
	[EXPLAIN_KEPT] = { .rule = explain_kept, .unless = EFFECTS_OF_ONE | EFFECTS_OF_MANY },
	[EXPLAIN_FULL] = { .rule = explain_full,
			   .latency_tells = true,
			   .unless = EFFECTS_OF_ONE | EFFECTS_OF_MANY },
	[EXPLAIN_BEHIND] = { .rule = explain_behind,
			     .latency_tells = true,
			     .unless = EFFECTS_OF_ONE | EXPLAIN_BIT(LIMITED) | EXPLAIN_BIT(FULL) },
	[EXPLAIN_QUEUE] = { .rule = explain_queue,
			    .by_worker = true,
			    .latency_tells = true,
			    .unless = EFFECTS_OF_MANY | EXPLAIN_BIT(FULL) | EXPLAIN_BIT(BEHIND) },
	[EXPLAIN_HOT] = { .rule = explain_hot,
			  .by_worker = true,
			  .latency_tells = true,
			  .unless = EFFECTS_OF_MANY },
	[EXPLAIN_PASSED_BY] = { .rule = explain_passed_by,
				.by_worker = true,
				.latency_tells = true,
				.unless = EFFECTS_OF_MANY | EXPLAIN_BIT(FULL) },
	[EXPLAIN_LOST] = { .rule = explain_lost, .by_worker = true },
	[EXPLAIN_HOLD] = { .rule = explain_hold,
			   .latency_tells = true,
			   .unless = EFFECTS_OF_ONE | EFFECTS_OF_MANY | EXPLAIN_BIT(FULL) |
				     EXPLAIN_BIT(BEHIND) },
	[EXPLAIN_BUSY] = { .rule = explain_busy,
			   .unless = EFFECTS_OF_ONE | EXPLAIN_BIT(FULL) | EXPLAIN_BIT(BEHIND) },
	[EXPLAIN_FALLBACK_CONFIG] = { 0 },
	[EXPLAIN_FALLBACK_EMPTY] = { .unless = EFFECTS_OF_ENDS },
	[EXPLAIN_FALLBACK_NONE] = { .unless = EFFECTS_OF_ENDS | EXPLAIN_BIT(HANGS) },
	[EXPLAIN_NOT_HEADER] = { 0 },
	[EXPLAIN_MIGRATE_FAILED] = { .unless = EFFECTS_OF_ENDS },
	[EXPLAIN_RESET] = { .unless = EFFECTS_OF_ENDS },
	[EXPLAIN_UNANSWERED] = { 0 },
	[EXPLAIN_HELD_LATE] = { .unless = EFFECTS_OF_ONE | EXPLAIN_BIT(LIMITED) },
	[EXPLAIN_LATENCY_OFF] = { .rule = explain_latency_off },
};

static const char *const names[] = {
#define X(kind, name) name,
	EXPLAIN_KINDS(X)
#undef X
};

const char *explain_kind_name(enum explain_kind kind)
{
	return names[kind];
}

/* --- all rules --- */

struct search {
	const struct explain_facts *facts;
	struct explain_finding *out;
	size_t n, most;
	uint64_t found; /* kinds */
	bool latency_tells;
	bool *explained; /* by worker */
};

static void try_rule(struct search *search, enum explain_kind kind, uint32_t worker)
{
	const struct rule *rule = &rules[kind];
	struct explain_finding finding = { .kind = kind, .worker = worker };

	if (search->n >= search->most ||
	    !(rule->rule ? rule->rule(search->facts, worker, &finding) :
			   explain_counter(search->facts, kind, &finding)))
		return;
	if (finding.worker < search->facts->nr_workers)
		search->explained[finding.worker] = true;
	search->found |= 1ULL << kind;
	search->latency_tells |= rule->latency_tells;
	search->out[search->n++] = finding;
}

size_t explain(const struct explain_facts *facts, struct explain_finding *out, size_t most)
{
	_cleanup_free_ bool *explained = calloc(facts->nr_workers + 1, sizeof(*explained));
	struct search search = { facts, out, 0, explained ? most : 0, 0, false, explained };

	for (enum explain_kind kind = 0; kind < EXPLAIN_NR_KINDS; kind++) {
		if (search.found & rules[kind].unless ||
		    (kind == EXPLAIN_LATENCY_OFF && !search.latency_tells))
			continue;
		if (!rules[kind].by_worker)
			try_rule(&search, kind, EXPLAIN_ALL);
		for (uint32_t i = 0; rules[kind].by_worker && i < facts->nr_workers; i++) {
			if (explained && !explained[i])
				try_rule(&search, kind, i);
		}
	}
	return search.n;
}
