// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Rules about single workers: see explain_parts.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "cmd/explain_parts.h"

#define TIME_BYTES 24

/* "4.1 ms" */
static const char *put_time(char out[TIME_BYTES], double ns)
{
	snprintf(out, TIME_BYTES, "%.*f ms", ns < 1e5 ? 2 : ns < 1e8 ? 1 : 0, ns / 1e6);
	return out;
}

/* " (pid 12)" */
static const char *put_pid(char out[TIME_BYTES], const struct explain_worker *w)
{
	*out = '\0';
	if (w->pid)
		snprintf(out, TIME_BYTES, " (pid %d)", w->pid);
	return out;
}

/* --- those that may not run --- */

static bool is_throttled(const struct explain_facts *facts, uint32_t worker)
{
	const struct throttle *throttle = &facts->workers[worker].throttle;

	return *throttle->cgroup && throttle->periods >= LEAST_PERIODS &&
	       throttle->throttled >= THROTTLED_SHARE * throttle->periods &&
	       throttle->throttled_us >= THROTTLED_TIME * 1e6 * facts->seconds;
}

/* How many workers are in the cgroup of this one; 0 where an earlier one is, which is told. */
static uint32_t throttled_with(const struct explain_facts *facts, uint32_t worker)
{
	const char *cgroup = facts->workers[worker].throttle.cgroup;
	uint32_t n = 0;

	for (uint32_t i = 0; i < facts->nr_workers; i++) {
		if (strcmp(facts->workers[i].throttle.cgroup, cgroup))
			continue;
		if (i < worker)
			return 0;
		n++;
	}
	return n;
}

bool explain_throttled(const struct explain_facts *facts, uint32_t worker,
		       struct explain_finding *finding)
{
	const struct throttle *throttle = &facts->workers[worker].throttle;
	double percent = 100.0 * throttle->throttled / (throttle->periods ? throttle->periods : 1);
	uint32_t together = is_throttled(facts, worker) ? throttled_with(facts, worker) : 0;
	char who[40], each[40] = "";

	if (!together)
		return false;
	snprintf(who, sizeof(who), "worker %u was", worker);
	if (together > 1) {
		finding->worker = EXPLAIN_ALL;
		snprintf(who, sizeof(who), "%u workers were", together);
		strcpy(each, ", over all CPUs");
	}
	finding_number(finding, "percent", percent);
	finding_number(finding, "periods", throttle->periods);
	finding_number(finding, "throttled_ms", throttle->throttled_us / 1000);
	finding_number(finding, "workers", together);
	finding_say(finding,
		    "%s throttled in %.0f %% of its periods, for %.1f s in %.1f s%s, by "
		    "cpu.max of %s",
		    who, percent, throttle->throttled_us / 1e6, facts->seconds, each,
		    throttle->cgroup);
	finding_try(finding,
		    "no setting helps: raise cpu.max of that cgroup (of a unit of systemd: "
		    "CPUQuota), or give it less to do");
	return true;
}

/* --- those that take nothing --- */

bool explain_hangs(const struct explain_facts *facts, uint32_t worker,
		   struct explain_finding *finding)
{
	const struct explain_worker *w = &facts->workers[worker];
	bool one = w->queued_least == 1;
	char pid[TIME_BYTES], waiting[40] = "nothing waits";

	if (w->stalled_ns < HANGS_NS || !w->up)
		return false;
	finding_number(finding, "stalled_ms", w->stalled_ns / 1000000);
	finding_number(finding, "queued", w->queued_least);
	if (w->queued_least)
		snprintf(waiting, sizeof(waiting), "%u %s", w->queued_least,
			 facts->datagrams ? "bytes wait" :
			 one		  ? "connection waits" :
					    "connections wait");
	finding_say(finding, "worker %u%s hangs: it has %s nothing for %.1f s, and %s there",
		    worker, put_pid(pid, w), facts->datagrams ? "read" : "accepted",
		    w->stalled_ns / 1e9, waiting);
	if (w->queued_least && !facts->datagrams && workers_up(facts) > 1)
		finding_try(finding, "lbctl rescue %s %u", facts->name, worker);
	else if (can_restart(facts, worker))
		finding_try(finding, "lbctl restart %s %u", facts->name, worker);
	else
		finding_try(finding, "no setting helps: its process%s is to go on, or to end", pid);
	return true;
}

bool explain_restarts(const struct explain_facts *facts, uint32_t worker,
		      struct explain_finding *finding)
{
	const struct explain_worker *w = &facts->workers[worker];

