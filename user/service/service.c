// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See service.h. */
#include "service/service.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "lb_pick.h"
#include "service/steer.h"
#include "service/track.h"

/* After a detach the kernel frees its socket array only after a grace period. */
#define REGISTER_RETRY_MS 3000

int service_listener(const struct state *state, const struct reuseport_group *group)
{
	const struct lb_listener *listener;

	for (uint32_t i = 0; i < state->nr_listeners; i++) {
		listener = &state->config->listeners[i];
		if (listener->netns == group->netns && listener->proto == group->proto &&
		    listener->family == group->family && listener->port == group->port &&
		    !memcmp(listener->addr, group->addr, sizeof(group->addr)))
			return i;
	}
	return -ENOENT;
}

static bool has(const struct state *state, uint8_t proto)
{
	for (uint32_t i = 0; i < state->nr_listeners; i++) {
		if (state->config->listeners[i].proto == proto)
			return true;
	}
	return false;
}

bool service_counts(const struct state *state)
{
	return has(state, LB_PROTO_TCP);
}

bool service_has_datagrams(const struct state *state)
{
	return has(state, LB_PROTO_UDP);
}

bool service_slot_of(const struct state *state, uint32_t slot, uint32_t worker)
{
	return state_worker(state, slot)->state != LB_SLOT_FREE &&
	       state_worker(state, slot)->worker == worker;
}

uint32_t service_workers(const struct state *state)
{
	uint32_t workers = 0;

	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		const struct lb_worker row = state_worker_copy(state, slot);

		/* a number that is too high is none of lbctl's */
		if (row.state != LB_SLOT_FREE && row.worker < LB_MAX_WORKERS &&
		    row.worker >= workers)
			workers = row.worker + 1;
	}
	return workers;
}

static struct member *find_member(struct reuseport_group *group, uint64_t cookie)
{
	for (size_t i = 0; group && i < group->nr_members; i++) {
		if (group->members[i].socket.cookie == cookie)
			return &group->members[i];
	}
	return NULL;
}

/* What is known of the old socket's queue says nothing of the new one's. */
static void forget_stall(struct lb_stall *stall)
{
	__atomic_store_n(&stall->rescued_ns, 0, __ATOMIC_SEQ_CST);
	stall->since_ns = 0;
}

static bool is_noted_at(const struct state *state, uint64_t cookie, const struct lb_place *at)
{
	struct lb_place noted;

	return !state_place(state, cookie, &noted) && noted.slot == at->slot &&
	       noted.listener == at->listener;
}

static void set_occupant(struct state *state, uint32_t listener, uint32_t slot, uint64_t cookie,
			 const struct member *member)
{
	struct lb_queue *queue = state_queue(state, listener, slot);
	const struct lb_place place = { .slot = slot, .listener = listener };
	/* a socket that joined need not be among what was found: what is known of it stays */
	uint64_t sock = queue->cookie == cookie ? queue->sock : 0;

	if (member && member->sock)
		sock = member->sock;
	if (queue->cookie == cookie && queue->sock == sock &&
	    (!cookie || is_noted_at(state, cookie, &place)))
		return;
	if (queue->cookie != cookie)
		forget_stall(state_stall(state, listener, slot));
	if (queue->cookie && queue->cookie != cookie)
		state_delete(state, MAP_COOKIES, &queue->cookie);
	/* before the queue says so: then nothing is left to do, should we be killed */
	if (cookie)
		state_update(state, MAP_COOKIES, &cookie, &place, sizeof(place));
	/* A pointer is believed only with its cookie: never show a new one with the old other. */
	__atomic_store_n(&queue->sock, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&queue->cookie, cookie, __ATOMIC_SEQ_CST);
	__atomic_store_n(&queue->sock, cookie ? sock : 0, __ATOMIC_SEQ_CST);
}

/* What sits in the slot, and who polls it. Returns how many listeners have a socket there. */
static uint32_t check_slot(struct state *state, struct reuseport_group *const *groups,
			   uint32_t slot)
{
	struct member *member;
	uint32_t open = 0;
	uint64_t cookie;

	for (uint32_t i = 0; i < state->nr_listeners; i++) {
		cookie = steer_registered_cookie(state, i, slot);
		member = cookie ? find_member(groups[i], cookie) : NULL;
		if (!cookie && !state_queue(state, i, slot)->cookie)
			continue;
		set_occupant(state, i, slot, cookie, member);
		open += cookie != 0;
		if (member && member->pid)
			state_worker(state, slot)->pid = member->pid;
	}
	return open;
}

