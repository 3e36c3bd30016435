// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Rules about a service as a whole: see explain_parts.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "cmd/explain_parts.h"

/* --- it is not steered, or not all of it --- */

bool explain_blind(const struct explain_facts *facts, uint32_t worker,
		   struct explain_finding *finding)
{
	(void)worker;
	if (!facts->blind)
		return false;
	finding_say(finding, "queues, processes and stalls of its workers can't be read");
	finding_try(finding, "sudo lbctl explain %s", facts->name);
	return true;
}

bool explain_keeper_gone(const struct explain_facts *facts, uint32_t worker,
			 struct explain_finding *finding)
{
	(void)worker;
	if (!facts->gone)
		return false;
	finding_say(
		finding,
		"its keeper is gone: lbctl starts no worker again, and new sockets get nothing");
	finding_try_again(finding, facts);
	return true;
}

bool explain_not_steered(const struct explain_facts *facts, uint32_t worker,
			 struct explain_finding *finding)
{
	(void)worker;
	if (!facts->unsteered || facts->blind)
		return false;
	finding_say(finding,
		    "lbctl's program is not on its sockets: they are gone, or another program "
		    "or none is on them, and decides");
	finding_try(finding, "lbctl attach --replace --name %s %s", facts->name, facts->address);
	return true;
}

bool explain_taken_off(const struct explain_facts *facts, uint32_t worker,
		       struct explain_finding *finding)
{
	(void)worker;
	if (!facts->taken_off)
		return false;
	finding_number(finding, "taken_off", facts->taken_off);
	finding_say(finding,
		    "lbctl's program was taken off its sockets %" PRIu64 " time%s in %.0f s, "
		    "and put back",
		    facts->taken_off, plural(facts->taken_off), facts->seconds);
	if (facts->keeper == EXPLAIN_NOBODY)
		finding_try(finding, "no setting helps: whoever has the workers' user id can");
	else
		finding_try(finding,
			    "no setting helps: whoever has the workers' user id can; lbctl events "
			    "%s names the processes",
			    facts->name);
	return true;
}

bool explain_takers(const struct explain_facts *facts, uint32_t worker,
		    struct explain_finding *finding)
{
	(void)worker;
	if (!facts->takers)
		return false;
	finding_number(finding, "sockets", facts->takers);
	finding_number(finding, "pid", facts->stranger);
	finding_say(finding, "%u socket%s of no worker take%s datagrams beside them (pid %d)",
		    facts->takers, plural(facts->takers), facts->takers == 1 ? "s" : "",
		    facts->stranger);
	finding_try(finding, "no setting helps: all have SO_REUSEADDR; that process is to end");
	return true;
}

bool explain_left_out(const struct explain_facts *facts, uint32_t worker,
		      struct explain_finding *finding)
{
	(void)worker;
	if (!facts->left_out)
		return false;
	finding_number(finding, "sockets", facts->left_out);
	finding_number(finding, "pid", facts->stranger);
	finding_say(finding, "%u socket%s of no worker listen%s there, and get%s nothing (pid %d)",
		    facts->left_out, plural(facts->left_out), facts->left_out == 1 ? "s" : "",
		    facts->left_out == 1 ? "s" : "", facts->stranger);
	if (facts->keeper >= EXPLAIN_FORKS)
		finding_try(finding,
			    "no setting helps: they are of none of its workers; that process "
			    "is to end");
	else
		finding_try(finding, "lbctl attach --name %s %s", facts->name, facts->address);
	return true;
}

/* In words: what it is, and after a semicolon what helps. */
bool explain_one_socket(const struct explain_facts *facts, uint32_t worker,
			struct explain_finding *finding)
{
	const char *rest = strstr(facts->shared, "; ");

	(void)worker;
	if (!*facts->shared)
		return false;
	finding_say(finding, "%.*s",
		    (int)(rest ? rest - facts->shared : (ptrdiff_t)strlen(facts->shared)),
		    facts->shared);
	finding_try(finding, "no setting helps: %s", rest ? rest + 2 : "it has one worker");
	return true;
}

bool explain_no_worker(const struct explain_facts *facts, uint32_t worker,
		       struct explain_finding *finding)
{
	uint32_t draining = 0, down = 0;

