// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See members.h. */
#include "keeper/members.h"

#include <string.h>

#include "base/text_json.h"
#include "host/proc_name.h"
#include "host/proc_title.h"
#include "lb_pick.h"

/* All may come and go at once, as a reload has it, and some of them go on with that. */
#define OF_A_SLOT 4ULL
#define AT_ONCE(slots) (100 + OF_A_SLOT * (slots))
#define A_SECOND(slots) (10 + (slots) / 10)
#define SECOND_US 1000000ULL
#define UNTOLD_US (10 * SECOND_US) /* from one word on those that were not told to the next */

static bool may_tell(struct members *members)
{
	if (members->budget.left) {
		members->budget.left--;
		return true;
	}
	members->budget.untold++;
	return false;
}

static void refill(struct members *members, const struct state *state, uint64_t now_us)
{
	uint32_t slots = state_used_slots(state), before = members->budget.slots;
	uint64_t more = (now_us - members->budget.since_us) * A_SECOND(slots) / SECOND_US;
	uint64_t most = AT_ONCE(slots);

	members->budget.slots = slots;
	if (slots > before)
		members->budget.left += OF_A_SLOT * (slots - before);
	if (!more)
		return;
	members->budget.since_us = now_us;
	members->budget.left += more;
	if (members->budget.left > most)
		members->budget.left = most;
}

static void tell_untold(struct members *members, uint64_t now_us)
{
	uint64_t untold = members->budget.untold, told_us = members->budget.told_us;

	if (!untold || (told_us && now_us - told_us < UNTOLD_US))
		return;
	members->budget.told_us = now_us;
	members->budget.untold = 0;
	event_tell(members->log, "flood", text_pack("{s:I}", "untold", (json_int_t)untold),
		   "workers come and go faster than each is told of: %lu more times one joined or "
		   "left; a program that opens and closes listening sockets without end does that",
		   (unsigned long)untold);
}

static void tell_joined(struct members *members, const struct lb_worker *row)
{
	char name[PROC_NAME_BYTES], title[PROC_TITLE_BYTES];
	bool titled;

	if (!may_tell(members))
		return;
	titled = row->pid && proc_title(row->pid, title);
	if (!row->pid || proc_name(row->pid, name, sizeof(name)))
		strcpy(name, "?");
	event_tell_worker(members->log, "joined", row->worker, row->pid,
			  text_pack("{s:s, s:s}", "server", name, "process", titled ? title : name),
			  "of %s joined%s%s", name, titled ? ": " : "", titled ? title : "");
}

static void tell_left(struct members *members, const struct state *state, uint32_t slot,
		      const struct lb_worker *before)
{
	json_t *details = json_object();
	struct loss loss;
	char cost[160];

	losses_take(members->losses, state, slot, 0, &loss);
	if (members->left)
		members->left(members->arg, &loss);
	/* what that has cost is told in any case */
	if (!loss.lost && !loss.reset && !may_tell(members)) {
		loss_free(&loss);
		json_decref(details);
		return;
	}
	loss_text(&loss, true, cost, sizeof(cost));
	loss_json(&loss, details);
	loss_free(&loss);
	event_tell_worker(members->log, "left", before->worker, before->pid, details,
			  "closed its socket%s%s", *cost ? ": " : "", cost);
}

/* Does nobody else serve in the place of one that has served before? */
static bool comes_again(const struct members *members, const struct state *state, uint32_t slot)
{
	uint32_t worker = state_worker(state, slot)->worker;
	bool had = false;

	for (uint32_t other = 0; other < state_used_slots(state); other++) {
		const struct lb_worker *row = state_worker(state, other);

		if (other != slot && row->worker == worker && lb_slot_is_open(row->state))
			return false;
		had |= members->rows[other].state != LB_SLOT_FREE &&
		       members->rows[other].worker == worker;
	}
	return had;
}

/* Returns whether it is told of now. */
static bool come(struct members *members, const struct state *state, uint32_t slot)
{
	bool first = !members->waits[slot];

	if (first)
		losses_begin(members->losses, state, slot);
	if (first && members->came_again && comes_again(members, state, slot))
		members->came_again(members->arg, state_worker(state, slot)->worker);
	members->waits[slot] = first && members->may_hand_on &&
			       members->may_hand_on(members->arg, state_worker(state, slot)->pid);
	return !members->waits[slot];
}

/* Is this socket in the slot? */
static bool has_socket(const struct state *state, uint32_t slot, uint64_t cookie)
{
	for (uint32_t i = 0; i < state->nr_listeners; i++) {
		if (cookie && state_queue(state, i, slot)->cookie == cookie)
			return true;
	}
	return false;
}

static uint64_t one_cookie(const struct state *state, uint32_t slot)
{
	uint64_t cookie = 0;

	for (uint32_t i = 0; i < state->nr_listeners && !cookie; i++)
		cookie = state_queue(state, i, slot)->cookie;
	return cookie;
}

/* A server may open the next socket before anybody has seen that the last one was closed. */
static void tell_slot(struct members *members, const struct state *state, uint32_t slot)
{
	const struct lb_worker before = members->rows[slot];
	const struct lb_worker now = *state_worker(state, slot);
	bool was_open = before.state != LB_SLOT_FREE && before.worker == now.worker &&
			lb_slot_is_open(before.state);
	bool is_open = lb_slot_is_open(now.state);
	bool same = was_open && is_open && has_socket(state, slot, members->cookies[slot]);

	if (was_open && !same) {
		tell_left(members, state, slot, &before);
		members->rows[slot].state = LB_SLOT_DOWN;
	}
	if (is_open && !same) {
		if (!come(members, state, slot))
			return;
		tell_joined(members, &now);
		members->cookies[slot] = one_cookie(state, slot);
	}
	members->waits[slot] = false;
	members->rows[slot] = now;
}

static bool slot_is_open(const void *arg, uint32_t slot)
{
	return lb_slot_is_open(state_worker(arg, slot)->state);
}

void members_adopt(struct members *members, const struct state *state)
{
	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		members->rows[slot] = *state_worker(state, slot);
		members->cookies[slot] = one_cookie(state, slot);
		losses_begin(members->losses, state, slot);
	}
	members->created_ns = state->config->created_ns;
}

/* Of a service that was made anew, in the place of another, all have come. */
static void forget(struct members *members, const struct state *state)
{
	memset(members->rows, 0, sizeof(members->rows));
	members->created_ns = state->config->created_ns;
}

void members_tell(struct members *members, const struct state *state, uint64_t now_us)
{
	bool first = state && members->created_ns != state->config->created_ns;

	if (!state)
		return;
	refill(members, state, now_us);
	if (first && members->tells_first)
		forget(members, state);
	else if (first)
		members_adopt(members, state);
	for (uint32_t slot = 0; slot < state_used_slots(state); slot++)
		tell_slot(members, state, slot);
	losses_settle(members->losses, state, slot_is_open, state);
	tell_untold(members, now_us);
}