static void check_slots(struct state *state, struct reuseport_group *const *groups,
			struct service_change *change)
{
	struct lb_worker *worker;
	uint32_t open;

	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		worker = state_worker(state, slot);
		open = check_slot(state, groups, slot);
		/* also a new slot whose lbctl was killed between registering and this */
		if (open && !lb_slot_is_open(worker->state))
			worker->state = LB_SLOT_UP;
		if (!open && lb_slot_is_open(worker->state)) {
			worker->state = LB_SLOT_DOWN;
			worker->pid = 0;
			change->gone++;
		}
	}
}

/* A slot that has a socket of the same process in another listener, and none in this one. */
static int find_pair(const struct state *state, uint32_t listener, pid_t pid)
{
	for (uint32_t slot = 0; pid && slot < state_used_slots(state); slot++) {
		if (state_worker(state, slot)->pid == (uint32_t)pid &&
		    lb_slot_is_open(state_worker(state, slot)->state) &&
		    !state_queue(state, listener, slot)->cookie)
			return slot;
	}
	return -1;
}

/* Are all sockets of a slot about to close? */
static bool is_leaving(const struct state *state, uint32_t slot, const struct service_owner *owner)
{
	bool leaves = owner && owner->leaves;

	for (uint32_t i = 0; i < state->nr_listeners && leaves; i++) {
		uint64_t cookie = state_queue(state, i, slot)->cookie;

		leaves = !cookie || owner->leaves(owner->arg, cookie);
	}
	return leaves;
}

/* The lowest worker that has no open slot, but for what leaves; else the next number. */
static uint32_t lowest_without_socket(const struct state *state, const struct service_owner *owner)
{
	uint32_t workers = service_workers(state), worker = 0;
	bool has[LB_MAX_WORKERS] = { false };

	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		const struct lb_worker row = state_worker_copy(state, slot);

		if (row.worker < LB_MAX_WORKERS && lb_slot_is_open(row.state) &&
		    !is_leaving(state, slot, owner))
			has[row.worker] = true;
	}
	while (worker < workers && has[worker])
		worker++;
	return worker;
}

static void begin_slot(struct state *state, uint32_t slot, uint32_t worker, uint32_t weight,
		       uint32_t limit)
{
	const struct lb_worker row = {
		.worker = worker,
		.state = LB_SLOT_FREE,
		.weight = weight,
		.inverse_weight = lb_inverse_weight(weight),
		.limit = limit,
	};

	state_worker_set(state, slot, &row);
	state->config->used_slots = slot + 1;
}

/*
 * A slot for one more process of a worker: one of its own that is closed, or a new one, which is
 * its own from then on, so that no slot ever inherits another worker's counts.
 */
static int slot_for_worker(struct state *state, uint32_t worker)
{
	uint32_t weight = 1, limit = state->config->limit, owned = 0, slot;
	int closed = -EUSERS;

	if (worker >= LB_MAX_WORKERS)
		return -ENOSPC;
	for (slot = 0; slot < state_used_slots(state); slot++) {
		if (state_worker(state, slot)->worker != worker)
			continue;
		/* rather one whose last process has no connections any more */
		if (!lb_slot_is_open(state_worker(state, slot)->state) &&
		    !state_stats(state, slot)->live)
			return slot;
		if (!lb_slot_is_open(state_worker(state, slot)->state))
			closed = slot;
		weight = state_worker(state, slot)->weight;
		limit = state_worker(state, slot)->limit;
		owned++;
	}
	if (owned >= LB_SLOTS_PER_WORKER)
		return closed;
	/* only where rows are of no worker that there can be */
	if (slot == LB_MAX_SLOTS)
		return -ENOSPC;
	begin_slot(state, slot, worker, weight, limit);
	return slot;
}

static int choose_slot(struct state *state, uint32_t listener, const struct service_owner *owner,
		       const struct member *member)
{
	int slot, worker = -1;

	if (owner && owner->pair)
		slot = owner->pair(owner->arg, state, member);
	else
		slot = find_pair(state, listener, member->pid);
	if (slot >= 0)
		return slot;
	if (owner)
		worker = owner->worker(owner->arg, member);
	return slot_for_worker(state,
			       worker < 0 ? lowest_without_socket(state, owner) : (uint32_t)worker);
}

