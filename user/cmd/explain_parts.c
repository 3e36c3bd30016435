// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See explain_parts.h. */
#include "cmd/explain_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"

/* --- findings --- */

void finding_number(struct explain_finding *finding, const char *name, double value)
{
	for (size_t i = 0; i < EXPLAIN_NUMBERS; i++) {
		if (finding->numbers[i].name)
			continue;
		finding->numbers[i].name = name;
		finding->numbers[i].value = value;
		return;
	}
}

void finding_say(struct explain_finding *finding, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(finding->text, sizeof(finding->text), format, args);
	va_end(args);
}

void finding_try(struct explain_finding *finding, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(finding->remedy, sizeof(finding->remedy), format, args);
	va_end(args);
}

void finding_try_more_workers(struct explain_finding *finding, const struct explain_facts *facts,
			      const char *more)
{
	if (facts->keeper == EXPLAIN_RUN)
		finding_try(finding, "lbctl scale %s +1", facts->name);
	else
		finding_try(finding, "no setting helps: the server is to have more workers%s",
			    more);
}

void finding_try_again(struct explain_finding *finding, const struct explain_facts *facts)
{
	if (*facts->again)
		finding_try(finding, "%s", facts->again);
	else
		finding_try(finding, "the command that started it, with --name %s", facts->name);
}

void finding_try_logs(struct explain_finding *finding, const struct explain_facts *facts,
		      uint32_t worker)
{
	char number[16] = "";

	if (!can_reload(facts, worker)) {
		finding_try(finding, "no setting helps: the program ends by itself; who starts it "
				     "knows more");
		return;
	}
	/* a main process has the output of all */
	if (facts->keeper == EXPLAIN_RUN)
		snprintf(number, sizeof(number), " %u", worker);
	finding_try(finding,
		    "no setting helps: the program ends by itself; lbctl logs %s%s has what it "
		    "said, lbctl events %s how it ended",
		    facts->name, number, facts->name);
}

/* --- facts --- */

bool can_restart(const struct explain_facts *facts, uint32_t worker)
{
	return facts->keeper == EXPLAIN_RUN && worker < facts->kept;
}

bool can_reload(const struct explain_facts *facts, uint32_t worker)
{
	return facts->keeper == EXPLAIN_FORKS || can_restart(facts, worker);
}

bool is_blind_policy(uint32_t policy)
{
	return policy == LB_POLICY_RR || policy == LB_POLICY_RANDOM || policy == LB_POLICY_HASH ||
	       policy == LB_POLICY_KERNEL;
}

static double weight_of(const struct explain_facts *facts, uint32_t worker)
{
	uint32_t weight = facts->workers[worker].weight;

	return facts->policy == LB_POLICY_KERNEL || !weight ? 1 : weight;
}

uint32_t workers_up(const struct explain_facts *facts)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < facts->nr_workers; i++)
		n += facts->workers[i].up;
	return n;
}

double fair_share(const struct explain_facts *facts, uint32_t worker, double total)
{
	double weights = 0;

	for (uint32_t i = 0; i < facts->nr_workers; i++)
		weights += facts->workers[i].up ? weight_of(facts, i) : 0;
	return weights > 0 ? total * weight_of(facts, worker) / weights : 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double others_median(const struct explain_facts *facts, uint32_t worker,
		     double (*of)(const struct explain_worker *))
{
	_cleanup_free_ double *values = calloc(facts->nr_workers + 1, sizeof(*values));
	size_t n = 0;

	for (uint32_t i = 0; values && i < facts->nr_workers; i++) {
		if (i == worker || !facts->workers[i].up)
			continue;
		values[n] = of(&facts->workers[i]);
		n += values[n] >= 0;
	}
	if (!n)
		return -1;
	qsort(values, n, sizeof(*values), compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double sum_of(const struct explain_facts *facts, double (*of)(const struct explain_worker *))
{
	double sum = 0;

	for (uint32_t i = 0; i < facts->nr_workers; i++)
		sum += facts->workers[i].up ? of(&facts->workers[i]) : 0;
	return sum;
}

uint32_t furthest_above(const struct explain_facts *facts,
			double (*of)(const struct explain_worker *))
{
	double total = sum_of(facts, of), most = 0, above;
	uint32_t found = EXPLAIN_ALL;

	for (uint32_t i = 0; i < facts->nr_workers; i++) {
		if (!facts->workers[i].up)
			continue;
		above = of(&facts->workers[i]) - fair_share(facts, i, total);
		if (found != EXPLAIN_ALL && above <= most)
			continue;
		most = above;
		found = i;
	}
	return found;
}
