// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See census.h. */
#include "service/census.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/cleanup.h"
#include "host/cgroup.h"
#include "host/group.h"
#include "host/netns.h"
#include "host/probe.h"
#include "host/sockdiag.h"
#include "lb_count_in.h"
#include "service/service.h"
#include "service/track.h"
#include "count_in.skel.h"

#define PASSES 3 /* two have to agree; under load none may, and a keeper looks again */
#define LOOKS 3	 /* for connections that are being accepted */
#define LOOKS_APART_MS 20

/* A socket that lacks its mark, or is not counted. */
struct amiss {
	uint64_t cookie;
	bool marked;
};

struct tally {
	const struct state *state;
	bool some_moved;     /* so that lb_moved has to be asked */
	bool blind;	     /* some namespace could not be looked at */
	uint64_t netns;	     /* the one that is being looked at */
	struct amiss *amiss; /* by cookie */
	size_t nr_amiss, room;
	size_t nr_waiting; /* of them, not accepted yet */
	struct slot_tally {
		struct lb_stats before;
		/* connections found that are in its live count, in this pass and in the last */
		struct found {
			uint64_t count;
			uint64_t sum; /* of their cookies */
		} found, last;
		int64_t drift; /* of the last pass */
		bool mended;
	} * slots;
};

/* --- a pass: what sock_diag tells --- */

