// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See forked.h. */
#include "keeper/forked.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/cgroup.h"

/* Looks, a second apart, in which no socket comes or goes, until there are all. */
#define QUIET_LOOKS 2
/* A process that has a new socket may be about to hand it to another. */
#define SOON_LOOKS 2
/* One process's socket may become another's, and none that is seen comes or goes. */
#define LATE_LOOKS 10

struct forked {
	/* of each slot, as of the last look: the main process whose socket is there; 0 = none's */
	uint32_t generation[LB_MAX_SLOTS];
	uint32_t soon, late; /* looks until whose the sockets are is looked at */
	/* while a reload goes on */
	uint64_t *cookies; /* of the sockets that leave, sorted */
	size_t nr_cookies;
	uint32_t renews; /* generation of the main process that makes others itself; 0 = none does */
	uint32_t before; /* how many sockets it had */
	pid_t *pids;	 /* of its processes then */
	int nr_pids;
};

struct forked *forked_new(void)
{
	struct forked *forked = calloc(1, sizeof(*forked));

	if (forked)
		forked->late = LATE_LOOKS;
	return forked;
}

void forked_free(struct forked *forked)
{
	if (forked)
		forked_settle(forked);
	free(forked);
}

/* --- a look --- */

void forked_begin(struct forked *forked)
{
	memset(forked->generation, 0, sizeof(forked->generation));
}

void forked_note(struct forked *forked, uint32_t slot, const struct runner *runner)
{
	forked->generation[slot] = runner->generation;
}

static uint32_t count_slots(const struct forked *forked, uint32_t generation)
{
	uint32_t n = 0;

	for (uint32_t slot = 0; slot < LB_MAX_SLOTS; slot++)
		n += forked->generation[slot] == generation;
	return n;
}

static bool was_there(const struct forked *forked, uint32_t pid)
{
	for (int i = 0; i < forked->nr_pids; i++) {
		if ((uint32_t)forked->pids[i] == pid)
			return true;
	}
	return false;
}

/* Have others taken over all that it had? Nobody knows how many there are to be. */
static bool is_renewed(const struct forked *forked, const struct runner *runner,
		       const struct state *state)
{
	if (!state || !runner->slots ||
	    (runner->slots < forked->before && runner->quiet < QUIET_LOOKS))
		return false;
	for (uint32_t slot = 0; slot < LB_MAX_SLOTS; slot++) {
		uint32_t pid = state_worker(state, slot)->pid;

		if (forked->generation[slot] == runner->generation &&
		    (!pid || was_there(forked, pid)))
			return false;
	}
	return true;
}

/* One that is to take another's place has to have as many as that, or all that it gets. */
static bool is_registered(const struct runner *runner, const struct runner *first)
{
	for (; first; first = first->next) {
		if (first != runner && runner->slots < first->slots)
			return runner->slots && runner->quiet >= QUIET_LOOKS;
	}
	return runner->slots;
}

static void count(struct forked *forked, struct runner *runner, bool tick)
{
	uint32_t now = count_slots(forked, runner->generation);

	if (now != runner->slots)
		runner->quiet = 0;
	else if (tick)
		runner->quiet++;
	runner->slots = now;
}

bool forked_end(struct forked *forked, const struct runners *runners, struct plan *plan,
		const struct state *state, bool tick)
{
	for (uint32_t w = 0; w < plan->used; w++) {
		for (struct runner *runner = runners->of[w]; runner; runner = runner->next)
			count(forked, runner, tick);
		for (struct runner *runner = runners->of[w]; runner; runner = runner->next) {
			struct process *process = plan_process(plan, w, runner->generation);

			if (!process)
				continue;
			process->registered = is_registered(runner, runners->of[w]);
			process->renewed = forked->renews == runner->generation &&
					   is_renewed(forked, runner, state);
		}
	}
	if (!tick)
		return false;
	if (!--forked->late)
		forked_came(forked);
	if (forked->renews)
		return true;
	return forked->soon && forked->soon--;
}

void forked_came(struct forked *forked)
{
	forked->soon = SOON_LOOKS;
	forked->late = LATE_LOOKS;
}

/* --- what is done --- */

uint32_t forked_drain(const struct forked *forked, const struct runner *runner,
		      struct changes *changes)
{
	uint32_t n = 0;

	for (uint32_t slot = 0; slot < LB_MAX_SLOTS; slot++) {
		const struct change change = {
			.kind = CHANGE_DRAIN,
			.which = slot,
			.worker = runner->worker,
			.generation = runner->generation,
		};

		if (forked->generation[slot] != runner->generation)
			continue;
		changes_add(changes, &change);
		n++;
	}
	return n;
}

static int compare_cookies(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static void note_cookies(struct forked *forked, const struct state *state)
{
	uint32_t used = state_used_slots(state);

	forked->cookies = calloc((size_t)state->nr_listeners * used + 1, sizeof(*forked->cookies));
	for (uint32_t i = 0; forked->cookies && i < state->nr_listeners; i++) {
		for (uint32_t slot = 0; slot < used; slot++) {
			uint64_t cookie = state_queue(state, i, slot)->cookie;

			if (cookie)
				forked->cookies[forked->nr_cookies++] = cookie;
		}
	}
	if (forked->nr_cookies)
		qsort(forked->cookies, forked->nr_cookies, sizeof(uint64_t), compare_cookies);
}

void forked_renew(struct forked *forked, const struct state *state, const struct runner *runner)
{
	forked_settle(forked);
	if (state)
		note_cookies(forked, state);
	if (!runner)
		return;
	forked->renews = runner->generation;
	forked->before = runner->slots;
	forked->nr_pids = cgroup_pids(runner->cgroup_fd, &forked->pids);
}

void forked_settle(struct forked *forked)
{
	free(forked->cookies);
	free(forked->pids);
	forked->cookies = NULL;
	forked->pids = NULL;
	forked->nr_cookies = forked->nr_pids = forked->renews = forked->before = 0;
}

bool forked_leaves(const struct forked *forked, uint64_t cookie)
{
	return forked->nr_cookies && bsearch(&cookie, forked->cookies, forked->nr_cookies,
					     sizeof(cookie), compare_cookies);
}