/* The mark first: what the socket accepts from now on inherits it. */
static int register_socket(const struct state *state, uint32_t listener, uint32_t slot, int fd)
{
	int err = track_mark(state, slot, fd);

	return err ? err : steer_register(state, listener, slot, fd);
}

static int register_patiently(const struct state *state, uint32_t listener, uint32_t slot,
			      const struct member *member)
{
	const struct timespec nap = { .tv_nsec = 20 * 1000 * 1000 };
	int err;

	for (int waited_ms = 0;; waited_ms += 20) {
		_cleanup_close_ int copy = member_duplicate(member);

		if (copy < 0)
			return copy;
		err = register_socket(state, listener, slot, copy);
		if (err != -EBUSY || waited_ms >= REGISTER_RETRY_MS)
			return err;
		close_fd(&copy);
		nanosleep(&nap, NULL);
	}
}

/*
 * With `fd` in hand, else (-1) with a duplicate from whoever holds it. Returns the slot or -errno.
 */
static int place_member(struct state *state, uint32_t listener, const struct service_owner *owner,
			const struct member *member, int fd)
{
	struct lb_worker *row;
	int slot, err;

	slot = choose_slot(state, listener, owner, member);
	if (slot < 0)
		return slot;
	if (!lb_slot_is_open(state_worker(state, slot)->state))
		track_begin_slot(state, slot);
	if (fd >= 0)
		err = register_socket(state, listener, slot, fd);
	else
		err = register_patiently(state, listener, slot, member);
	if (err)
		return err;
	set_occupant(state, listener, slot, member->socket.cookie, member);
	row = state_worker(state, slot);
	row->pid = member->pid;
	if (!lb_slot_is_open(row->state))
		__atomic_store_n(&row->state, LB_SLOT_UP, __ATOMIC_RELEASE);
	return slot;
}

static int place_new_members(struct state *state, uint32_t listener, struct reuseport_group *group,
			     const struct service_owner *owner, struct service_change *change)
{
	struct lb_place place;
	int err;

	for (size_t i = 0; group && i < group->nr_members; i++) {
		struct member *member = &group->members[i];

		if (!state_place(state, member->socket.cookie, &place) ||
		    (owner && owner->worker(owner->arg, member) == SERVICE_NOT_YET))
			continue;
		err = place_member(state, listener, owner, member, -1);
		/* closed since it was found: it needs no place */
		if (err == -ESRCH)
			continue;
		/* a third process of a worker waits until one of the others is gone */
		if (err == -EUSERS) {
			change->waiting++;
			continue;
		}
		if (err < 0) {
			change->refused = member;
			return err;
		}
		change->added++;
	}
	return 0;
}

int service_refresh(struct state *state, struct reuseport_group *const *groups, uint32_t policy,
		    const struct service_owner *owner, struct service_change *change)
{
	int err = 0;

	*change = (struct service_change){ 0 };
	check_slots(state, groups, change);
	for (uint32_t i = 0; !err && i < state->nr_listeners; i++)
		err = place_new_members(state, i, groups[i], owner, change);
	return err ? err : steer_publish(state, policy);
}

int service_join(struct state *state, uint32_t listener, const struct service_owner *owner,
		 const struct member *member, int fd)
{
	int slot = place_member(state, listener, owner, member, fd);
	int err = slot < 0 ? slot : steer_publish(state, lb_word_policy(state->config->word));

	return err ? err : slot;
}

int service_slot_of_cookie(const struct state *state, uint64_t cookie)
{
	struct lb_place place;

	return state_place(state, cookie, &place) ? -ENOENT : (int)place.slot;
}

void service_set_limit(struct state *state, uint32_t limit)
{
	__atomic_store_n(&state->config->limit, limit, __ATOMIC_SEQ_CST);
	for (uint32_t slot = 0; slot < state_used_slots(state); slot++)
		__atomic_store_n(&state_worker(state, slot)->limit, limit, __ATOMIC_SEQ_CST);
}

void service_retire(struct state *state, uint32_t worker)
{
	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		if (state_worker(state, slot)->worker != worker)
			continue;
		/* a socket that stayed would be taken for a new one, whose lbctl was killed */
		for (uint32_t i = 0; i < state->nr_listeners; i++) {
			steer_unregister(state, i, slot);
			set_occupant(state, i, slot, 0, NULL);
		}
		state_worker(state, slot)->state = LB_SLOT_FREE;
	}
}