	if (w->restarts < LEAST_RESTARTS || !(w->restarted || w->down))
		return false;
	finding_number(finding, "restarts", w->restarts);
	finding_number(finding, "restarted", w->restarted);
	finding_say(finding,
		    "worker %u ends again and again: %" PRIu64 " starts after an end by itself"
		    ", %" PRIu64 " of them in the last %.0f s%s",
		    worker, w->restarts, w->restarted, facts->seconds,
		    w->down ? "; it has no socket now" : "");
	finding_try_logs(finding, facts, worker);
	return true;
}

bool explain_down(const struct explain_facts *facts, uint32_t worker,
		  struct explain_finding *finding)
{
	const struct explain_worker *w = &facts->workers[worker];

	if (!w->down || w->restarted)
		return false;
	finding_say(finding, "worker %u has no socket: the others do its work", worker);
	if (can_restart(facts, worker))
		finding_try(finding, "lbctl restart %s %u", facts->name, worker);
	else if (facts->keeper == EXPLAIN_RUN)
		finding_try(finding, "no setting helps: it is none of run's workers; who attached "
				     "it is to start it, and to attach it again");
	else
		finding_try(finding, "no setting helps: the server is to start it%s",
			    facts->keeper ? "" : ", and lbctl attach is to be run again then");
	return true;
}

bool explain_drained(const struct explain_facts *facts, uint32_t worker,
		     struct explain_finding *finding)
{
	const struct explain_worker *w = &facts->workers[worker];

	if (!w->draining || w->live_last || w->queued_least)
		return false;
	finding_say(finding, "worker %u is drained and has nothing left: the others do its work",
		    worker);
	finding_try(finding, "lbctl resume %s %u", facts->name, worker);
	return true;
}

/* A limit of its own; that of all is explain_limited()'s. */
bool explain_limit(const struct explain_facts *facts, uint32_t worker,
		   struct explain_finding *finding)
{
	const struct explain_worker *w = &facts->workers[worker];

	if (!facts->counted || !w->up || !w->limit || w->limit == facts->limit ||
	    w->live_least < w->limit)
		return false;
	finding_number(finding, "limit", w->limit);
	finding_number(finding, "live", w->live_last);
	finding_say(finding, "worker %u is at its own limit of %u connection%s, and gets no more",
		    worker, w->limit, plural(w->limit));
	finding_try(finding, "lbctl set-limit %s %u %u", facts->name, worker, facts->limit);
	return true;
}

/* --- those that are slow --- */

struct slowness {
	double ns, others_ns; /* below 0 = not known */
	uint64_t values;
	const char *what; /* a request, or a connection */
};

static double mean_of(const struct explain_worker *w)
{
	return w->first_byte.count >= LEAST_VALUES ? w->first_byte.mean_ns : -1;
}

static double half_of(const struct explain_worker *w)
{
	return w->first_byte.count >= LEAST_VALUES ? w->first_byte.half_ns : -1;
}

static double ninth_of(const struct explain_worker *w)
{
	return w->first_byte.count >= LEAST_PACED ? w->first_byte.ninth_ns : -1;
}

static bool is_much_more(double ns, double others_ns)
{
	return ns >= 0 && others_ns >= 0 && ns >= TIMES * others_ns &&
	       ns - others_ns >= LEAST_DIFFERENCE_NS;
}

/*
 * Means of few but long times differ by chance, and so do medians where times are of two kinds: so
 * both are to be much longer. One that hangs for moments, as by a limit of its CPU, is slow for a
 * part of the requests.
 */
static bool is_slow_by_request(const struct explain_facts *facts, uint32_t worker,
			       struct slowness *slow)
{
	const struct explain_worker *w = &facts->workers[worker];
	double mean = others_median(facts, worker, mean_of);

	*slow = (struct slowness){ half_of(w), others_median(facts, worker, half_of),
				   w->first_byte.count, "request" };
	if (mean_of(w) < TIMES * mean)
		return false;
	if (is_much_more(slow->ns, slow->others_ns))
		return true;
	slow->ns = ninth_of(w);
	slow->others_ns = others_median(facts, worker, ninth_of);
	slow->what = "tenth request";
	return is_much_more(slow->ns, slow->others_ns);
}

static double pace_of(const struct explain_worker *w)
{
	return w->pace_most_us && w->opened >= LEAST_PACED ? w->pace_most_us * 1e3 : -1;
}

static double opened_of(const struct explain_worker *w)
{
	return w->opened;
}

/* By Little's law the time that a connection is open, in units of the time looked at. */
static double open_of(const struct explain_worker *w)
{
	return w->opened >= LEAST_PACED ? w->live / w->opened : -1;
}

