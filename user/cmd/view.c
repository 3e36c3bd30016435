// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See view.h. */
#include "cmd/view.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text_json.h"
#include "cmd/gone.h"
#include "host/group.h"
#include "keeper/control_client.h"
#include "lb_pick.h"
#include "service/hold.h"
#include "service/latency.h"
#include "service/service.h"
#include "service/stall.h"
#include "service/track.h"
#include "service/wanted.h"

static const char *const state_names_by_slot[] = {
	[LB_SLOT_FREE] = "down",
	[LB_SLOT_UP] = "up",
	[LB_SLOT_DRAINING] = "draining",
	[LB_SLOT_DOWN] = "down",
};

/* A worker may own two slots: the one that takes connections speaks for it. */
static bool speaks_louder(uint32_t state, const char *than)
{
	if (!than || state == LB_SLOT_UP)
		return true;
	return state == LB_SLOT_DRAINING && !strcmp(than, "down");
}

static void add_slot(const struct state *state, uint32_t slot, struct view *view)
{
	/* a copy: while it is read, another lbctl may make it another worker's */
	const struct lb_worker row = state_worker_copy(state, slot), *from = &row;
	const struct lb_stats stats = state_stats_copy(state, slot);
	struct view_worker *to;

	if (from->worker >= view->nr_workers) {
		view->retired += stats.selected;
		return;
	}
	to = &view->workers[from->worker];
#define X(field, help) to->field += stats.field;
	LB_SLOT_COUNTERS(X)
#undef X
	to->opened += stats.opened;
	to->lost += stats.lost;
	if (view->latency)
		latency_add(state, slot, &view->latency[from->worker]);
	if (view->counted && stats.live > 0)
		to->live += stats.live;
	view->selected += stats.selected;
	view->migrated += stats.migrated_in;
	for (uint32_t i = 0; i < state->nr_listeners; i++)
		view->rescued += state_stall(state, i, slot)->rescues;
	if (speaks_louder(from->state, to->state)) {
		to->state = state_names_by_slot[from->state & 3];
		to->weight = from->weight;
		to->limit = from->limit;
		to->pid = from->pid;
		to->load = state_load(state, slot)->load;
		to->pace_us = stats.pace.average_ns / 1000;
		to->restarts = from->restarts;
		to->unheard = from->unheard;
	}
}

static int read_slots(const struct state *state, struct view *view)
{
	view->nr_workers = service_workers(state);
	view->workers = calloc(view->nr_workers ? view->nr_workers : 1, sizeof(*view->workers));
	if (!view->workers)
		return -ENOMEM;
	view->latency_one_in = latency_one_in(state);
	if (view->latency_one_in)
		view->latency = calloc(view->nr_workers + 1, sizeof(*view->latency));
	for (uint32_t i = 0; i < view->nr_workers; i++)
		view->workers[i].worker = i;
	for (uint32_t slot = 0; slot < state_used_slots(state); slot++)
		add_slot(state, slot, view);
	/* one that has no slot, or none yet */
	for (uint32_t i = 0; i < view->nr_workers; i++) {
		if (!view->workers[i].state)
			view->workers[i].state = "down";
	}
	return 0;
}

static int read_counters(const struct state *state, struct view *view)
{
	uint32_t zero = 0;
	int err = state_lookup(state, MAP_COUNTERS, &zero, &view->counters, sizeof(view->counters));

	if (err)
		return err;
	view->fallback = view->counters.fallback_config + view->counters.fallback_empty +
			 view->counters.fallback_none;
	view->decisions =
		view->selected + view->retired + view->fallback + view->counters.kernel_policy;
	return 0;
}

/* The worker whose slot holds this socket, or NULL. */
static struct view_worker *worker_of_socket(const struct state *state, struct view *view,
					    uint64_t cookie, struct lb_place *place)
{
	struct lb_worker row;

	if (state_place(state, cookie, place))
		return NULL;
	row = state_worker_copy(state, place->slot);
	return row.worker < view->nr_workers ? &view->workers[row.worker] : NULL;
}

static void note_stall(const struct state *state, const struct member *member,
		       const struct lb_place *place, struct view_worker *worker)
{
	uint64_t age_ns =
		stall_age_at(state, place->listener, place->slot, member->oldest, member->now_ns);

	if (!age_ns || state_worker(state, place->slot)->state != LB_SLOT_UP)
		return;
	worker->state = "stalled";
	if (age_ns > worker->stalled_ns)
		worker->stalled_ns = age_ns;
}

