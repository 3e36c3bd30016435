// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See recount.h. */
#include "service/recount.h"

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
struct mismatch {
	uint64_t cookie;
	bool marked;
};

struct recount {
	const struct state *state;
	bool some_migrated;	     /* or were held, so that lb_migrated has to be asked */
	bool blind;		     /* some namespace could not be looked at */
	uint64_t netns;		     /* the one that is being looked at */
	struct mismatch *mismatches; /* by cookie */
	size_t nr_mismatches, room;
	size_t nr_waiting; /* of them, not accepted yet */
	struct slot_recount {
		struct lb_stats before;
		/* connections found that are in its live count, in this pass and in the last */
		struct found {
			uint64_t count;
			uint64_t sum; /* of their cookies */
		} found, last;
		int64_t drift; /* of the last pass */
		bool corrected;
	} * slots;
};

/* --- a pass: what sock_diag tells --- */

static int note_mismatch(struct recount *recount, const struct sockdiag_socket *socket)
{
	struct mismatch *grown;

	if (recount->nr_mismatches == recount->room) {
		recount->room = recount->room ? recount->room * 2 : 64;
		grown = reallocarray(recount->mismatches, recount->room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		recount->mismatches = grown;
	}
	recount->mismatches[recount->nr_mismatches++] =
		(struct mismatch){ socket->cookie, socket->marked };
	recount->nr_waiting += socket->state != TCP_LISTEN && !socket->inode;
	return 0;
}

static bool is_current(const struct recount *recount, const struct lb_conn *mark)
{
	const struct state *state = recount->state;

	return mark->slot < LB_MAX_SLOTS &&
	       mark->generation == state_worker(state, mark->slot)->generation;
}

static int note_listener(struct recount *recount, const struct sockdiag_socket *socket)
{
	int slot = service_slot_of_cookie(recount->state, socket->cookie);

	if (slot < 0 || (socket->marked && socket->mark.slot == (uint32_t)slot &&
			 is_current(recount, &socket->mark)))
		return 0;
	return note_mismatch(recount, socket);
}

/* Could it be of one of the service's listeners? */
static bool is_ours(const struct recount *recount, const struct sockdiag_socket *socket)
{
	static const uint8_t any[16];

	for (uint32_t i = 0; i < recount->state->nr_listeners; i++) {
		const struct lb_listener *listener = &recount->state->config->listeners[i];

		if (listener->netns == recount->netns && listener->proto == LB_PROTO_TCP &&
		    listener->port == socket->port && listener->family == socket->family &&
		    (!memcmp(listener->addr, any, sizeof(any)) ||
		     !memcmp(listener->addr, socket->addr, sizeof(socket->addr))))
			return true;
	}
	return false;
}

static int note_connection(struct recount *recount, const struct sockdiag_socket *socket)
{
	/* a handshake is no connection yet; TCP Fast Open's is, and is counted at once */
	bool to_count = probe_features()->late_count && socket->state != TCP_SYN_RECV;
	const struct lb_conn *mark = &socket->mark;
	struct slot_recount *own;
	struct lb_conn migrated;

	if (!socket->marked)
		return to_count && is_ours(recount, socket) ? note_mismatch(recount, socket) : 0;
	if (recount->some_migrated && !state_lookup(recount->state, MAP_MIGRATED, &socket->cookie,
						    &migrated, sizeof(migrated)))
		mark = &migrated;
	/* of a slot that another socket has taken over: counts nowhere, for good */
	if (!is_current(recount, mark))
		return 0;
	if (!socket->mark.counted)
		return to_count ? note_mismatch(recount, socket) : 0;
	own = &recount->slots[mark->slot];
	own->found.count++;
	own->found.sum += socket->cookie;
	return 0;
}

/* Runs inside a namespace. */
static int look(void *arg)
{
	struct recount *recount = arg;
	struct sockdiag_list list;
	int err;

	err = sockdiag_marks(recount->state->maps[MAP_CONNS], &list);
	for (size_t i = 0; i < list.count && !err; i++) {
		if (list.items[i].state == TCP_LISTEN)
			err = note_listener(recount, &list.items[i]);
		else
			err = note_connection(recount, &list.items[i]);
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
static int visit(struct recount *recount, bool each_port,
		 int (*fn)(struct recount *recount, int netns, uint16_t port))
{
	const struct state *state = recount->state;
	int err = 0;

	for (uint32_t i = 0; i < state->nr_listeners && !err; i++) {
		const struct lb_listener *listener = &state->config->listeners[i];
		_cleanup_close_ int netns = -1;

		if (listener->proto != LB_PROTO_TCP || !is_first_there(state, i, each_port))
			continue;
		err = netns_find(listener->netns, &netns);
		recount->blind |= err && err != -ENOENT;
		recount->netns = listener->netns;
		/* one that is gone has no sockets */
		err = err ? 0 : fn(recount, netns, listener->port);
	}
	return err;
}

static int look_there(struct recount *recount, int netns, uint16_t port)
{
	(void)port;
	return netns_run(netns, look, recount);
}

static int compare_cookies(const void *a, const void *b)
{
	const struct mismatch *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

static int pass(struct recount *recount)
{
	const struct state *state = recount->state;
	int err;

	recount->some_migrated = false;
	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		struct slot_recount *own = &recount->slots[slot];

		own->before = state_stats_copy(state, slot);
		own->last = own->found;
		own->found = (struct found){ 0 };
		recount->some_migrated |= own->before.migrated_in || own->before.waited;
	}
	recount->nr_mismatches = 0;
	recount->nr_waiting = 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	err = visit(recount, false, look_there);
	if (recount->nr_mismatches)
		qsort(recount->mismatches, recount->nr_mismatches, sizeof(*recount->mismatches),
		      compare_cookies);
	return err;
}

/* --- what does not match --- */

static const struct mismatch *find_mismatch(const struct recount *recount, uint64_t cookie)
{
	const struct mismatch key = { .cookie = cookie };

	return bsearch(&key, recount->mismatches, recount->nr_mismatches, sizeof(key),
		       compare_cookies);
}

static void mark_listener(const struct recount *recount, const struct member *member)
{
	int slot = service_slot_of_cookie(recount->state, member->socket.cookie);
	_cleanup_close_ int fd = -1;

	if (slot < 0 || !find_mismatch(recount, member->socket.cookie))
		return;
	fd = member_duplicate(member);
	if (fd >= 0)
		track_mark(recount->state, slot, fd);
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
static void count_in(struct recount *recount, struct hook *hook,
		     const struct group_connection *connection)
{
	const struct mismatch *mismatch = find_mismatch(recount, connection->cookie);
	_cleanup_close_ int fd = -1;
	struct lb_found *found;
	const int unused = 0;
	int slot = -1;

	if (!mismatch || !connection->holder)
		return;
	if (!mismatch->marked) {
		slot = service_slot_of_cookie(recount->state, connection->listener);
		if (slot < 0)
			return;
	}
	if (!hook_in(recount->state, hook))
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

static int put_port_in_order(struct recount *recount, int netns, uint16_t port)
{
	struct hook hook = { 0 };
	struct groups groups;
	int err;

	err = groups_find(netns, port, 0, GROUP_LIVE | GROUP_QUICK, &groups);
	if (err)
		return err;
	for (size_t g = 0; g < groups.count; g++) {
		for (size_t i = 0; i < groups.items[g].nr_members; i++)
			mark_listener(recount, &groups.items[g].members[i]);
	}
	for (size_t i = 0; probe_features()->late_count && i < groups.nr_connections; i++)
		count_in(recount, &hook, &groups.connections[i]);
	bpf_link__destroy(hook.link);
	count_in__destroy(hook.skel);
	groups_free(&groups);
	return 0;
}

/* What is being accepted has an owner in a moment; what waits at a worker that hangs has not. */
static int put_in_order(struct recount *recount)
{
	const struct timespec nap = { .tv_nsec = LOOKS_APART_MS * 1000000 };
	int err = 0;

	for (int looks = 0; !err && recount->nr_mismatches && looks < LOOKS; looks++) {
		if (looks)
			nanosleep(&nap, NULL);
		err = visit(recount, true, put_port_in_order);
		if (!err)
			err = pass(recount);
		if (!recount->nr_waiting)
			break;
	}
	return err;
}

/* --- counts that are wrong --- */

int64_t recount_drift(const struct lb_stats *before, const struct lb_stats *after, uint64_t counted)
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
static bool correct(struct recount *recount)
{
	const struct state *state = recount->state;
	bool again = false, wrong = false;

	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		struct slot_recount *own = &recount->slots[slot];
		struct lb_stats after = state_stats_copy(state, slot);
		int64_t before = own->drift;

		if (own->corrected)
			continue;
		own->drift = recount_drift(&own->before, &after, own->found.count);
		/* what could not be looked at may be in the count */
		if (recount->blind && own->drift < 0)
			own->drift = 0;
		if (own->drift && own->drift == before && own->found.sum == own->last.sum) {
			__atomic_fetch_add(&state_stats(state, slot)->live, own->drift,
					   __ATOMIC_SEQ_CST);
			own->corrected = true;
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

static int take(struct recount *recount)
{
	bool again = true;
	int err;

	err = pass(recount);
	if (!err)
		err = put_in_order(recount);
	for (int i = 1; again && !err; i++) {
		again = correct(recount) && i < PASSES;
		if (again)
			err = pass(recount);
	}
	return err;
}

int recount_connections(const struct state *state)
{
	_cleanup_free_ struct slot_recount *slots = calloc(LB_MAX_SLOTS, sizeof(*slots));
	struct recount recount = { .state = state, .slots = slots };
	int err;

	if (!track_is_on(state))
		return 0;
	if (!slots)
		return -ENOMEM;
	err = take(&recount);
	free(recount.mismatches);
	return err;
}
