/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What explain.c and its rules share. */
#ifndef EXPLAIN_PARTS_H
#define EXPLAIN_PARTS_H

#include "cmd/explain_facts.h"

/*
 * How much is needed before something is said. A service that is well has these things by chance,
 * so chance is the measure.
 *
 * A mean or a share of fewer values than LEAST_VALUES says little: its standard error is up to a
 * fifth of the values' spread.
 */
#define LEAST_VALUES 30
/*
 * Policy kernel, hash and random place at random: so many count for a worker as a Poisson variable
 * has them, and by Chernoff's bound it is `has` or more with a probability of at most e^-D, where
 * D = has ln(has / share) - has + share. e^-17 is one in 20 million; of 1,024 workers chance alone
 * is taken for a finding in one of 20,000 looks.
 */
#define LEAST_SURPRISE 17.0
/* What is twice the others' is felt; 32 samples of heavy-tailed times alone make half again. */
#define TIMES 2.0
/* lb_pace.h has a moving average of 32: it is to have been all new in three of the looks. */
#define LEAST_PACED 100
/* Between workers alike, a scheduler makes as much difference. */
#define LEAST_DIFFERENCE_NS 500000.0
/* Of connections that stay where they are: below this, who has more matters to nobody. */
#define LEAST_STAYED 8
#define STAYED_TIMES 1.5
/* Incidents, as of a full queue: one connection in a hundred, and not the first of a burst. */
#define INCIDENTS_SHARE 0.01
#define LEAST_INCIDENTS 5
/* stall_ms may be 100, as long as a long request; who accepts nothing for so long hangs. */
#define HANGS_NS 1000000000ULL
/* A program that ended twice may have had a reason; see --max-restarts. */
#define LEAST_RESTARTS 3
/* In each look; one that is emptied at once is seen with one or two. */
#define LEAST_QUEUED 8
#define BEHIND_QUEUED 4.0
/*
 * A period is 100 ms as a rule, and who is throttled waits for the rest of it: in one of ten, and
 * for a hundredth of the time, one request in a hundred is late by it.
 */
#define LEAST_PERIODS 10
#define THROTTLED_SHARE 0.1
#define THROTTLED_TIME 0.01
/* Of one CPU; on a host that is busy, who could use a whole one gets half of it. */
#define BUSY_CPU 0.9
#define HOT_CPU 0.5
#define HOT_TIMES 4.0
/* As long as holding needs to pay; see lb_hold.h. */
#define LEAST_WORK_NS 3000000.0

/* A rule looks at a worker, or at the service; true: it has filled the finding. */
typedef bool explain_rule(const struct explain_facts *facts, uint32_t worker,
			  struct explain_finding *finding);

/* EXPLAIN_BIT(SLOW): a set of kinds. */
#define EXPLAIN_BIT(kind) (1ULL << EXPLAIN_##kind)
_Static_assert(EXPLAIN_NR_KINDS <= 64, "a set of kinds has 64 bits");

/* Of single workers, of all, and of how it is spread: explain_worker.c, _service.c, _spread.c. */
explain_rule explain_throttled, explain_hangs, explain_restarts, explain_down, explain_drained,
	explain_limit, explain_weight, explain_slow, explain_queue, explain_hot, explain_passed_by,
	explain_lost;
explain_rule explain_blind, explain_keeper_gone, explain_not_steered, explain_taken_off,
	explain_takers, explain_left_out, explain_one_socket, explain_no_worker, explain_limited,
	explain_full, explain_behind, explain_busy, explain_latency_off;
explain_rule explain_silent, explain_few_clients, explain_uneven, explain_kept, explain_hold;

/* Those that are a counter that grows: by its kind. */
bool explain_counter(const struct explain_facts *facts, enum explain_kind kind,
		     struct explain_finding *finding);

/* --- what the rules write --- */

void finding_number(struct explain_finding *finding, const char *name, double value);
void finding_say(struct explain_finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The remedy. */
void finding_try(struct explain_finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* One that needs more workers, which only some keepers can start; `more` ends the sentence. */
void finding_try_more_workers(struct explain_finding *finding, const struct explain_facts *facts,
			      const char *more);

/* What a worker that ends has said, and how it ended: only who starts it has that. */
void finding_try_logs(struct explain_finding *finding, const struct explain_facts *facts,
		      uint32_t worker);
/* What takes up again a service whose keeper is gone. */
void finding_try_again(struct explain_finding *finding, const struct explain_facts *facts);

/* --- what they ask --- */

/* Can its keeper give the worker another process: alone, or with all the others? */
bool can_restart(const struct explain_facts *facts, uint32_t worker);
bool can_reload(const struct explain_facts *facts, uint32_t worker);
uint32_t workers_up(const struct explain_facts *facts);
/* The worker's part of `total` by the weights of those that are up; of policy kernel, alike. */
double fair_share(const struct explain_facts *facts, uint32_t worker, double total);
/*
 * The median over the other workers that are up of what `of` says of them; below 0 is left out.
 * Returns below 0 where nobody is left.
 */
double others_median(const struct explain_facts *facts, uint32_t worker,
		     double (*of)(const struct explain_worker *));
/* The sum over all that are up. */
double sum_of(const struct explain_facts *facts, double (*of)(const struct explain_worker *));
/* Who is furthest above the fair share of it; EXPLAIN_ALL: nobody is up. */
uint32_t furthest_above(const struct explain_facts *facts,
			double (*of)(const struct explain_worker *));
/* Where a connection goes does not go by what the workers have. */
bool is_blind_policy(uint32_t policy);

#endif