static int note_amiss(struct tally *tally, const struct sockdiag_socket *socket)
{
	struct amiss *grown;

	if (tally->nr_amiss == tally->room) {
		tally->room = tally->room ? tally->room * 2 : 64;
		grown = reallocarray(tally->amiss, tally->room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		tally->amiss = grown;
	}
	tally->amiss[tally->nr_amiss++] = (struct amiss){ socket->cookie, socket->marked };
	tally->nr_waiting += socket->state != TCP_LISTEN && !socket->inode;
	return 0;
}

static bool is_current(const struct tally *tally, const struct lb_conn *mark)
{
	const struct state *state = tally->state;

	return mark->slot < LB_MAX_SLOTS &&
	       mark->generation == state_worker(state, mark->slot)->generation;
}

static int note_listener(struct tally *tally, const struct sockdiag_socket *socket)
{
	int slot = service_slot_of_cookie(tally->state, socket->cookie);

	if (slot < 0 || (socket->marked && socket->mark.slot == (uint32_t)slot &&
			 is_current(tally, &socket->mark)))
		return 0;
	return note_amiss(tally, socket);
}

/* Could it be of one of the service's listeners? */
static bool is_ours(const struct tally *tally, const struct sockdiag_socket *socket)
{
	static const uint8_t any[16];

	for (uint32_t i = 0; i < tally->state->nr_listeners; i++) {
		const struct lb_listener *listener = &tally->state->config->listeners[i];

		if (listener->netns == tally->netns && listener->proto == LB_PROTO_TCP &&
		    listener->port == socket->port && listener->family == socket->family &&
		    (!memcmp(listener->addr, any, sizeof(any)) ||
		     !memcmp(listener->addr, socket->addr, sizeof(socket->addr))))
			return true;
	}
	return false;
}

static int note_connection(struct tally *tally, const struct sockdiag_socket *socket)
{
	/* a handshake is no connection yet; TCP Fast Open's is, and is counted at once */
	bool to_count = probe_features()->adopt && socket->state != TCP_SYN_RECV;
	const struct lb_conn *mark = &socket->mark;
	struct slot_tally *own;
	struct lb_conn moved;

	if (!socket->marked)
		return to_count && is_ours(tally, socket) ? note_amiss(tally, socket) : 0;
	if (tally->some_moved &&
	    !state_lookup(tally->state, MAP_MOVED, &socket->cookie, &moved, sizeof(moved)))
		mark = &moved;
	/* of a slot that another socket has taken over: counts nowhere, for good */
	if (!is_current(tally, mark))
		return 0;
	if (!socket->mark.counted)
		return to_count ? note_amiss(tally, socket) : 0;
	own = &tally->slots[mark->slot];
	own->found.count++;
	own->found.sum += socket->cookie;
	return 0;
}

/* Runs inside a namespace. */
static int look(void *arg)
{
	struct tally *tally = arg;
	struct sockdiag_list list;
	int err;

	err = sockdiag_marks(tally->state->maps[MAP_CONNS], &list);
	for (size_t i = 0; i < list.count && !err; i++) {
		if (list.items[i].state == TCP_LISTEN)
			err = note_listener(tally, &list.items[i]);
		else
			err = note_connection(tally, &list.items[i]);
	}
	sockdiag_free(&list);
	return err;
}

/* Is it the first listener in its namespace, or there on its port? */
static bool is_first_there(const struct state *state, uint32_t listener, bool on_port)
{
	const struct lb_listener *all = state->config->listeners;

	for (uint32_t i = 0; i < listener; i++) {
		if (all[i].netns == all[listener].netns && all[i].proto == all[listener].proto &&
		    (!on_port || all[i].port == all[listener].port))
			return false;
	}
	return true;
}

/* Calls fn for each namespace that the service has TCP listeners in, or for each port there. */
static int visit(struct tally *tally, bool each_port,
		 int (*fn)(struct tally *tally, int netns, uint16_t port))
{
	const struct state *state = tally->state;
	int err = 0;

	for (uint32_t i = 0; i < state->nr_listeners && !err; i++) {
		const struct lb_listener *listener = &state->config->listeners[i];
		_cleanup_close_ int netns = -1;

		if (listener->proto != LB_PROTO_TCP || !is_first_there(state, i, each_port))
			continue;
		err = netns_find(listener->netns, &netns);
		tally->blind |= err && err != -ENOENT;
		tally->netns = listener->netns;
		/* one that is gone has no sockets */
		err = err ? 0 : fn(tally, netns, listener->port);
	}
	return err;
}

static int look_there(struct tally *tally, int netns, uint16_t port)
{
	(void)port;
	return netns_run(netns, look, tally);
}

static int compare_cookies(const void *a, const void *b)
{
	const struct amiss *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

static int pass(struct tally *tally)
{
	const struct state *state = tally->state;
	int err;

	tally->some_moved = false;
	for (uint32_t slot = 0; slot < state->config->used_slots; slot++) {
		struct slot_tally *own = &tally->slots[slot];

		own->before = state_stats_copy(state, slot);
		own->last = own->found;
		own->found = (struct found){ 0 };
		tally->some_moved |= own->before.migrated_in != 0;
	}
	tally->nr_amiss = 0;
	tally->nr_waiting = 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	err = visit(tally, false, look_there);
	if (tally->nr_amiss)
		qsort(tally->amiss, tally->nr_amiss, sizeof(*tally->amiss), compare_cookies);
	return err;
}

/* --- what is amiss --- */

static const struct amiss *find_amiss(const struct tally *tally, uint64_t cookie)
{
	const struct amiss key = { .cookie = cookie };

	return bsearch(&key, tally->amiss, tally->nr_amiss, sizeof(key), compare_cookies);
}

static void mark_listener(const struct tally *tally, const struct member *member)
{
	int slot = service_slot_of_cookie(tally->state, member->socket.cookie);
	_cleanup_close_ int fd = -1;

	if (slot < 0 || !find_amiss(tally, member->socket.cookie))
		return;
	fd = member_duplicate(member);
	if (fd >= 0)
		track_mark(tally->state, slot, fd);
}

/* The program that counts in, on the cgroup for the moment. */
struct hook {
	struct count_in *skel;
	struct bpf_link *link; /* NULL before it is needed, or where another program forbids it */
};

static bool hook_in(const struct state *state, struct hook *hook)
{
	_cleanup_close_ int cgroup = -1;

	if (hook->skel)
		return hook->link;
	cgroup = cgroup_open(track_cgroup(state));
	hook->skel = count_in__open();
	if (!hook->skel)
		return false;
	state_sizes(state, &state->listeners[0], &hook->skel->rodata->lb_sizes);
	if (!state_reuse_maps(state, hook->skel->obj) && !count_in__load(hook->skel))
		hook->link = bpf_program__attach_cgroup(hook->skel->progs.lb_count_in, cgroup);
	return hook->link;
}

/*
 * The duplicate is there for some microseconds; should its owner close it meanwhile, the end of
 * the connection waits for them. It may end before, or another program may refuse: then it is as it
 * was.
 */
static void count_in(struct tally *tally, struct hook *hook,
		     const struct group_connection *connection)
{
	const struct amiss *amiss = find_amiss(tally, connection->cookie);
	_cleanup_close_ int fd = -1;
	struct lb_found *found;
	const int unused = 0;
	int slot = -1;

	if (!amiss || !connection->holder)
		return;
	if (!amiss->marked) {
		slot = service_slot_of_cookie(tally->state, connection->listener);
		if (slot < 0)
			return;
	}
	if (!hook_in(tally->state, hook))
		return;
	fd = holder_duplicate(connection->holder, connection->cookie);
	if (fd < 0)
		return;
	found = &hook->skel->bss->lb_found;
	found->slot = slot < 0 ? LB_NO_SLOT : (uint32_t)slot;
	__atomic_store_n(&found->cookie, connection->cookie, __ATOMIC_RELEASE);
	setsockopt(fd, LB_COUNT_IN, 0, &unused, sizeof(unused));
	__atomic_store_n(&found->cookie, 0, __ATOMIC_RELEASE);
}

static int put_port_in_order(struct tally *tally, int netns, uint16_t port)
{
	struct hook hook = { 0 };
	struct groups groups;
	int err;

	err = groups_find(netns, port, 0, GROUP_LIVE | GROUP_QUICK, &groups);
	if (err)
		return err;
	for (size_t g = 0; g < groups.count; g++) {
		for (size_t i = 0; i < groups.items[g].nr_members; i++)
			mark_listener(tally, &groups.items[g].members[i]);
	}
	for (size_t i = 0; probe_features()->adopt && i < groups.nr_connections; i++)
		count_in(tally, &hook, &groups.connections[i]);
	bpf_link__destroy(hook.link);
	count_in__destroy(hook.skel);
	groups_free(&groups);
	return 0;
}

/* What is being accepted has an owner in a moment; what waits at a worker that hangs has not. */
static int put_in_order(struct tally *tally)
{
	const struct timespec nap = { .tv_nsec = LOOKS_APART_MS * 1000000 };
	int err = 0;

	for (int looks = 0; !err && tally->nr_amiss && looks < LOOKS; looks++) {
		if (looks)
			nanosleep(&nap, NULL);
		err = visit(tally, true, put_port_in_order);
		if (!err)
			err = pass(tally);
		if (!tally->nr_waiting)
			break;
	}
	return err;
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
 * Corrects what two passes in a row found wrong by the same amount and the same connections: one
 * alone may have come between a connection's mark and its count, and a list that took several reads
 * may lack one. Is there something left to look at?
 */
static bool mend(struct tally *tally)
{
	const struct state *state = tally->state;
	bool again = false, wrong = false;

	for (uint32_t slot = 0; slot < state->config->used_slots; slot++) {
		struct slot_tally *own = &tally->slots[slot];
		struct lb_stats after = state_stats_copy(state, slot);
		int64_t before = own->drift;

		if (own->mended)
			continue;
		own->drift = census_drift(&own->before, &after, own->found.count);
		/* what could not be looked at may be in the count */
		if (tally->blind && own->drift < 0)
			own->drift = 0;
		if (own->drift && own->drift == before && own->found.sum == own->last.sum) {
			__atomic_fetch_add(&state_stats(state, slot)->live, own->drift,
					   __ATOMIC_SEQ_CST);
			own->mended = true;
			continue;
		}
		wrong |= own->drift != 0;
		again |= (int64_t)own->found.count != after.live;
	}
	/* whoever was between the two in this pass is not in the next */
	if (wrong)
		track_await_programs();
	return again;
}

static int take(struct tally *tally)
{
	bool again = true;
	int err;

	err = pass(tally);
	if (!err)
		err = put_in_order(tally);
	for (int i = 1; again && !err; i++) {
		again = mend(tally) && i < PASSES;
		if (again)
			err = pass(tally);
	}
	return err;
}

int census_take(const struct state *state)
{
	_cleanup_free_ struct slot_tally *slots = calloc(LB_MAX_SLOTS, sizeof(*slots));
	struct tally tally = { .state = state, .slots = slots };
	int err;

	if (!track_is_on(state))
		return 0;
	if (!slots)
		return -ENOMEM;
	err = take(&tally);
	free(tally.amiss);
	return err;
}
