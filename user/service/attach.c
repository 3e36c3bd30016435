// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * See attach.h. Order for kill -9 at any point: the service is built whole (maps, sockets, table)
 * where nobody sees it, gets its name, and only then steers. Detaching goes the other way round.
 */
#include "service/attach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/netns.h"
#include "host/proc_name.h"
#include "lb_pick.h"
#include "service/recount.h"
#include "service/claim.h"
#include "service/dispatch.h"
#include "service/latency.h"
#include "service/rescue.h"
#include "service/service.h"
#include "service/steer.h"
#include "service/track.h"
#include "service/wanted.h"
#include "service/worker_pins.h"

struct attach {
	const struct attach_request *request;
	struct trouble *trouble;
	struct wanted wanted;
	struct state state;
	bool state_open;
	struct reuseport_group *by_listener[LB_MAX_LISTENERS];
};

static int open_service(struct attach *attach, const char *name, bool *made)
{
	int err;

	if (attach->request->state) {
		attach->state = *attach->request->state;
		*made = false;
		return EXIT_DONE;
	}
	err = state_open(&attach->state, name, STATE_LOCK);
	*made = err == -ENOENT || (err == -ENODEV && geteuid() == 0);
	if (*made)
		err = state_create(&attach->state, name);
	/* made by someone else in between */
	if (*made && err == -EEXIST) {
		*made = false;
		err = state_open(&attach->state, name, STATE_LOCK);
	}
	if (err)
		return state_trouble(attach->trouble, name, err);
	attach->state_open = true;
	if (attach->request->flows)
		attach->state.flows = attach->request->flows;
	return EXIT_DONE;
}

static void close_service(struct attach *attach)
{
	if (!attach->state_open)
		return;
	/* it was not made after all */
	if (attach->state.fresh)
		dispatch_leave(attach->state.dir);
	state_close(&attach->state);
}

static size_t most_members(const struct attach *attach)
{
	size_t most = 0;

	for (size_t i = 0; i < attach->wanted.count; i++) {
		if (attach->wanted.items[i]->nr_members > most)
			most = attach->wanted.items[i]->nr_members;
	}
	return most;
}

static int add_listener(struct attach *attach, const struct reuseport_group *group)
{
	struct state *state = &attach->state;
	struct lb_listener listener = {
		.netns = group->netns,
		.port = group->port,
		.proto = group->proto,
		.family = group->family,
	};
	int err;

	memcpy(listener.addr, group->addr, sizeof(listener.addr));
	err = steer_add_listener(state, &listener);
	switch (err) {
	case 0:
		return EXIT_DONE;
	case -E2BIG:
		return trouble_set(attach->trouble, EXIT_FAILED,
				   "a service has at most %d listeners", LB_MAX_LISTENERS);
	case -EPERM:
		return trouble_set(attach->trouble, EXIT_NOT_ABLE,
				   "may not load BPF programs: CAP_BPF, CAP_NET_ADMIN and "
				   "CAP_PERFMON are needed; run as root (see lbctl doctor)");
	case -EOPNOTSUPP:
		return trouble_set(attach->trouble, EXIT_NOT_ABLE,
				   "the kernel refused the program; LBCTL_DEBUG=1 shows why, "
				   "lbctl doctor what this kernel has");
	default:
		return trouble_set(attach->trouble, EXIT_FAILED, "can't load the program: %s",
				   strerror(-err));
	}
}

/*
 * Of two groups on one address, of which one is bound to a device, a listener can be one: the
 * kernel refuses to select a socket of another group than its own.
 */
static void match_listener(struct attach *attach, int index, struct reuseport_group *group)
{
	struct reuseport_group *before = attach->by_listener[index];

	if (!before || (before->ifindex && !group->ifindex))
		attach->by_listener[index] = group;
}

static int match_listeners(struct attach *attach)
{
	int index, status;

	for (size_t i = 0; i < attach->wanted.count; i++) {
		index = service_listener(&attach->state, attach->wanted.items[i]);
		if (index < 0) {
			status = add_listener(attach, attach->wanted.items[i]);
			if (status)
				return status;
			index = attach->state.nr_listeners - 1;
		}
		match_listener(attach, index, attach->wanted.items[i]);
	}
	return EXIT_DONE;
}