static void add_stranger(struct view *view, const struct reuseport_group *group,
			 const struct member *member, bool takes)
{
	struct view_stranger *one;

	if (view->unregistered++ >= VIEW_STRANGERS)
		return;
	one = &view->strangers[view->unregistered - 1];
	one->pid = member->pid;
	one->takes = takes;
	group_address(group, one->address);
}

/* `open` marks the workers that have a socket now; `beside`: see is_beside(). */
static void join_group(const struct state *state, struct view *view,
		       const struct reuseport_group *group, bool beside, bool *open)
{
	struct view_worker *worker;
	struct lb_place place;
	pid_t pid;

	for (size_t i = 0; i < group->nr_members; i++) {
		const struct member *member = &group->members[i];

		worker = worker_of_socket(state, view, member->socket.cookie, &place);
		if (!worker && hold_is_waiting(state, member->socket.cookie))
			continue;
		if (!worker) {
			add_stranger(view, group, member, beside);
			continue;
		}
		worker->half_open += member->half_open;
		/* bytes and connections have no sum */
		if (group->proto == LB_PROTO_TCP || view->datagrams) {
			worker->queued += member->socket.queued;
			worker->queue_max += member->socket.queue_max;
		}
		note_stall(state, member, &place, worker);
		if (!view->counted)
			worker->live += member->live;
		pid = member_pid(member, view->keeper);
		if (pid)
			worker->pid = pid;
		open[worker->worker] = true;
	}
}

/* Sockets that nobody seems to hold: their processes are hidden from us. */
static bool all_held(const struct state *state, const struct reuseport_group *group)
{
	for (size_t i = 0; i < group->nr_members; i++) {
		if (!group->members[i].nr_holders &&
		    !hold_is_waiting(state, group->members[i].socket.cookie))
			return false;
	}
	return true;
}

static bool is_steered(const struct state *state, const struct groups *groups, uint32_t index)
{
	for (size_t i = 0; i < groups->count; i++) {
		if (service_listener(state, &groups->items[i]) == (int)index &&
		    groups->items[i].prog_id == state->config->listeners[index].prog_id)
			return true;
	}
	return false;
}

/*
 * Of UDP, sockets that all have SO_REUSEADDR share an address and port without being a group, also
 * those of different users. The kernel gives datagrams to either.
 */
static bool is_beside(const struct view *view, uint32_t index, const struct lb_listener *listener,
		      const struct reuseport_group *group)
{
	return listener->proto == LB_PROTO_UDP && view->listeners[index].steering &&
	       group->prog_id != listener->prog_id;
}

static void note_shared(struct view *view, const struct reuseport_group *group)
{
	struct trouble trouble;

	if (!*view->shared && wanted_check_shared(group, &trouble))
		snprintf(view->shared, sizeof(view->shared), "%s", trouble.text);
}

static int join_listener(const struct state *state, struct census *census, struct view *view,
			 uint32_t index, bool *open)
{
	const struct lb_listener *listener = &state->config->listeners[index];
	bool udp = listener->proto == LB_PROTO_UDP;
	const struct groups *groups;
	int err = census_find(census, listener, udp || view->counted ? 0 : GROUP_LIVE, &groups);

	if (err)
		return err == -ENOENT ? 0 : err;
	err = groups->inspect_error;
	view->listeners[index].steering = !err && is_steered(state, groups, index);
	for (size_t i = 0; i < groups->count && !err; i++) {
		const struct reuseport_group *group = &groups->items[i];

		if (service_listener(state, group) != (int)index)
			continue;
		if (groups->holders.unreadable && !all_held(state, group))
			err = -EPERM;
		else
			note_shared(view, group);
		if (!err)
			join_group(state, view, group, is_beside(view, index, listener, group),
				   open);
	}
	return err;
}

static int join_sockets(const struct state *state, struct census *census, struct view *view)
{
	_cleanup_free_ bool *open = calloc(view->nr_workers + 1, sizeof(*open));
	int err = open ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < view->nr_listeners && !err; i++)
		err = join_listener(state, census, view, i, open);
	for (uint32_t i = 0; i < view->nr_workers && !err; i++) {
		if (open[i])
			continue;
		view->workers[i].state = "down";
		view->workers[i].pid = 0;
	}
	return err;
}