/*
 * The pace is busy time by completions. Where a worker does many things at a time, and has fewer to
 * do than the others, that is longer without the worker's being slow: so it has as many, or its
 * connections do stay open for longer.
 */
static bool is_slow_by_pace(const struct explain_facts *facts, uint32_t worker,
			    struct slowness *slow)
{
	const struct explain_worker *w = &facts->workers[worker];
	double open = others_median(facts, worker, open_of);

	*slow = (struct slowness){ w->pace_us * 1e3, others_median(facts, worker, pace_of),
				   w->opened, "connection" };
	if (!facts->counted || w->opened < LEAST_PACED || !is_much_more(slow->ns, slow->others_ns))
		return false;
	return w->opened >= others_median(facts, worker, opened_of) / STAYED_TIMES ||
	       (w->live >= 1 && open >= 0 && open_of(w) >= TIMES * open);
}

static bool is_slow(const struct explain_facts *facts, uint32_t worker, struct slowness *slow)
{
	const struct explain_worker *w = &facts->workers[worker];

	if (!w->up || facts->datagrams)
		return false;
	if (facts->latency && mean_of(w) >= 0 && others_median(facts, worker, mean_of) >= 0)
		return is_slow_by_request(facts, worker, slow);
	return is_slow_by_pace(facts, worker, slow);
}

static bool is_by_request(const struct slowness *slow)
{
	return strcmp(slow->what, "connection") != 0;
}

static void say_slow(const struct slowness *slow, uint32_t worker, const char *why,
		     struct explain_finding *finding)
{
	bool tenth = !strcmp(slow->what, "tenth request");
	char ns[TIME_BYTES], others_ns[TIME_BYTES];

	finding_number(finding, "us", slow->ns / 1e3);
	finding_number(finding, "others_us", slow->others_ns / 1e3);
	finding_number(finding, "percent", tenth ? 90 : 50);
	finding_number(finding, is_by_request(slow) ? "requests" : "connections", slow->values);
	put_time(ns, slow->ns);
	put_time(others_ns, slow->others_ns);
	if (tenth)
		finding_say(finding,
			    "one request in ten takes %s or longer at worker %u, %s at the "
			    "others: %s",
			    ns, worker, others_ns, why);
	else
		finding_say(finding, "worker %u takes %s for a %s, the others %s: %s", worker, ns,
			    slow->what, others_ns, why);
}

static double weight_of(const struct explain_worker *w)
{
	return w->weight ? w->weight : 1;
}

/* It is slow, and has the weight of a fast one. */
bool explain_weight(const struct explain_facts *facts, uint32_t worker,
		    struct explain_finding *finding)
{
	const struct explain_worker *w = &facts->workers[worker];
	double others = others_median(facts, worker, weight_of);
	struct slowness slow;
	uint32_t fitting;
	char why[80];

	if (others < 0 || weight_of(w) < TIMES * others || facts->policy == LB_POLICY_KERNEL ||
	    !is_slow(facts, worker, &slow))
		return false;
	fitting = slow.ns > 0 ? w->weight * (slow.others_ns / slow.ns) : 1;
	snprintf(why, sizeof(why), "its weight is %u, theirs %.0f", w->weight, others);
	finding_number(finding, "weight", w->weight);
	finding_number(finding, "others_weight", others);
	say_slow(&slow, worker, why, finding);
	finding_try(finding, "lbctl set-weight %s %u %u", facts->name, worker,
		    fitting ? fitting : 1);
	return true;
}

static double requests_of(const struct explain_worker *w)
{
	return w->first_byte.count;
}

static const char *why_slow(const struct explain_facts *facts)
{
	switch (facts->policy) {
	case LB_POLICY_LEAST_CONN:
		return "least-conn knows only how many are open there";
	case LB_POLICY_LEAST_LATENCY:
		return "it gets its share all the same";
	case LB_POLICY_LEAST_LOAD:
		return "the load that it reports does not say so";
	case LB_POLICY_HASH:
		return "hash knows nothing of that; another policy does not keep clients at one worker";
	default:
		return "it gets as many as they do";
	}
}

/*
 * Under least-latency a slow worker that gets little is as it should be; that it gets its share
 * all the same has a reason.
 */
bool explain_slow(const struct explain_facts *facts, uint32_t worker,
		  struct explain_finding *finding)
{
	double opened = sum_of(facts, opened_of), requests = sum_of(facts, requests_of);
	const struct explain_worker *w = &facts->workers[worker];
	struct slowness slow;