static int refresh_failed(struct attach *attach, int err, const struct service_change *change)
{
	const struct member *member = change->refused;
	pid_t pid = member ? member->pid : 0;

	switch (err) {
	case -EBUSY:
		return trouble_set(
			attach->trouble, EXIT_FAILED,
			"a socket of process %d sits in a SOCKMAP or in another program's "
			"socket array and fits into one only; take it out there first",
			pid);
	case -EPERM:
		return trouble_set(attach->trouble, EXIT_NOT_ABLE,
				   "may not duplicate a socket of process %d: CAP_SYS_PTRACE is "
				   "needed; run as root (see lbctl doctor)",
				   pid);
	case -ENOSPC:
		return trouble_set(attach->trouble, EXIT_FAILED,
				   "a service has at most %d workers; split them, with --pid or by "
				   "port",
				   LB_MAX_WORKERS);
	case -E2BIG:
		return trouble_set(attach->trouble, EXIT_FAILED,
				   "the weights add up to more than %u; set smaller ones",
				   LB_MAX_SCHEDULE);
	default:
		return trouble_set(attach->trouble, EXIT_FAILED,
				   "can't register a socket of process %d: %s", pid,
				   strerror(-err));
	}
}

/* Puts the program on every group that it does not steer yet. */
static int start_steering(struct attach *attach)
{
	const struct reuseport_group *group;
	int err;

	for (uint32_t i = 0; i < attach->state.nr_listeners; i++) {
		_cleanup_close_ int copy = -1;

		group = attach->by_listener[i];
		if (!group || group->prog_id == attach->state.config->listeners[i].prog_id)
			continue;
		err = -ESRCH;
		for (size_t j = 0; j < group->nr_members && copy < 0; j++)
			copy = member_duplicate(&group->members[j]);
		if (copy >= 0)
			err = steer_attach(&attach->state, i, copy);
		/* of run and watch: it has ended, and who comes next brings us back */
		if (err == -ESRCH && attach->request->owner &&
		    !attach->wanted.found.holders.unreadable)
			continue;
		if (err == -ESRCH && attach->wanted.found.holders.unreadable) {
			char why[PROCS_WHY_BYTES];

			procs_why_unseen(&attach->wanted.found.holders, why);
			return trouble_set(attach->trouble, EXIT_NOT_ABLE,
					   "can't see which process holds a socket on port %u: %s",
					   group->port, why);
		}
		if (err)
			return trouble_set(attach->trouble, EXIT_FAILED,
					   "can't attach the program: %s", strerror(-err));
	}
	return EXIT_DONE;
}

static void describe(const struct attach *attach, struct attach_result *result, bool made,
		     const struct service_change *change)
{
	pid_t pid = attach->wanted.count ? attach->wanted.items[0]->members[0].pid : 0;

	result->made = made;
	result->added = change->added;
	result->gone = change->gone;
	result->waiting = change->waiting;
	result->workers = 0;
	for (uint32_t slot = 0; attach->state.config && slot < state_used_slots(&attach->state);
	     slot++)
		result->workers += state_worker(&attach->state, slot)->state == LB_SLOT_UP;
	if (!pid || proc_name(pid, result->server, sizeof(result->server)))
		strcpy(result->server, "?");
}

/* Without it a service works, but for the policy that needs it. UDP has no connections. */
static int start_tracking(struct attach *attach, struct attach_result *result)
{
	int err;

	if (!service_counts(&attach->state))
		return EXIT_DONE;
	err = track_start(&attach->state, attach->by_listener, attach->request->cgroup);
	if (!track_is_on(&attach->state))
		result->untracked = track_error(err);
	latency_follow(&attach->state);
	if (result->untracked && track_is_needed(attach->request->policy))
		return trouble_set(attach->trouble, EXIT_NOT_ABLE,
				   "policy %s needs the kernel to count connections: %s",
				   policy_name(attach->request->policy), result->untracked);
	return EXIT_DONE;
}

/* least-conn, as it is right for slow workers too; it needs the connections counted. */
static uint32_t default_policy(const struct state *state)
{
	return track_is_on(state) ? LB_POLICY_LEAST_CONN : LB_POLICY_RR;
}

