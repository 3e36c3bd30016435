// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See changes.h. */
#include "keeper/changes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keeper/task.h"
#include "lb_pick.h"
#include "service/recount.h"
#include "service/rescue.h"
#include "service/service.h"
#include "service/steer.h"

#define DEADLINE_MS (STATE_LOCK_MS + 10000)
#define AGAIN_US 100000 /* after one that failed */

struct changes {
	struct changes_config config;
	struct change *wanted, *under_way;
	size_t nr_wanted, nr_under_way;
	bool refresh_wanted, recount_wanted;
	bool refreshes, recounts; /* the child does */
	uint64_t begun;		  /* children so far */
	bool stopped;
	struct task *task;
	sd_event_source *timer;
};

/* What the child writes for us. */
struct shared {
	struct changes *changes;
	int err; /* why no change was made: -EBUSY ... */
	struct changes_result result;
};

struct changes *changes_new(const struct changes_config *config)
{
	struct changes *changes = calloc(1, sizeof(*changes));

	if (changes)
		changes->config = *config;
	return changes;
}

/* --- in the child --- */

static void set_state(struct state *state, uint32_t slot, uint32_t from, uint32_t to)
{
	struct lb_worker *row = state_worker(state, slot);

	if (slot < state_used_slots(state) && row->state == from)
		__atomic_store_n(&row->state, to, __ATOMIC_RELEASE);
}

static void make_change(struct state *state, const struct change *change)
{
	switch (change->kind) {
	case CHANGE_DRAIN:
		set_state(state, change->which, LB_SLOT_UP, LB_SLOT_DRAINING);
		break;
	case CHANGE_RESUME:
		set_state(state, change->which, LB_SLOT_DRAINING, LB_SLOT_UP);
		break;
	case CHANGE_RETIRE:
		service_retire(state, change->which);
		break;
	}
}

static void refresh(const struct changes *changes, struct state *state,
		    struct changes_result *result)
{
	struct trouble trouble = { 0 };

	result->refreshed = true;
	result->status =
		changes->config.refresh(changes->config.arg, state, &result->attach, &trouble);
	result->made = result->attach.made;
	strcpy(result->text, trouble.text);
}

static int run(void *arg)
{
	struct shared *shared = arg;
	struct changes *changes = shared->changes;
	struct state *state = pins_state(changes->config.pins);

	changes->config.begin(changes->config.arg);
	shared->err = state ? state_lock(state) : 0;
	/*
	 * it was taken off: there is nothing to change, and what there is to refresh is made anew
	 */
	if (shared->err == -ENOENT) {
		state = NULL;
		shared->err = 0;
	}
	if (shared->err)
		return 1;
	if (state)
		rescue_repair(state);
	for (size_t i = 0; state && i < changes->nr_under_way; i++)
		make_change(state, &changes->under_way[i]);
	if (changes->refreshes)
		refresh(changes, state, &shared->result);
	/* a refresh ends with the same */
	if (state && changes->nr_under_way && (!changes->refreshes || shared->result.status))
		steer_publish(state, lb_word_policy(state->config->word));
	if (state && changes->recounts)
		recount_connections(state);
	return 0;
}

/* --- in the loop --- */

static int on_again(sd_event_source *source, uint64_t usec, void *arg)
{
	struct changes *changes = arg;

	(void)source;
	(void)usec;
	changes->timer = sd_event_source_disable_unref(changes->timer);
	changes_begin(changes);
	return 0;
}

static void forget_under_way(struct changes *changes)
{
	free(changes->under_way);
	changes->under_way = NULL;
	changes->nr_under_way = 0;
}

/* What was not done is wanted still, before what was wanted meanwhile. */
static void put_back(struct changes *changes)
{
	size_t n = changes->nr_under_way + changes->nr_wanted;
	struct change *all = reallocarray(changes->under_way, n + 1, sizeof(*all));

	if (all) {
		memcpy(all + changes->nr_under_way, changes->wanted,
		       changes->nr_wanted * sizeof(*all));
		free(changes->wanted);
		changes->wanted = all;
		changes->nr_wanted = n;
		changes->under_way = NULL;
	}
	forget_under_way(changes);
	changes->refresh_wanted |= changes->refreshes;
	changes->recount_wanted |= changes->recounts;
}