	if (!is_slow(facts, worker, &slow))
		return false;
	if (is_by_request(&slow) && requests >= TIMES * 2 * opened) {
		say_slow(&slow, worker, "its requests come on connections that are kept", finding);
		finding_try(finding,
			    "no setting helps: a kept connection stays where it is; what is "
			    "worker %u short of?",
			    worker);
		return true;
	}
	if (facts->policy == LB_POLICY_LEAST_LATENCY &&
	    w->opened < fair_share(facts, worker, opened) / TIMES)
		return false;
	say_slow(&slow, worker, why_slow(facts), finding);
	if (facts->policy == LB_POLICY_LEAST_LATENCY)
		finding_try(finding,
			    "no setting helps: least-latency knows, and the others are busy; "
			    "what is worker %u short of?",
			    worker);
	else if (facts->counted)
		finding_try(finding, "lbctl set-policy %s least-latency", facts->name);
	else
		finding_try(finding, "no setting helps: connections are not counted here, and "
				     "least-latency goes by that (lbctl doctor)");
	return true;
}

/* --- those that have more than the others --- */

static double queued_of(const struct explain_worker *w)
{
	return w->queued;
}

bool explain_queue(const struct explain_facts *facts, uint32_t worker,
		   struct explain_finding *finding)
{
	const struct explain_worker *w = &facts->workers[worker];
	double others = others_median(facts, worker, queued_of);
	double least = facts->datagrams ? w->queue_max / 4.0 : LEAST_QUEUED;

	if (!w->up || others < 0 || !w->queued_least || w->queued_least < least ||
	    w->queued < 2 * TIMES * (others + 1))
		return false;
	finding_number(finding, "queued", w->queued);
	finding_number(finding, "others_queued", others);
	finding_say(finding, "%.0f %s wait at worker %u, %.0f at each of the others", w->queued,
		    facts->datagrams ? "unread bytes" : "connections", worker, others);
	if (is_blind_policy(facts->policy) && (facts->counted || facts->datagrams))
		finding_try(finding, "lbctl set-policy %s least-conn", facts->name);
	else
		finding_try(finding, "lbctl trace %s --worker %u", facts->name, worker);
	return true;
}

static double cpu_of(const struct explain_worker *w)
{
	return w->cpu;
}

bool explain_hot(const struct explain_facts *facts, uint32_t worker,
		 struct explain_finding *finding)
{
	const struct explain_worker *w = &facts->workers[worker];
	double others = others_median(facts, worker, cpu_of);

	if (!w->up || w->cpu < HOT_CPU || others < 0 || w->cpu < HOT_TIMES * others)
		return false;
	finding_number(finding, "cpu_percent", 100 * w->cpu);
	finding_number(finding, "others_cpu_percent", 100 * others);
	finding_number(finding, "live", w->live_last);
	finding_say(finding,
		    "worker %u uses %.0f %% of a CPU, the others %.0f %%: what it has to do "
		    "takes more than theirs",
		    worker, 100 * w->cpu, 100 * others);
	if (is_blind_policy(facts->policy) && facts->counted && w->stayed < LEAST_STAYED)
		finding_try(finding, "lbctl set-policy %s least-conn", facts->name);
	else
		finding_try(finding,
			    "no setting helps: a connection stays where it is; least-load goes "
			    "by what workers report of their load (liblbctl)");
	return true;
}

bool explain_passed_by(const struct explain_facts *facts, uint32_t worker,
		       struct explain_finding *finding)
{
	const struct explain_worker *w = &facts->workers[worker];

	if (!w->up || w->skipped < LEAST_VALUES || w->skipped < facts->decisions / 10)
		return false;
	finding_number(finding, "skipped", w->skipped);
	finding_number(finding, "decisions", facts->decisions);
	finding_say(finding,
		    "worker %u was passed by %" PRIu64 " times in %" PRIu64 " decisions: its "
		    "queue was full, it was at its limit, or it did not accept for stall_ms",
		    worker, w->skipped, facts->decisions);
	finding_try(finding, "lbctl trace %s", facts->name);
	return true;
}

bool explain_lost(const struct explain_facts *facts, uint32_t worker,
		  struct explain_finding *finding)
{
	const struct explain_worker *w = &facts->workers[worker];

	if (w->lost < LEAST_INCIDENTS)
		return false;
	finding_number(finding, "lost", w->lost);
	finding_say(finding,
		    "%" PRIu64 " connections of worker %u were open when its process ended",
		    w->lost, worker);
	if (can_reload(facts, worker))
		finding_try(finding,
			    "no setting helps: it ended by itself, or was killed; lbctl reload "
			    "%s replaces workers without loss",
			    facts->name);
	else
		finding_try(finding,
			    "no setting helps: lbctl drain %s %u --wait SEC is to come before "
			    "it is ended",
			    facts->name, worker);
	return true;
}