	(void)worker;
	for (uint32_t i = 0; i < facts->nr_workers; i++) {
		draining += facts->workers[i].draining;
		down += facts->workers[i].down;
	}
	if (draining + down < facts->nr_workers || facts->blind)
		return false;
	finding_number(finding, "draining", draining);
	finding_number(finding, "down", down);
	finding_say(finding, "no worker is up: %u drained, %u without a socket", draining, down);
	if (draining)
		finding_try(finding, "lbctl resume %s all", facts->name);
	else if (facts->keeper >= EXPLAIN_FORKS)
		finding_try(finding, "lbctl reload %s", facts->name);
	else if (facts->gone)
		finding_try_again(finding, facts);
	else
		finding_try(finding, "no setting helps: the server is to be started");
	return true;
}

/* --- there are not enough workers --- */

static double live_of(const struct explain_worker *w)
{
	return w->live;
}

static bool is_incident(const struct explain_facts *facts, uint64_t count)
{
	return count >= LEAST_INCIDENTS && count >= facts->decisions * INCIDENTS_SHARE;
}

bool explain_limited(const struct explain_facts *facts, uint32_t worker,
		     struct explain_finding *finding)
{
	uint64_t over = facts->counters.all_limited;
	uint32_t up = workers_up(facts), at_limit = 0, least = UINT32_MAX;

	(void)worker;
	for (uint32_t i = 0; i < facts->nr_workers; i++) {
		const struct explain_worker *w = &facts->workers[i];

		if (!w->up || !w->limit)
			continue;
		at_limit += w->live_least >= w->limit;
		least = w->limit < least ? w->limit : least;
	}
	if (!facts->counted || least == UINT32_MAX ||
	    ((!up || at_limit < up) && !is_incident(facts, over)))
		return false;
	finding_number(finding, "limit", least);
	finding_number(finding, "live", sum_of(facts, live_of));
	finding_number(finding, "all_limited", over);
	finding_say(finding,
		    "all %u workers are at their limit of %u connection%s, and so many have come "
		    "on top: %" PRIu64 "; it takes more workers, or a higher limit",
		    up, least, plural(least), over);
	if (facts->keeper == EXPLAIN_RUN)
		finding_try(finding, "lbctl scale %s +1", facts->name);
	else
		finding_try(finding, "lbctl set %s limit=%" PRIu64, facts->name,
			    least > LB_MAX_LIMIT / 2 ? 0 : 2 * (uint64_t)least);
	return true;
}

static bool are_all_full(const struct explain_facts *facts)
{
	bool any = false;

	for (uint32_t i = 0; i < facts->nr_workers; i++) {
		const struct explain_worker *w = &facts->workers[i];

		if (!w->up)
			continue;
		if (!w->queue_max || w->queued_least < w->queue_max)
			return false;
		any = true;
	}
	return any;
}

static double queued_of(const struct explain_worker *w)
{
	return w->queued;
}

static double room_of(const struct explain_worker *w)
{
	return w->queue_max;
}

bool explain_full(const struct explain_facts *facts, uint32_t worker,
		  struct explain_finding *finding)
{
	uint64_t over = facts->counters.overloaded;

	(void)worker;
	if (!is_incident(facts, over) && !are_all_full(facts))
		return false;
	finding_number(finding, "overloaded", over);
	finding_number(finding, "queued", sum_of(facts, queued_of));
	finding_number(finding, "queue_max", sum_of(facts, room_of));
	finding_say(finding,
		    "the queues of all workers are full: %" PRIu64 " of %" PRIu64 " %s came to a "
		    "full one",
		    over, facts->decisions, facts->datagrams ? "datagrams" : "connections");
	finding_try_more_workers(finding, facts,
				 facts->datagrams ? ", or more room (SO_RCVBUF)" :
						    ", or a longer backlog (listen(2), "
						    "net.core.somaxconn)");
	return true;
}

bool explain_behind(const struct explain_facts *facts, uint32_t worker,
		    struct explain_finding *finding)
{
	double queued = sum_of(facts, queued_of);
	uint32_t up = workers_up(facts);

	(void)worker;
	if (facts->datagrams || !up || queued < BEHIND_QUEUED * up)
		return false;
	for (uint32_t i = 0; i < facts->nr_workers; i++) {
		if (facts->workers[i].up && !facts->workers[i].queued_least)
			return false;
	}
	finding_number(finding, "queued", queued);
	finding_number(finding, "workers", up);
	finding_say(finding, "connections wait at every worker, %.0f in all: they can't keep up",
		    queued);
	finding_try_more_workers(finding, facts, ", or less to do");
	return true;
}

