// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Rules about how a service's connections are spread, and wait: see explain_parts.h. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/parse.h"
#include "cmd/explain_parts.h"

/* --- they are not given what they should --- */

bool explain_silent(const struct explain_facts *facts, uint32_t worker,
		    struct explain_finding *finding)
{
	uint64_t stale = facts->counters.all_stale, probes = facts->counters.stale_probes;

	(void)worker;
	if (facts->policy != LB_POLICY_LEAST_LOAD)
		return false;
	finding_number(finding, "all_stale", stale);
	finding_number(finding, "stale_probes", probes);
	finding_number(finding, "decisions", facts->decisions);
	if (stale >= LEAST_VALUES && stale >= facts->decisions / 2) {
		finding_say(finding,
			    "no worker reports its load: least-load is rr for %" PRIu64
			    " of %" PRIu64 " decisions",
			    stale, facts->decisions);
		finding_try(finding, "lbctl set-policy %s %s", facts->name,
			    facts->counted || facts->datagrams ? "least-conn" : "rr");
		return true;
	}
	if (probes < LEAST_INCIDENTS - 1 || facts->idle)
		return false;
	finding_say(finding,
		    "not all workers report their load: a silent one gets a connection now and "
		    "then, as a trial, %" PRIu64 " in %.0f s",
		    probes, facts->seconds);
	finding_try(finding,
		    "no setting helps: each worker is to report (liblbctl); least-conn does "
		    "without");
	return true;
}

static double selected_of(const struct explain_worker *w)
{
	return w->selected;
}

static double opened_of(const struct explain_worker *w)
{
	return w->opened;
}

/* More than twice its share, and more than chance would have it. */
static bool has_too_many(double has, double share)
{
	return has >= LEAST_VALUES && share > 0 && has >= TIMES * share &&
	       has * log(has / share) - has + share >= LEAST_SURPRISE;
}

static void say_share(const struct explain_facts *facts, double has, double total,
		      struct explain_finding *finding)
{
	finding_number(finding, facts->datagrams ? "datagrams" : "connections", has);
	finding_number(finding, "of", total);
	finding_number(finding, "workers", workers_up(facts));
}

bool explain_few_clients(const struct explain_facts *facts, uint32_t worker,
			 struct explain_finding *finding)
{
	double total = sum_of(facts, selected_of), has;

	worker = furthest_above(facts, selected_of);
	if (facts->policy != LB_POLICY_HASH || worker == EXPLAIN_ALL)
		return false;
	has = facts->workers[worker].selected;
	if (!has_too_many(has, fair_share(facts, worker, total)))
		return false;
	finding->worker = worker;
	say_share(facts, has, total, finding);
	finding_say(finding,
		    "worker %u got %.0f of %.0f %s: hash goes by the client's address, and they "
		    "come from few; unless workers remember their clients another policy "
		    "spreads them",
		    worker, has, total, facts->datagrams ? "datagrams" : "connections");
	finding_try(finding, "lbctl set-policy %s %s", facts->name,
		    facts->counted && !facts->datagrams ? "least-conn" : "rr");
	return true;
}

/* What the kernel's hash decides is in no slot's counters, but is opened there. */
bool explain_uneven(const struct explain_facts *facts, uint32_t worker,
		    struct explain_finding *finding)
{
	double total = sum_of(facts, opened_of), has;

	worker = furthest_above(facts, opened_of);
	if (facts->policy != LB_POLICY_KERNEL || !facts->counted || worker == EXPLAIN_ALL)
		return false;
	has = facts->workers[worker].opened;
	if (!has_too_many(has, fair_share(facts, worker, total)))
		return false;
	finding->worker = worker;
	say_share(facts, has, total, finding);
	finding_say(finding,
		    "worker %u got %.0f of %.0f connections: the kernel's hash knows nothing of "
		    "the workers",
		    worker, has, total);
	finding_try(finding, "lbctl set-policy %s least-conn", facts->name);
	return true;
}

static double stayed_of(const struct explain_worker *w)
{
	return w->stayed;
}

