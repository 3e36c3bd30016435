// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See service.h. */
#include "service.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "lb_pick.h"
#include "steer.h"

/* After a detach the kernel frees its socket array only after a grace period. */
#define REGISTER_RETRY_MS 3000

uint32_t service_slots(size_t workers)
{
	uint32_t slots = LB_MIN_SLOTS;

	while (slots < workers * 2 * LB_SLOTS_PER_WORKER && slots < LB_MAX_SLOTS)
		slots *= 2;
	return slots;
}

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

bool service_slot_of(const struct state *state, uint32_t slot, uint32_t worker)
{
	return state->workers[slot].state != LB_SLOT_FREE && state->workers[slot].worker == worker;
}

uint32_t service_workers(const struct state *state)
{
	uint32_t workers = 0;

	for (uint32_t slot = 0; slot < state->config->used_slots; slot++) {
		if (state->workers[slot].state != LB_SLOT_FREE &&
		    state->workers[slot].worker >= workers)
			workers = state->workers[slot].worker + 1;
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

static void set_occupant(struct state *state, uint32_t listener, uint32_t slot, uint64_t cookie,
			 const struct member *member)
{
	struct lb_queue *queue = &state->listeners[listener].queues[slot];
	const struct lb_place place = { .slot = slot, .listener = listener };

	if (queue->cookie && queue->cookie != cookie)
		bpf_map_delete_elem(state->maps[MAP_COOKIES], &queue->cookie);
	/* A pointer is believed only with its cookie: never show a new one with the old other. */
	__atomic_store_n(&queue->sock, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&queue->cookie, cookie, __ATOMIC_SEQ_CST);
	if (!cookie)
		return;
	__atomic_store_n(&queue->sock, member ? member->sock : 0, __ATOMIC_SEQ_CST);
	bpf_map_update_elem(state->maps[MAP_COOKIES], &cookie, &place, BPF_ANY);
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
		if (!cookie && !state->listeners[i].queues[slot].cookie)
			continue;
		set_occupant(state, i, slot, cookie, member);
		open += cookie != 0;
		if (member && member->pid)
			state->workers[slot].pid = member->pid;
	}
	return open;
}

static void check_slots(struct state *state, struct reuseport_group *const *groups,
			struct service_change *change)
{
	struct lb_worker *worker;
	uint32_t open;

	for (uint32_t slot = 0; slot < state->config->used_slots; slot++) {
		worker = &state->workers[slot];
		open = check_slot(state, groups, slot);
		if (open && worker->state == LB_SLOT_DOWN)
			worker->state = LB_SLOT_UP;
		if (!open && (worker->state == LB_SLOT_UP || worker->state == LB_SLOT_DRAINING)) {
			worker->state = LB_SLOT_DOWN;
			worker->pid = 0;
			change->gone++;
		}
	}
}

/* A slot that has a socket of the same process in another listener, and none in this one. */
static int find_pair(const struct state *state, uint32_t listener, pid_t pid)
{
	for (uint32_t slot = 0; pid && slot < state->config->used_slots; slot++) {
		if (state->workers[slot].pid == (uint32_t)pid &&
		    (state->workers[slot].state == LB_SLOT_UP ||
		     state->workers[slot].state == LB_SLOT_DRAINING) &&
		    !state->listeners[listener].queues[slot].cookie)
			return slot;
	}
	return -1;
}

/* The slot of the lowest worker that is down. */
static int find_down(const struct state *state)
{
	int found = -1;

	for (uint32_t slot = 0; slot < state->config->used_slots; slot++) {
		if (state->workers[slot].state == LB_SLOT_DOWN &&
		    (found < 0 || state->workers[slot].worker < state->workers[found].worker))
			found = slot;
	}
	return found;
}

/* A free slot for a worker with the next number. */
static int new_slot(struct state *state)
{
	uint32_t slot = 0, worker = service_workers(state);

	while (slot < state->config->used_slots && state->workers[slot].state != LB_SLOT_FREE)
		slot++;
	if (slot >= state->config->slots || worker >= LB_MAX_WORKERS)
		return -ENOSPC;
	state->workers[slot] = (struct lb_worker){
		.worker = worker,
		.state = LB_SLOT_FREE,
		.weight = 1,
		.inverse_weight = lb_inverse_weight(1),
	};
	if (slot >= state->config->used_slots)
		state->config->used_slots = slot + 1;
	return slot;
}

static int choose_slot(struct state *state, uint32_t listener, pid_t pid)
{
	int slot = find_pair(state, listener, pid);

	if (slot < 0)
		slot = find_down(state);
	return slot < 0 ? new_slot(state) : slot;
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
		err = steer_register(state, listener, slot, copy);
		if (err != -EBUSY || waited_ms >= REGISTER_RETRY_MS)
			return err;
		close_fd(&copy);
		nanosleep(&nap, NULL);
	}
}

static int place_member(struct state *state, uint32_t listener, const struct member *member)
{
	struct lb_worker *worker;
	struct timespec now;
	int slot, err;

	slot = choose_slot(state, listener, member->pid);
	if (slot < 0)
		return slot;
	err = register_patiently(state, listener, slot, member);
	if (err)
		return err;
	set_occupant(state, listener, slot, member->socket.cookie, member);
	worker = &state->workers[slot];
	worker->pid = member->pid;
	if (worker->state == LB_SLOT_UP || worker->state == LB_SLOT_DRAINING)
		return 0;
	clock_gettime(CLOCK_REALTIME, &now);
	worker->since_ns = (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	__atomic_store_n(&worker->state, LB_SLOT_UP, __ATOMIC_RELEASE);
	return 0;
}

static int place_new_members(struct state *state, uint32_t listener, struct reuseport_group *group,
			     struct service_change *change)
{
	struct lb_place place;
	int err;

	for (size_t i = 0; group && i < group->nr_members; i++) {
		struct member *member = &group->members[i];

		if (!bpf_map_lookup_elem(state->maps[MAP_COOKIES], &member->socket.cookie, &place))
			continue;
		err = place_member(state, listener, member);
		/* closed since it was found: it needs no place */
		if (err == -ESRCH)
			continue;
		if (err) {
			change->refused = member;
			return err;
		}
		change->added++;
	}
	return 0;
}

int service_refresh(struct state *state, struct reuseport_group *const *groups, uint32_t policy,
		    struct service_change *change)
{
	int err = 0;

	*change = (struct service_change){ 0 };
	check_slots(state, groups, change);
	for (uint32_t i = 0; !err && i < state->nr_listeners; i++)
		err = place_new_members(state, i, groups[i], change);
	return err ? err : steer_publish(state, policy);
}