/* They say more than that they are all the same? */
static void name_processes(struct view *view)
{
	const char *first = NULL;

	for (uint32_t i = 0; i < view->nr_workers; i++) {
		struct view_worker *w = &view->workers[i];
		bool titled = w->pid && proc_title(w->pid, w->process);

		if (!w->pid || (!titled && proc_name(w->pid, w->process, sizeof(w->process))))
			*w->process = '\0';
		if (titled && first)
			view->named |= strcmp(first, w->process) != 0;
		else if (titled)
			first = w->process;
	}
}

int view_load_by(const struct state *state, struct census *census, struct view *view)
{
	const struct lb_listener *listener;
	int err;

	*view = (struct view){ 0 };
	strcpy(view->name, state->name);
	view->keeper = control_keeper(view->name);
	view->gone = !view->keeper && gone_is(view->name);
	if (view->gone)
		gone_command(view->name, view->again);
	view->policy = lb_word_policy(state->config->word);
	view->limit = state->config->limit;
	view->hold_ns = state->config->hold_ns;
	view->holding = hold_is_on(state);
	hold_explain(state, view->obstacle, sizeof(view->obstacle));
	view->taken_off = state_field(&state->arrays[MAP_CONFIG], state->config, taken_off);
	view->datagrams = !service_counts(state);
	view->counted = track_is_on(state) || view->datagrams;
	view->nr_listeners = state->nr_listeners;
	for (uint32_t i = 0; i < state->nr_listeners; i++) {
		listener = &state->config->listeners[i];
		view->listeners[i].udp = listener->proto == LB_PROTO_UDP;
		view->listeners[i].proto = view->listeners[i].udp ? "udp" : "tcp";
		addr_format(listener->family, listener->addr, listener->port,
			    view->listeners[i].address, ADDR_STRLEN);
	}
	err = read_slots(state, view);
	if (!err)
		err = read_counters(state, view);
	if (err) {
		view_free(view);
		return err;
	}
	view->sockets_error = join_sockets(state, census, view);
	name_processes(view);
	return 0;
}

int view_load(const struct state *state, struct view *view)
{
	struct census census = { 0 };
	int err = view_load_by(state, &census, view);

	census_free(&census);
	return err;
}

int view_load_name(const char *name, struct census *census, struct view *view)
{
	struct state state;
	int err = state_open(&state, name, STATE_READ);

	if (err)
		return err;
	err = view_load_by(&state, census, view);
	state_close(&state);
	return err;
}

void view_free(struct view *view)
{
	free(view->workers);
	free(view->latency);
	*view = (struct view){ 0 };
}

void view_load_usage(struct view *view)
{
	for (uint32_t i = 0; i < view->nr_workers; i++) {
		struct view_worker *w = &view->workers[i];

		if (!w->pid || usage_read(w->pid, &w->usage))
			w->usage = (struct usage){ 0 };
		if (w->pid)
			usage_command(w->pid, w->command, sizeof(w->command));
	}
}

void view_load_throttle(struct view *view)
{
	for (uint32_t i = 0; i < view->nr_workers; i++) {
		if (view->workers[i].pid)
			throttle_read(view->workers[i].pid, &view->workers[i].throttle);
	}
}

/* Policy kernel knows no weights. */
static double weight_of(const struct view *view, const struct view_worker *w)
{
	return view->policy == LB_POLICY_KERNEL || !w->weight ? 1 : w->weight;
}

double view_unevenness_of(const struct view *view, double (*selected)(uint32_t worker, void *arg),
			  void *arg)
{
	double most = 0, total = 0, weights = 0;

	for (uint32_t i = 0; i < view->nr_workers; i++) {
		double weight = weight_of(view, &view->workers[i]), own = selected(i, arg);

		total += own;
		weights += weight;
		if (own / weight > most)
			most = own / weight;
	}
	return total > 0 ? most * weights / total : 0;
}

static double selected_of(uint32_t worker, void *workers)
{
	return ((const struct view_worker *)workers)[worker].selected;
}

double view_unevenness(const struct view *view)
{
	return view_unevenness_of(view, selected_of, view->workers);
}

void view_address(const struct view_listener *listener, char *out)
{
	snprintf(out, ADDR_STRLEN, "%s%.*s", listener->udp ? "udp/" : "",
		 (int)(ADDR_STRLEN - sizeof("udp/")), listener->address);
}

json_t *view_keeper_json(const struct view *view)
{
	return text_pack("{s:i, s:b, s:b, s:s}", "pid", view->keeper, "alive", view->keeper != 0,
			 "gone", view->gone, "again", view->again);
}
