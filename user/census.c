// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See census.h. */
#include "census.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "cgroup.h"
#include "cleanup.h"
#include "group.h"
#include "lb_census.h"
#include "netns.h"
#include "probe.h"
#include "service.h"
#include "track.h"
#include "census.skel.h"

#define PASSES 3 /* two have to agree; under load none may, and a keeper looks again */
#define LOOKS 3	 /* for connections that are being accepted */
#define LOOKS_APART_MS 20
#define RECORDS 4096

enum {
	TCP_FAST_OPEN = 3, /* TCP_SYN_RECV of a full socket: still to be counted */
	TCP_LISTENS = 10,
};

struct tally {
	const struct state *state;
	struct census *skel;
	struct bpf_link *iterator;
	struct bpf_link *hook;	   /* for those that are to be counted in; or NULL */
	struct lb_census *records; /* room for RECORDS */
	size_t connections;	   /* on the service's ports, as sock_diag had them */
	uint64_t *in_order;	   /* cookies of sockets that need nothing, in the last pass */
	size_t nr_in_order, room, nr_connections_in_order;
	struct slot_tally {
		struct lb_stats before;
		uint64_t counted; /* connections found that are in its live count */
		int64_t drift;	  /* of the last pass */
		bool mended;
	} * slots;
};

/* --- a pass: which sockets there are --- */