static int bring_up(struct attach *attach, struct attach_result *result)
{
	struct service_change change;
	struct state *state = &attach->state;
	bool made;
	int status, err;

	status = open_service(attach, result->name, &made);
	if (!status && !made)
		rescue_repair(state);
	if (!status)
		status = match_listeners(attach);
	if (!status)
		status = start_tracking(attach, result);
	if (status)
		return status;
	if (made && attach->request->settings)
		settings_apply(state, attach->request->settings);
	result->policy = made && attach->request->settings ? attach->request->settings->policy :
							     attach->request->policy;
	if (!result->policy)
		result->policy = made ? default_policy(state) : lb_word_policy(state->config->word);
	if (attach->request->group != LB_NO_GROUP)
		state->config->group = attach->request->group;
	if (attach->request->rescue && !state->config->rescue_ns &&
	    !(made && attach->request->settings))
		state->config->rescue_ns = LB_DEFAULT_RESCUE_MS * 1000000ULL;
	err = service_refresh(state, attach->by_listener, result->policy, attach->request->owner,
			      &change);
	if (!err && made && attach->request->settings &&
	    settings_apply_workers(state, attach->request->settings))
		err = steer_publish(state, result->policy);
	if (err)
		return refresh_failed(attach, err, &change);
	if (made) {
		err = state_commit(state);
		if (err)
			return state_trouble(attach->trouble, result->name, err);
	}
	if (made)
		worker_pins_remove(result->name);
	status = start_steering(attach);
	if (attach->request->state) {
		describe(attach, result, made, &change);
		return status;
	}
	/* counts that are a little off for now are no reason to fail */
	recount_connections(state);
	if (!status)
		status = worker_pins_publish(state, attach->trouble);
	describe(attach, result, made, &change);
	return status;
}

/* Of the service that the caller has: does its program steer the group, or nobody's? */
static bool is_claimed(const struct attach *attach, const struct reuseport_group *group)
{
	const struct state *state = attach->request->state;
	int index = state ? service_listener(state, group) : -ENOENT;

	return index >= 0 &&
	       (!group->prog_id || group->prog_id == state->config->listeners[index].prog_id);
}

static int claim_groups(struct attach *attach, char name[LB_NAME_MAX + 1])
{
	struct reuseport_group *others[LB_MAX_LISTENERS];
	size_t n = 0;
	const struct claim claim = {
		.name = attach->request->name,
		.addr = attach->request->addrs,
		.replace = attach->request->replace,
		.own_program = attach->request->own_program,
	};

	for (size_t i = 0; i < attach->wanted.count; i++) {
		if (!is_claimed(attach, attach->wanted.items[i]))
			others[n++] = attach->wanted.items[i];
	}
	if (!n && attach->request->state) {
		strcpy(name, attach->request->name);
		return EXIT_DONE;
	}
	return claim_name(&claim, others, n, name, attach->trouble);
}

static bool service_exists(const char *name)
{
	char path[STATE_PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", STATE_ROOT, name);
	return !access(path, F_OK);
}

/* The policy that the service would have, for one that is not made: what is asked for, or is. */
static uint32_t policy_to_be(const struct attach *attach, const char *name)
{
	uint32_t policy = attach->request->policy;
	struct state state;

	if (policy)
		return policy;
	if (!state_open(&state, name, STATE_READ)) {
		policy = lb_word_policy(state.config->word);
		state_close(&state);
		return policy;
	}
	for (size_t i = 0; i < attach->wanted.count && !policy; i++) {
		if (attach->wanted.items[i]->proto == LB_PROTO_TCP && !track_obstacle())
			policy = LB_POLICY_LEAST_CONN;
	}
	return policy ? policy : LB_POLICY_RR;
}

int attach_run(const struct attach_request *request, struct attach_result *result,
	       struct trouble *trouble)
{
	struct attach attach = { .request = request,
				 .trouble = trouble,
				 .wanted = {
					 .addrs = request->addrs,
					 .nr_addrs = request->nr_addrs,
					 .netns_fd = request->netns_fd,
					 .pid = request->pid,
					 .trouble = trouble,
				 } };
	struct service_change nothing = { 0 };
	int status;

	*result = (struct attach_result){ 0 };
	status = wanted_find(&attach.wanted);
	if (!status)
		status = claim_groups(&attach, result->name);
	if (!status && request->dry_run) {
		describe(&attach, result, !service_exists(result->name), &nothing);
		result->workers = most_members(&attach);
		result->policy = policy_to_be(&attach, result->name);
	} else if (!status) {
		status = bring_up(&attach, result);
	}
	close_service(&attach);
	groups_free(&attach.wanted.found);
	return status;
}

int attach_groups(const struct attach_request *request, struct groups *found,
		  struct attach_result *result, struct trouble *trouble)
{
	struct attach attach = { .request = request,
				 .trouble = trouble,
				 .wanted = { .trouble = trouble, .found = *found } };
	int status = EXIT_DONE;

	*result = (struct attach_result){ 0 };
	for (size_t i = 0; i < found->count && !status; i++) {
		if (found->items[i].nr_members)
			status = wanted_add(&attach.wanted, &attach.wanted.found.items[i]);
	}
	if (!status)
		status = claim_groups(&attach, result->name);
	if (!status && (attach.wanted.count || service_exists(request->name)))
		status = bring_up(&attach, result);
	close_service(&attach);
	return status;
}
