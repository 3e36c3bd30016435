// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See at_work.h. */
#include "keeper/at_work.h"

#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "host/cgroup.h"
#include "host/procs.h"
#include "service/track.h"

#define LOOK_US 20000  /* from one look to the next, at least ... */
#define COST_FACTOR 10 /* ... and so many times what the last one took */

bool at_work_is(const struct sockdiag_socket *connection)
{
	uint32_t sent_ms = connection->sent_ms, received_ms = connection->received_ms;
	uint32_t silent_ms = sent_ms < received_ms ? sent_ms : received_ms;

	/* one that asks as it is opened does both in the same tick of the kernel's clock */
	return connection->queued || connection->queue_max || connection->unanswered ||
	       received_ms < sent_ms || silent_ms < AT_WORK_SILENCE_MS;
}

/* --- who is asked for --- */

static bool is_to_end(const struct plan *plan, const struct process *process, int role)
{
	if (!lifecycle_runs(process->state) || process->state == LIFE_TERMINATING)
		return false;
	if (plan->stop)
		return plan->unsteered;
	return process->drained && plan_is_leaving(role, process);
}

/* By the count of its slot, which costs nothing; of a service that is off nothing is known. */
static bool may_be_at_work(const struct state *state, const struct runner *runner)
{
	if (!state || runner->slot < 0 || !track_is_on(state))
		return true;
	return state_stats(state, runner->slot)->live > 0;
}

struct asked {
	struct process *process;
	const struct runner *runner;
};

/* Those that may be at work; the others are told that they are not. Returns their number. */
static size_t find_asked(struct plan *plan, const struct own *own, const struct state *state,
			 struct asked *out)
{
	size_t n = 0;

	for (uint32_t w = 0; w < plan->used; w++) {
		for (int role = 0; role < ROLES; role++) {
			struct process *process = &plan->workers[w].at[role];
			const struct runner *runner;

			if (!is_to_end(plan, process, role))
				continue;
			runner = runner_find(own->runners, w, process->generation);
			if (runner && may_be_at_work(state, runner))
				out[n++] = (struct asked){ process, runner };
			else
				process->at_work = 0;
		}
	}
	return n;
}

/* --- what they have --- */

struct inodes {
	uint64_t *items;
	size_t count;
	/* of those that wait to be accepted, which may happen any moment: whose listener it is */
	uint64_t *waiting;
	size_t nr_waiting;
};

static void add(uint64_t **items, size_t *count, uint64_t number)
{
	uint64_t *grown = reallocarray(*items, *count + 1, sizeof(*grown));

	if (!grown)
		return;
	*items = grown;
	grown[(*count)++] = number;
}

static int compare_inodes(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static void add_port(struct inodes *inodes, uint16_t port)
{
	struct sockdiag_list list;

	if (sockdiag_activity(port, &list))
		return;
	for (size_t i = 0; i < list.count; i++) {
		if (!at_work_is(&list.items[i]))
			continue;
		if (list.items[i].inode)
			add(&inodes->items, &inodes->count, list.items[i].inode);
		else
			add(&inodes->waiting, &inodes->nr_waiting, list.items[i].cgroup_id);
	}
	sockdiag_free(&list);
}

static void find_inodes(const struct own *own, struct inodes *inodes)
{
	struct own_port ports[OWN_MOST_PORTS];
	uint32_t count = own_ports(own, ports);

	for (uint32_t i = 0; i < count; i++) {
		if (ports[i].proto == LB_PROTO_TCP)
			add_port(inodes, ports[i].port);
	}
	if (inodes->count)
		qsort(inodes->items, inodes->count, sizeof(*inodes->items), compare_inodes);
}

/*
 * Those that wait in sockets of --listen are of the service's cgroup, whoever's socket it is: so
 * many of them are at work at most, and so many wait for this process.
 */
static size_t count_waiting(const struct own *own, const struct runner *runner,
			    const struct inodes *inodes)
{
	uint64_t here = inodes->nr_waiting ? listeners_waiting(own->listeners, runner->worker,
							       runner->generation) :
					     0;

	return here < inodes->nr_waiting ? here : inodes->nr_waiting;
}

/* A connection that children share is one. */
static size_t count_held(const struct own *own, const struct runner *runner,
			 const struct inodes *inodes)
{
	_cleanup_free_ pid_t *pids = NULL;
	int n = inodes->count ? cgroup_pids(runner->cgroup_fd, &pids) : 0;
	size_t held = count_waiting(own, runner, inodes);
	struct procs_list list;

	for (size_t i = 0; i < inodes->nr_waiting; i++)
		held += inodes->waiting[i] == runner->cgroup;
	if (n <= 0 || procs_find_holders_among(inodes->items, inodes->count, pids, n, &list))
		return held;
	for (size_t i = 0; i < list.count; i++)
		held += !i || list.items[i].inode != list.items[i - 1].inode;
	procs_free(&list);
	return held;
}

/* --- the look --- */

/* Who was not looked at yet, or had nothing to answer, is looked at now. */
static bool is_urgent(const struct asked *asked, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!asked[i].process->at_work)
			return true;
	}
	return false;
}

static uint64_t clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

uint64_t at_work_look(struct at_work *at_work, struct plan *plan, const struct own *own,
		      const struct state *state, uint64_t now_us)
{
	_cleanup_free_ struct asked *asked = NULL;
	uint64_t begun_us = clock_us(), wait_us;
	struct inodes inodes = { 0 };
	size_t n = 0;

	if (plan->options.drain_timeout_us && plan->used)
		asked = calloc((size_t)plan->used * ROLES, sizeof(*asked));
	if (asked)
		n = find_asked(plan, own, state, asked);
	if (!n)
		return PLAN_NEVER;
	if (now_us < at_work->next_us && !is_urgent(asked, n))
		return at_work->next_us;
	find_inodes(own, &inodes);
	for (size_t i = 0; i < n; i++)
		asked[i].process->at_work = count_held(own, asked[i].runner, &inodes);
	free(inodes.items);
	free(inodes.waiting);
	wait_us = COST_FACTOR * (clock_us() - begun_us);
	at_work->next_us = now_us + (wait_us > LOOK_US ? wait_us : LOOK_US);
	return at_work->next_us;
}