static int note_in_order(struct tally *tally, uint64_t cookie)
{
	uint64_t *grown;

	if (tally->nr_in_order == tally->room) {
		tally->room = tally->room ? tally->room * 2 : RECORDS;
		grown = reallocarray(tally->in_order, tally->room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		tally->in_order = grown;
	}
	tally->in_order[tally->nr_in_order++] = cookie;
	return 0;
}

static int note_record(struct tally *tally, const struct lb_census *record)
{
	const struct state *state = tally->state;
	bool is_current = record->slot < state->config->slots &&
			  record->generation == state->workers[record->slot].generation;

	if (record->state == TCP_LISTENS)
		return is_current ? note_in_order(tally, record->cookie) : 0;
	if (is_current && record->counted)
		tally->slots[record->slot].counted++;
	/* of a slot that another socket has taken over: counts nowhere, for good */
	if (is_current && record->state != TCP_FAST_OPEN && !(record->counted && record->tells))
		return 0;
	tally->nr_connections_in_order++;
	return note_in_order(tally, record->cookie);
}

static int read_records(struct tally *tally, int iter)
{
	ssize_t n;
	int err;

	for (;;) {
		n = read(iter, tally->records, RECORDS * sizeof(*tally->records));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		for (size_t i = 0; i < n / sizeof(*tally->records); i++) {
			err = note_record(tally, &tally->records[i]);
			if (err)
				return err;
		}
	}
}

static int compare_cookies(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool is_in_order(const struct tally *tally, uint64_t cookie)
{
	return tally->nr_in_order && bsearch(&cookie, tally->in_order, tally->nr_in_order,
					     sizeof(cookie), compare_cookies);
}

static int pass(struct tally *tally)
{
	const struct state *state = tally->state;
	_cleanup_close_ int iter = -1;
	int err;

	for (uint32_t slot = 0; slot < state->config->used_slots; slot++) {
		tally->slots[slot].before = state->stats[slot];
		tally->slots[slot].counted = 0;
	}
	tally->nr_in_order = 0;
	tally->nr_connections_in_order = 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	iter = bpf_iter_create(bpf_link__fd(tally->iterator));
	err = iter < 0 ? -errno : read_records(tally, iter);
	if (tally->nr_in_order)
		qsort(tally->in_order, tally->nr_in_order, sizeof(*tally->in_order),
		      compare_cookies);
	return err;
}

/* --- what lacks a mark, or is not counted --- */

static bool is_unmarked(const struct tally *tally, uint32_t listener, uint32_t slot)
{
	uint64_t cookie = tally->state->listeners[listener].queues[slot].cookie;

	return cookie && !is_in_order(tally, cookie);
}

static bool is_amiss(const struct tally *tally)
{
	const struct state *state = tally->state;

	if (probe_features()->adopt && tally->nr_connections_in_order < tally->connections)
		return true;
	for (uint32_t i = 0; i < state->nr_listeners; i++) {
		if (state->config->listeners[i].proto != LB_PROTO_TCP)
			continue;
		for (uint32_t slot = 0; slot < state->config->used_slots; slot++) {
			if (is_unmarked(tally, i, slot))
				return true;
		}
	}
	return false;
}

static void mark_listeners(const struct tally *tally, const struct groups *groups)
{
	for (size_t g = 0; g < groups->count; g++) {
		for (size_t i = 0; i < groups->items[g].nr_members; i++) {
			const struct member *member = &groups->items[g].members[i];
			int slot = service_slot_of_cookie(tally->state, member->socket.cookie);
			_cleanup_close_ int fd = -1;

			if (slot < 0 || is_in_order(tally, member->socket.cookie))
				continue;
			fd = member_duplicate(member);
			if (fd >= 0)
				track_mark(tally->state, slot, fd);
		}
	}
}

/* It may end meanwhile, or another program may refuse: then it is as it was. */
static void count_in(const struct tally *tally, const struct group_connection *connection)
{
	struct lb_found *found = &tally->skel->bss->lb_found;
	int slot = service_slot_of_cookie(tally->state, connection->listener);
	_cleanup_close_ int fd = -1;
	const int unused = 0;

	if (slot < 0)
		return;
	fd = holder_duplicate(connection->holder, connection->cookie);
	if (fd < 0)
		return;
	found->slot = slot;
	found->cookie = connection->cookie;
	setsockopt(fd, LB_COUNT_IN, 0, &unused, sizeof(unused));
	found->cookie = 0;
}

/* Returns how many wait to be accepted, so that nobody can reach them. */
static size_t count_all_in(const struct tally *tally, const struct groups *groups)
{
	size_t waiting = 0;

	for (size_t i = 0; i < groups->nr_connections; i++) {
		const struct group_connection *connection = &groups->connections[i];

		if (is_in_order(tally, connection->cookie))
			continue;
		if (connection->holder)
			count_in(tally, connection);
		else
			waiting++;
	}
	return waiting;
}

/* Is it the first listener in its namespace, or there on its port? */
static bool is_first_there(const struct state *state, uint32_t listener, bool on_port)
{
	const struct lb_listener *all = state->config->listeners;

	for (uint32_t i = 0; i < listener; i++) {
		if (all[i].netns == all[listener].netns &&
		    (!on_port ||
		     (all[i].proto == all[listener].proto && all[i].port == all[listener].port)))
			return false;
	}
	return true;
}

/*
 * The list of sockets is older than the pass: whatever is in the first and not in the second has
 * no mark, or has ended.
 */
static int put_in_order(struct tally *tally, const struct lb_listener *listener, size_t *waiting)
{
	_cleanup_close_ int netns = -1;
	struct groups groups;
	int err;

	err = netns_find(listener->netns, &netns);
	/* a namespace that is gone has no sockets */
	if (err)
		return err == -ENOENT ? 0 : err;
	err = groups_find(netns, listener->port, 0, GROUP_LIVE | GROUP_QUICK, &groups);
	if (err)
		return err;
	err = pass(tally);
	if (!err) {
		mark_listeners(tally, &groups);
		if (tally->hook)
			*waiting += count_all_in(tally, &groups);
	}
	groups_free(&groups);
	return err;
}

static int put_all_in_order(struct tally *tally, size_t *waiting)
{
	const struct state *state = tally->state;
	int err = 0;

	*waiting = 0;
	for (uint32_t i = 0; i < state->nr_listeners && !err; i++) {
		const struct lb_listener *listener = &state->config->listeners[i];

		if (listener->proto == LB_PROTO_TCP && is_first_there(state, i, true))
			err = put_in_order(tally, listener, waiting);
	}
	return err;
}

/* What is being accepted has an owner in a moment; what waits at a worker that hangs has not. */
static int look_around(struct tally *tally)
{
	const struct timespec nap = { .tv_nsec = LOOKS_APART_MS * 1000000 };
	_cleanup_close_ int cgroup = -1;
	size_t waiting;
	int err;

	/* another program may have the cgroup for itself: then nothing is counted in */
	if (probe_features()->adopt) {
		cgroup = cgroup_open(track_cgroup(tally->state));
		tally->hook = bpf_program__attach_cgroup(tally->skel->progs.lb_count_in, cgroup);
	}
	err = put_all_in_order(tally, &waiting);
	for (int i = 1; !err && waiting && i < LOOKS; i++) {
		nanosleep(&nap, NULL);
		err = put_all_in_order(tally, &waiting);
	}
	bpf_link__destroy(tally->hook);
	tally->hook = NULL;
	return err ? err : pass(tally);
}

/* --- counts that are wrong --- */

int64_t census_drift(const struct lb_stats *before, const struct lb_stats *after, uint64_t counted)
{
	if (before->opened != after->opened || before->live != after->live ||
	    before->migrated_in != after->migrated_in)
		return 0;
	return (int64_t)counted - after->live;
}

/*
 * Corrects what two passes in a row found wrong by the same amount: one alone may have come between
 * a connection's mark and its count, or missed one. Is there something left to look at?
 */
static bool mend(struct tally *tally)
{
	const struct state *state = tally->state;
	bool again = false, wrong = false;

	for (uint32_t slot = 0; slot < state->config->used_slots; slot++) {
		struct slot_tally *own = &tally->slots[slot];
		struct lb_stats after = state->stats[slot];
		int64_t before = own->drift;

		if (own->mended)
			continue;
		own->drift = census_drift(&own->before, &after, own->counted);
		wrong |= own->drift != 0;
		if (own->drift && own->drift == before) {
			__atomic_fetch_add(&state->stats[slot].live, own->drift, __ATOMIC_SEQ_CST);
			own->mended = true;
		} else if (own->drift || (int64_t)own->counted != state->stats[slot].live) {
			again = true;
		}
	}
	/* whoever was between the two in this pass is not in the next */
	if (wrong)
		track_await_programs();
	return again;
}

/* --- all of it --- */

/* Runs inside a namespace: connections on each port that has a listener there. */
static int count_connections(void *arg)
{
	struct tally *tally = arg;
	const struct lb_listener *listeners = tally->state->config->listeners;
	struct sockdiag_list list;
	uint64_t here;
	int err;

	err = netns_of_self(&here);
	for (uint32_t i = 0; i < tally->state->nr_listeners && !err; i++) {
		if (listeners[i].netns != here || listeners[i].proto != LB_PROTO_TCP ||
		    !is_first_there(tally->state, i, true))
			continue;
		err = sockdiag_connections(listeners[i].port, &list);
		tally->connections += list.count;
		sockdiag_free(&list);
	}
	return err;
}

static int count_everywhere(struct tally *tally)
{
	const struct state *state = tally->state;
	int err = 0;

	for (uint32_t i = 0; i < state->nr_listeners && !err; i++) {
		_cleanup_close_ int netns = -1;

		if (!is_first_there(state, i, false))
			continue;
		err = netns_find(state->config->listeners[i].netns, &netns);
		if (!err)
			err = netns_run(netns, count_connections, tally);
		if (err == -ENOENT)
			err = 0;
	}
	return err;
}

static int load(struct tally *tally)
{
	union bpf_iter_link_info which = { .map.map_fd = tally->state->maps[MAP_CONNS] };
	const struct bpf_iter_attach_opts options = {
		.sz = sizeof(options),
		.link_info = &which,
		.link_info_len = sizeof(which),
	};
	struct census *skel;
	int err;

	skel = tally->skel = census__open();
	if (!skel)
		return -errno;
	bpf_program__set_autoload(skel->progs.lb_count_in, probe_features()->adopt);
	err = state_reuse_maps(tally->state, skel->obj);
	if (!err)
		err = census__load(skel);
	if (err)
		return err;
	tally->iterator = bpf_program__attach_iter(skel->progs.lb_census, &options);
	return tally->iterator ? 0 : -errno;
}

static int take(struct tally *tally)
{
	bool again = true;
	int err;

	err = count_everywhere(tally);
	if (!err)
		err = pass(tally);
	if (!err && is_amiss(tally))
		err = look_around(tally);
	for (int i = 1; again && !err; i++) {
		again = mend(tally) && i < PASSES;
		if (again)
			err = pass(tally);
	}
	return err;
}

int census_take(const struct state *state)
{
	_cleanup_free_ struct slot_tally *slots = calloc(state->config->slots, sizeof(*slots));
	_cleanup_free_ struct lb_census *records = calloc(RECORDS, sizeof(*records));
	struct tally tally = { .state = state, .slots = slots, .records = records };
	int err;

	if (!track_is_on(state))
		return 0;
	if (!slots || !records)
		return -ENOMEM;
	err = load(&tally);
	if (!err)
		err = take(&tally);
	else if (err != -EPERM && err != -ENOMEM)
		err = 0;
	free(tally.in_order);
	bpf_link__destroy(tally.iterator);
	census__destroy(tally.skel);
	return err;
}