static void say_kept(const struct explain_facts *facts, uint32_t worker, double total,
		     struct explain_finding *finding)
{
	const struct explain_worker *w = &facts->workers[worker];
	const char *since = w->before >= w->stayed / 2.0 ? ", since before attach" : "";
	const char *verb = facts->seconds > 0 ? "stay" : "are";

	finding_number(finding, "kept", w->stayed);
	finding_number(finding, "of", total);
	finding_number(finding, "before", w->before);
	if (is_blind_policy(facts->policy)) {
		finding_say(finding,
			    "kept connections: %" PRIu64 " of %.0f %s at worker %u%s; %s gives "
			    "it as many new ones as the others",
			    w->stayed, total, verb, worker, since, policy_name(facts->policy));
		finding_try(finding, "lbctl set-policy %s least-conn", facts->name);
		return;
	}
	finding_say(finding,
		    "kept connections: %" PRIu64 " of %.0f %s at worker %u%s; new ones go to the "
		    "others, those stay until they end",
		    w->stayed, total, verb, worker, since);
	if (can_reload(facts, worker))
		finding_try(finding, "lbctl reload %s", facts->name);
	else
		finding_try(finding, "no setting helps: a reload of the server evens them out");
}

/* By chance or not: who has half again as many for hours works more for hours. */
bool explain_kept(const struct explain_facts *facts, uint32_t worker,
		  struct explain_finding *finding)
{
	double total = sum_of(facts, stayed_of), has, share;

	worker = furthest_above(facts, stayed_of);
	if (!facts->counted || facts->datagrams || worker == EXPLAIN_ALL)
		return false;
	has = facts->workers[worker].stayed;
	share = fair_share(facts, worker, total);
	if (has < STAYED_TIMES * share || has - share < LEAST_STAYED)
		return false;
	finding->worker = worker;
	say_kept(facts, worker, total, finding);
	return true;
}

/* --- connections wait though they could go elsewhere --- */

static double waits_of(const struct explain_worker *w)
{
	return w->wait.count;
}

static double waited_of(const struct explain_worker *w)
{
	return w->wait.count ? w->wait.count * w->wait.mean_ns : 0;
}

static double requests_of(const struct explain_worker *w)
{
	return w->first_byte.count;
}

static double answered_of(const struct explain_worker *w)
{
	return w->first_byte.count ? w->first_byte.count * w->first_byte.mean_ns : 0;
}

/* A request's time has the wait of its connection in it. */
bool explain_hold(const struct explain_facts *facts, uint32_t worker,
		  struct explain_finding *finding)
{
	double waits = sum_of(facts, waits_of), requests = sum_of(facts, requests_of);
	double wait_ns = waits > 0 ? sum_of(facts, waited_of) / waits : 0;
	double work_ns = requests > 0 ? sum_of(facts, answered_of) / requests - wait_ns : 0;
	bool off = !facts->hold_ns;

	(void)worker;
	if (facts->datagrams || is_blind_policy(facts->policy) || workers_up(facts) < 2 ||
	    facts->idle || waits < LEAST_VALUES || requests > TIMES * waits ||
	    work_ns < LEAST_WORK_NS || wait_ns < work_ns / 2 ||
	    !(off || *facts->obstacle || facts->keeper == EXPLAIN_NOBODY))
		return false;
	finding_number(finding, "wait_us", wait_ns / 1e3);
	finding_number(finding, "work_us", work_ns / 1e3);
	finding_say(finding,
		    "a connection waits %.1f ms behind others, and then takes %.1f: none waits "
		    "for whoever is idle first (hold_ms)",
		    wait_ns / 1e6, work_ns / 1e6);
	if (*facts->obstacle)
		finding_try(finding, "no setting helps: nothing can be held: %s", facts->obstacle);
	else if (off)
		finding_try(finding, "lbctl set %s hold_ms=auto", facts->name);
	else if (facts->gone)
		finding_try_again(finding, facts);
	else
		finding_try(finding, "lbctl watch %s", facts->name);
	return true;
}