static void try_again(struct changes *changes, const char *why)
{
	put_back(changes);
	if (changes->stopped)
		return;
	changes->config.delayed(changes->config.arg, why);
	sd_event_add_time_relative(changes->config.loop, &changes->timer, CLOCK_MONOTONIC, AGAIN_US,
				   0, on_again, changes);
}

static void on_done(void *arg, int status, void *memory)
{
	struct changes *changes = arg;
	const struct changes_result nothing = { 0 };
	const struct shared *shared = memory;
	struct state *state = pins_state(changes->config.pins);
	char why[96];

	changes->task = NULL;
	/* the child's lock is that of our descriptor */
	if (state)
		state_unlock(state);
	if (changes->stopped) {
		changes->config.done(changes->config.arg, NULL, 0, &nothing);
		return;
	}
	if (status) {
		snprintf(why, sizeof(why), "%s",
			 status == -ETIMEDOUT ? "it took too long" :
			 status < 0	      ? "the child that makes the changes was killed" :
						strerror(-shared->err));
		try_again(changes, why);
		return;
	}
	pins_check(changes->config.pins);
	changes->config.done(changes->config.arg, changes->under_way, changes->nr_under_way,
			     &shared->result);
	free(changes->under_way);
	changes->under_way = NULL;
	changes->nr_under_way = 0;
	changes_begin(changes);
}

static bool is_wanted(const struct changes *changes)
{
	return changes->nr_wanted || changes->refresh_wanted || changes->recount_wanted;
}

static const struct task_spec make_changes = { run, on_done, sizeof(struct shared), DEADLINE_MS };

void changes_begin(struct changes *changes)
{
	const struct shared shared = { .changes = changes };

	if (changes->stopped || changes->task || changes->timer || !is_wanted(changes))
		return;
	changes->under_way = changes->wanted;
	changes->nr_under_way = changes->nr_wanted;
	changes->wanted = NULL;
	changes->nr_wanted = 0;
	changes->refreshes = changes->refresh_wanted;
	/* it may take its time: what else is wanted goes before */
	changes->recounts = changes->recount_wanted && !changes->nr_under_way;
	changes->refresh_wanted = false;
	changes->recount_wanted &= !changes->recounts;
	changes->begun++;
	if (task_start(changes->config.loop, &make_changes, &shared, changes, &changes->task))
		try_again(changes, "no child could be started");
}

void changes_add(struct changes *changes, const struct change *change)
{
	struct change *grown =
		reallocarray(changes->wanted, changes->nr_wanted + 1, sizeof(*grown));

	if (!grown)
		return;
	changes->wanted = grown;
	grown[changes->nr_wanted++] = *change;
}

void changes_refresh(struct changes *changes)
{
	changes->refresh_wanted = true;
}

void changes_recount(struct changes *changes)
{
	changes->recount_wanted = true;
}

bool changes_pending(const struct changes *changes)
{
	return changes->nr_under_way || changes->nr_wanted;
}

static bool drains(const struct change *all, size_t n, uint32_t slot)
{
	for (size_t i = 0; i < n; i++) {
		if (all[i].kind == CHANGE_DRAIN && all[i].which == slot)
			return true;
	}
	return false;
}

bool changes_drain(const struct changes *changes, uint32_t slot)
{
	return drains(changes->under_way, changes->nr_under_way, slot) ||
	       drains(changes->wanted, changes->nr_wanted, slot);
}

void changes_stop(struct changes *changes)
{
	changes->stopped = true;
	changes->timer = sd_event_source_disable_unref(changes->timer);
}

bool changes_are_made(const struct changes *changes)
{
	return changes->task;
}

uint64_t changes_giving(const struct changes *changes)
{
	return changes->task && changes->refreshes ? changes->begun : 0;
}

void changes_free(struct changes *changes)
{
	if (!changes)
		return;
	changes_stop(changes);
	task_cancel(changes->task);
	forget_under_way(changes);
	free(changes->wanted);
	free(changes);
}
