// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See census.h. */
#include "census.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "cgroup.h"
#include "cleanup.h"
#include "group.h"
#include "lb_count_in.h"
#include "netns.h"
#include "probe.h"
#include "service.h"
#include "sockdiag.h"
#include "track.h"
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

	return mark->slot < state->config->slots &&
	       mark->generation == state->workers[mark->slot].generation;
}

static int note_listener(struct tally *tally, const struct sockdiag_socket *socket)
{
	int slot = service_slot_of_cookie(tally->state, socket->cookie);

	if (slot < 0 || (socket->marked && socket->mark.slot == (uint32_t)slot &&
			 is_current(tally, &socket->mark)))
		return 0;
	return note_amiss(tally, socket);
}

static int note_connection(struct tally *tally, const struct sockdiag_socket *socket)
{
	/* a handshake is no connection yet; TCP Fast Open's is, and is counted at once */
	bool to_count = probe_features()->adopt && socket->state != TCP_SYN_RECV;
	const struct lb_conn *mark = &socket->mark;
	struct slot_tally *own;
	struct lb_conn moved;

	if (!socket->marked)
		return to_count ? note_amiss(tally, socket) : 0;
	if (tally->some_moved &&
	    !bpf_map_lookup_elem(tally->state->maps[MAP_MOVED], &socket->cookie, &moved))
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

struct visit {
	struct tally *tally;
	uint16_t port;
};

/* Runs inside a namespace. */
static int look(void *arg)
{
	const struct visit *visit = arg;
	struct tally *tally = visit->tally;
	struct sockdiag_list list;
	int err;

	err = sockdiag_marks(visit->port, tally->state->maps[MAP_CONNS], &list);
	for (size_t i = 0; i < list.count && !err; i++) {
		if (list.items[i].state == TCP_LISTEN)
			err = note_listener(tally, &list.items[i]);
		else
			err = note_connection(tally, &list.items[i]);
	}
	sockdiag_free(&list);
	return err;
}

/* Is it the first listener on its port in its namespace? */
static bool is_first_there(const struct state *state, uint32_t listener)
{
	const struct lb_listener *all = state->config->listeners;

	for (uint32_t i = 0; i < listener; i++) {
		if (all[i].netns == all[listener].netns && all[i].proto == all[listener].proto &&
		    all[i].port == all[listener].port)
			return false;
	}
	return true;
}

/*
 * Calls fn for each TCP port in each namespace that the service has listeners on. A namespace that
 * has no name and no process may still have connections.
 */
static int on_each_port(struct tally *tally,
			int (*fn)(struct tally *tally, int netns, uint16_t port))
{
	const struct state *state = tally->state;
	int err = 0;

	for (uint32_t i = 0; i < state->nr_listeners && !err; i++) {
		const struct lb_listener *listener = &state->config->listeners[i];
		_cleanup_close_ int netns = -1;

		if (listener->proto != LB_PROTO_TCP || !is_first_there(state, i))
			continue;
		if (netns_find(listener->netns, &netns))
			tally->blind = true;
		else
			err = fn(tally, netns, listener->port);
	}
	return err;
}

static int look_at_port(struct tally *tally, int netns, uint16_t port)
{
	struct visit visit = { .tally = tally, .port = port };

	return netns_run(netns, look, &visit);
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

		own->before = state->stats[slot];
		own->last = own->found;
		own->found = (struct found){ 0 };
		tally->some_moved |= own->before.migrated_in != 0;
	}
	tally->nr_amiss = 0;
	tally->nr_waiting = 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	err = on_each_port(tally, look_at_port);
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

/*
 * The duplicate is there for some microseconds; should its owner close it meanwhile, the end of
 * the connection waits for them. It may end before, or another program may refuse: then it is as it
 * was.
 */
static void count_in(struct tally *tally, struct count_in *skel,
		     const struct group_connection *connection)
{
	const struct amiss *amiss = find_amiss(tally, connection->cookie);
	struct lb_found found = { .cookie = connection->cookie, .slot = LB_NO_SLOT };
	_cleanup_close_ int fd = -1;
	const int unused = 0;
	int slot;

	if (!amiss || !connection->holder)
		return;
	if (!amiss->marked) {
		slot = service_slot_of_cookie(tally->state, connection->listener);
		if (slot < 0)
			return;
		found.slot = slot;
	}
	fd = holder_duplicate(connection->holder, connection->cookie);
	if (fd < 0)
		return;
	skel->bss->lb_found = found;
	setsockopt(fd, LB_COUNT_IN, 0, &unused, sizeof(unused));
	skel->bss->lb_found.cookie = 0;
}

/* On the cgroup for the moment. Returns NULL where another program has the cgroup for itself. */
static struct count_in *hook(const struct state *state, struct bpf_link **link)
{
	_cleanup_close_ int cgroup = cgroup_open(track_cgroup(state));
	struct count_in *skel = count_in__open();

	*link = NULL;
	if (skel && !state_reuse_maps(state, skel->obj) && !count_in__load(skel))
		*link = bpf_program__attach_cgroup(skel->progs.lb_count_in, cgroup);
	if (*link)
		return skel;
	count_in__destroy(skel);
	return NULL;
}

static int put_port_in_order(struct tally *tally, int netns, uint16_t port)
{
	struct count_in *skel = NULL;
	struct bpf_link *link = NULL;
	struct groups groups;
	int err;

	err = groups_find(netns, port, 0, GROUP_LIVE | GROUP_QUICK, &groups);
	if (err)
		return err;
	for (size_t g = 0; g < groups.count; g++) {
		for (size_t i = 0; i < groups.items[g].nr_members; i++)
			mark_listener(tally, &groups.items[g].members[i]);
	}
	if (probe_features()->adopt)
		skel = hook(tally->state, &link);
	for (size_t i = 0; skel && i < groups.nr_connections; i++)
		count_in(tally, skel, &groups.connections[i]);
	bpf_link__destroy(link);
	count_in__destroy(skel);
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
		err = on_each_port(tally, put_port_in_order);
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
		struct lb_stats after = state->stats[slot];
		int64_t before = own->drift;

		if (own->mended)
			continue;
		own->drift = census_drift(&own->before, &after, own->found.count);
		if (own->drift && own->drift == before && own->found.sum == own->last.sum) {
			__atomic_fetch_add(&state->stats[slot].live, own->drift, __ATOMIC_SEQ_CST);
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
	bool again;
	int err;

	err = pass(tally);
	if (!err)
		err = put_in_order(tally);
	/* what could not be looked at may be in the counts */
	again = !tally->blind;
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
