// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See hold.h. */
#include "service/hold.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "base/cleanup.h"
#include "host/netns.h"
#include "host/probe.h"
#include "lb_hold.h"
#include "lb_pick.h"
#include "service/service.h"
#include "service/track.h"

#define AWAIT_LOOKS 500 /* 2 ms apart */

const char *hold_obstacle(const struct state *state)
{
	const struct features *found = probe_features();
	bool tcp = false;

	for (uint32_t i = 0; i < state->nr_listeners; i++)
		tcp |= state->config->listeners[i].proto == LB_PROTO_TCP;
	if (!tcp)
		return "of UDP nothing can wait";
	if (!lb_policy_scans(lb_word_policy(state->config->word)))
		return "its policy chooses without a look at who is busy";
	if (!found->fetch || !found->migrate || !found->hold)
		return "it takes Linux 5.15";
	if (!track_is_on(state))
		return "the kernel does not count its connections";
	if (state_used_slots(state) > (found->cast ? LB_SCAN_WINDOW : LB_SLOW_SCAN_WINDOW))
		return "it has more workers than one decision looks at";
	return NULL;
}

void hold_explain(const struct state *state, char *out, size_t bytes)
{
	const char *obstacle = hold_obstacle(state);

	if (!obstacle)
		obstacle = state_hold(state)->why;
	snprintf(out, bytes, "%.*s", (int)sizeof(state_hold(state)->why) - 1, obstacle);
}

bool hold_is_on(const struct state *state)
{
	const struct lb_hold *hold = state_hold(state);
	uint64_t open = 0;

	for (int i = 0; i < LB_MAX_LISTENERS; i++)
		open |= __atomic_load_n(&hold->open[i], __ATOMIC_RELAXED);
	return open;
}

bool hold_is_wanted(const struct state *state)
{
	return __atomic_load_n(&state->config->hold_ns, __ATOMIC_RELAXED) && !hold_obstacle(state);
}

void hold_reset(const struct state *state)
{
	struct lb_hold *hold = state_hold(state);

	for (int i = 0; i < LB_MAX_LISTENERS; i++)
		__atomic_store_n(&hold->open[i], 0, __ATOMIC_SEQ_CST);
	hold->most_ns = hold->always = hold->invited = hold->told_ns = 0;
	hold->taken = hold->occupied = hold->closing = hold->let_go = 0;
	__atomic_store_n(&hold->asked_ns, 0, __ATOMIC_SEQ_CST);
}

/* Where a worker has its listening sockets, as last found. */
struct found {
	uint64_t cookie;
	struct procs_holder holder;
};

static int find(const struct state *state, uint32_t listener, pid_t pid, struct found *found)
{
	_cleanup_close_ int netns = -1;
	struct groups groups;
	int err = netns_find(state->config->listeners[listener].netns, &netns);

	if (!err)
		err = groups_find(netns, state->config->listeners[listener].port, pid, GROUP_QUICK,
				  &groups);
	if (err)
		return err;
	err = -ENOENT;
	for (size_t g = 0; g < groups.count; g++) {
		for (size_t i = 0; err && i < groups.items[g].nr_members; i++) {
			const struct member *member = &groups.items[g].members[i];

			if (member->socket.cookie != found->cookie || !member->nr_holders)
				continue;
			found->holder = member->holders[0];
			err = 0;
		}
	}
	groups_free(&groups);
	return err;
}

static int wake_by(const struct found *found)
{
	_cleanup_close_ int fd = holder_duplicate(&found->holder, found->cookie);

	return fd < 0 || shutdown(fd, SHUT_WR) ? -ESRCH : 0;
}

void hold_wake(const struct state *state, uint32_t slot)
{
	static struct found known[LB_MAX_LISTENERS][LB_SCAN_WINDOW];
	pid_t pid = state_worker(state, slot)->pid;

	for (uint32_t i = 0; slot < LB_SCAN_WINDOW && i < state->nr_listeners; i++) {
		struct found *found = &known[i][slot];
		uint64_t cookie = state_queue(state, i, slot)->cookie;

		if (!cookie || state->config->listeners[i].proto != LB_PROTO_TCP)
			continue;
		if (found->cookie == cookie && !wake_by(found))
			continue;
		*found = (struct found){ .cookie = cookie };
		if (find(state, i, pid, found) || wake_by(found))
			found->cookie = 0;
	}
}

/* --- where their sockets don't belong --- */

bool hold_is_waiting(const struct state *state, uint64_t cookie)
{
	struct lb_place place;

	return !state_lookup(state, MAP_COOKIES, &cookie, &place, sizeof(place)) &&
	       lb_is_waiting_slot(place.slot);
}

static void strip_group(const struct state *state, struct reuseport_group *group)
{
	size_t kept = 0;

	for (size_t i = 0; i < group->nr_members; i++) {
		if (!hold_is_waiting(state, group->members[i].socket.cookie))
			group->members[kept++] = group->members[i];
	}
	group->nr_members = kept;
}

static void strip(const struct state *state, struct groups *groups)
{
	size_t kept = 0;

	for (size_t g = 0; g < groups->count; g++) {
		struct reuseport_group *group = &groups->items[g];

		/* its own are nowhere else */
		if (service_listener(state, group) >= 0)
			strip_group(state, group);
		if (group->nr_members)
			groups->items[kept++] = *group;
		else
			free(group->members);
	}
	groups->count = kept;
}

void hold_strip(struct groups *groups)
{
	char(*names)[LB_NAME_MAX + 1] = NULL;
	struct state state;
	size_t count = 0;

	if (state_names(&names, &count))
		return;
	for (size_t i = 0; i < count; i++) {
		if (state_open(&state, names[i], STATE_READ))
			continue;
		strip(&state, groups);
		state_close(&state);
	}
	free(names);
}

/* Runs inside a namespace: are some of the service's waiting listeners there still? */
struct left {
	const struct state *state;
	uint16_t port;
	bool some;
};

static int look_for_waiting(void *arg)
{
	struct left *left = arg;
	struct sockdiag_list list;
	int err = sockdiag_listeners(IPPROTO_TCP, left->port, &list);

	for (size_t i = 0; !err && i < list.count; i++)
		left->some |= hold_is_waiting(left->state, list.items[i].cookie);
	sockdiag_free(&list);
	return err;
}

static bool some_are_left(const struct state *state)
{
	struct left left = { .state = state };

	for (uint32_t i = 0; i < state->nr_listeners; i++) {
		const struct lb_listener *listener = &state->config->listeners[i];
		_cleanup_close_ int netns = -1;

		left.port = listener->port;
		if (listener->proto == LB_PROTO_TCP && !netns_find(listener->netns, &netns))
			netns_run(netns, look_for_waiting, &left);
	}
	return left.some;
}

void hold_await_end(const struct state *state)
{
	const struct timespec nap = { .tv_nsec = 2000000 };

	for (int i = 0; i < AWAIT_LOOKS && some_are_left(state); i++)
		nanosleep(&nap, NULL);
}

void hold_sweep(const struct state *state)
{
	int fd = state->maps[MAP_COOKIES];
	uint64_t cookie, next;
	bool more = !bpf_map_get_next_key(fd, NULL, &next);

	while (more) {
		cookie = next;
		more = !bpf_map_get_next_key(fd, &cookie, &next);
		if (hold_is_waiting(state, cookie))
			state_delete(state, MAP_COOKIES, &cookie);
	}
}
