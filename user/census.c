// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See census.h. One iterator object; a pass runs it in each namespace that has a listener. */
#include "census.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "group.h"
#include "lb_census.h"
#include "netns.h"
#include "probe.h"
#include "service.h"
#include "track.h"
#include "census.skel.h"

#define SPARE_ENTRIES 4096 /* of lb_found: connections that come while we look */
#define PASSES 3 /* one to count in, two to agree; under load none may, and a keeper looks again */
#define RECORDS 4096

struct tally {
	const struct state *state;
	struct census *skel;
	struct lb_census *records;
	size_t connections; /* on the service's ports, as sock_diag has them */
	size_t known;	    /* found with a mark, in the last pass */
	struct slot_tally {
		struct lb_stats before;
		uint64_t counted; /* connections found that are in its live count */
		bool fresh;	  /* some of them since this pass */
		int64_t drift;	  /* of the last pass */
		bool mended;
	} * slots;
};

static int read_records(struct tally *tally, int iter)
{
	const struct state *state = tally->state;
	ssize_t n;

	for (;;) {
		n = read(iter, tally->records, RECORDS * sizeof(*tally->records));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		for (size_t i = 0; i < n / sizeof(*tally->records); i++) {
			const struct lb_census *record = &tally->records[i];

			tally->known++;
			if (!record->counted || record->slot >= state->config->slots ||
			    record->generation != state->workers[record->slot].generation)
				continue;
			tally->slots[record->slot].counted++;
			tally->slots[record->slot].fresh |= record->fresh;
		}
	}
}

/* Runs inside a namespace. */
static int visit_sockets(void *arg)
{
	struct tally *tally = arg;
	struct bpf_link *link;
	int err, iter;

	link = bpf_program__attach_iter(tally->skel->progs.lb_census, NULL);
	if (!link)
		return -errno;
	iter = bpf_iter_create(bpf_link__fd(link));
	err = iter < 0 ? -errno : read_records(tally, iter);
	close_fd(&iter);
	bpf_link__destroy(link);
	return err;
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

static int in_each_netns(struct tally *tally, int (*fn)(void *))
{
	const struct state *state = tally->state;
	int err = 0;

	for (uint32_t i = 0; i < state->nr_listeners && !err; i++) {
		_cleanup_close_ int netns = -1;

		if (!is_first_there(state, i, false))
			continue;
		err = netns_find(state->config->listeners[i].netns, &netns);
		if (!err)
			err = netns_run(netns, fn, tally);
		/* a namespace that is gone has no sockets */
		if (err == -ENOENT)
			err = 0;
	}
	return err;
}

static int pass(struct tally *tally)
{
	const struct state *state = tally->state;

	for (uint32_t slot = 0; slot < state->config->used_slots; slot++) {
		tally->slots[slot].before = state->stats[slot];
		tally->slots[slot].counted = 0;
		tally->slots[slot].fresh = false;
	}
	tally->known = 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return in_each_netns(tally, visit_sockets);
}

/* Tells the iterator which slots the connections of a port with a known holder belong to. */
static int name_connections(struct tally *tally, const struct groups *groups, uint16_t port)
{
	int fd = bpf_map__fd(tally->skel->maps.lb_found), slot;
	struct lb_found found = { .port = port };

	for (size_t i = 0; i < groups->nr_connections; i++) {
		slot = service_slot_of_cookie(tally->state, groups->connections[i].listener);
		if (slot < 0)
			continue;
		found.slot = slot;
		/* full: what came since the map was sized carries its listener's mark */
		if (bpf_map_update_elem(fd, &groups->connections[i].cookie, &found, BPF_ANY))
			return errno == E2BIG ? 0 : -errno;
	}
	return 0;
}

static int find_connections(struct tally *tally)
{
	const struct state *state = tally->state;
	int err = 0;

	for (uint32_t i = 0; i < state->nr_listeners && !err; i++) {
		const struct lb_listener *listener = &state->config->listeners[i];
		_cleanup_close_ int netns = -1;
		struct groups groups;

		if (listener->proto != LB_PROTO_TCP || !is_first_there(state, i, true))
			continue;
		err = netns_find(listener->netns, &netns);
		if (err == -ENOENT) {
			err = 0;
			continue;
		}
		if (!err)
			err = groups_find(netns, listener->port, 0, GROUP_LIVE, &groups);
		if (err)
			return err;
		err = name_connections(tally, &groups, listener->port);
		groups_free(&groups);
	}
	return err;
}

int64_t census_drift(const struct lb_stats *before, const struct lb_stats *after, uint64_t counted)
{
	if (before->opened != after->opened || before->live != after->live ||
	    before->migrated_in != after->migrated_in)
		return 0;
	return (int64_t)counted - after->live;
}

/*
 * Corrects what two passes in a row found wrong by the same amount: one alone may have missed a
 * socket that changed its place in the kernel's table. Is there something left to look at?
 */
static bool mend(struct tally *tally)
{
	const struct state *state = tally->state;
	bool again = false;

	for (uint32_t slot = 0; slot < state->config->used_slots; slot++) {
		struct slot_tally *own = &tally->slots[slot];
		struct lb_stats after = state->stats[slot];
		int64_t before = own->drift;

		if (own->mended)
			continue;
		own->drift = own->fresh ? 0 : census_drift(&own->before, &after, own->counted);
		if (own->drift && own->drift == before) {
			__atomic_fetch_add(&state->stats[slot].live, own->drift, __ATOMIC_SEQ_CST);
			own->mended = true;
		} else if (own->fresh || own->drift ||
			   (int64_t)own->counted != state->stats[slot].live) {
			again = true;
		}
	}
	return again;
}

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

static int load(struct tally *tally)
{
	struct census *skel = tally->skel;
	int err;

	skel->rodata->lb_can_adopt = probe_features()->adopt;
	err = state_reuse_maps(tally->state, skel->obj);
	if (!err)
		err = bpf_map__set_max_entries(skel->maps.lb_found,
					       2 * tally->connections + SPARE_ENTRIES);
	return err ? err : census__load(skel);
}

/*
 * The first pass counts in what waits in the accept queues. Whatever is still unknown was accepted
 * before, so it has a holder by now.
 */
static int take(struct tally *tally)
{
	bool again = true;
	int err;

	err = pass(tally);
	if (!err && tally->known < tally->connections && probe_features()->adopt) {
		err = find_connections(tally);
		if (!err)
			err = pass(tally);
	}
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
	err = in_each_netns(&tally, count_connections);
	if (err)
		return err;
	tally.skel = census__open();
	if (!tally.skel)
		return -errno;
	err = load(&tally);
	if (!err)
		err = take(&tally);
	else if (err != -EPERM && err != -ENOMEM)
		err = 0;
	census__destroy(tally.skel);
	return err;
}