bool explain_busy(const struct explain_facts *facts, uint32_t worker,
		  struct explain_finding *finding)
{
	double least = 1e9;

	(void)worker;
	for (uint32_t i = 0; i < facts->nr_workers; i++) {
		if (facts->workers[i].up && !(facts->workers[i].cpu > least))
			least = facts->workers[i].cpu;
	}
	if (!workers_up(facts) || least < BUSY_CPU)
		return false;
	finding_number(finding, "cpu_percent", 100 * least);
	finding_say(finding, "every worker uses %.0f %% of a CPU or more: they have no time left",
		    100 * least);
	finding_try_more_workers(finding, facts, ", where the host has CPUs left");
	return true;
}

/* --- counters that grow --- */

#define COUNTER(field) offsetof(struct lb_counters, field)

static const struct counter {
	enum explain_kind kind;
	size_t offset, base; /* it is an incident as a share of base; 0 = of decisions */
	const char *number, *what, *remedy;
} counters[] = {
	{ EXPLAIN_FALLBACK_CONFIG, COUNTER(fallback_config), 0, "fallback_config",
	  "were left to the kernel's hash: the service's settings can't be read",
	  "it is to be made anew: detach and attach it, or stop and run it again" },
	{ EXPLAIN_FALLBACK_EMPTY, COUNTER(fallback_empty), 0, "fallback_empty",
	  "were left to the kernel's hash: no worker was up at the time",
	  "one worker is to be up while the others are drained or replaced" },
	{ EXPLAIN_FALLBACK_NONE, COUNTER(fallback_none), 0, "fallback_none",
	  "were left to the kernel's hash: no worker could take them",
	  "lbctl trace says of each worker why" },
	{ EXPLAIN_NOT_HEADER, COUNTER(not_header), 0, "not_header",
	  "were looked up for netfilter, and left to the kernel's hash",
	  "that is how its socket match and TPROXY work" },
	{ EXPLAIN_MIGRATE_FAILED, COUNTER(migrate_failed), 0, "migrate_failed",
	  "that waited at a listener which closed found no worker",
	  "a worker is to be up before another one ends" },
	{ EXPLAIN_RESET, COUNTER(reset), 0, "reset",
	  "that waited at a process which ended had nobody to go to",
	  "a worker is to be up before another one ends" },
	{ EXPLAIN_UNANSWERED, COUNTER(unanswered), 0, "unanswered",
	  "were not held, as the process that lets them go (lbctl-hold) did not answer",
	  "it is stopped, or gets no CPU; the keeper starts another one" },
	{ EXPLAIN_HELD_LATE, COUNTER(held_late), COUNTER(held), "held_late",
	  "were held, and given to a busy worker in the end: there is no idle one in time",
	  "there are to be more workers, or less to do" },
};

static uint64_t counter_at(const struct explain_facts *facts, size_t offset)
{
	return *(const uint64_t *)((const char *)&facts->counters + offset);
}

static bool has_grown(const struct explain_facts *facts, const struct counter *counter)
{
	uint64_t count = counter_at(facts, counter->offset);

	if (!counter->base)
		return is_incident(facts, count);
	return count >= LEAST_VALUES && count >= counter_at(facts, counter->base) / 5;
}

bool explain_counter(const struct explain_facts *facts, enum explain_kind kind,
		     struct explain_finding *finding)
{
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		const struct counter *counter = &counters[i];
		uint64_t count = counter_at(facts, counter->offset);

		if (counter->kind != kind || !has_grown(facts, counter))
			continue;
		finding_number(finding, counter->number, count);
		finding_number(finding, "decisions", facts->decisions);
		finding_say(finding, "%" PRIu64 " %s %s", count,
			    facts->datagrams ? "datagrams" : "connections", counter->what);
		finding_try(finding, "no setting helps: %s", counter->remedy);
		return true;
	}
	return false;
}

/* --- last --- */

bool explain_latency_off(const struct explain_facts *facts, uint32_t worker,
			 struct explain_finding *finding)
{
	(void)worker;
	if (facts->latency || !facts->can_measure)
		return false;
	finding_say(finding,
		    "what connections wait and requests take at each worker is not measured");
	finding_try(finding, "lbctl set %s latency=on", facts->name);
	return true;
}
