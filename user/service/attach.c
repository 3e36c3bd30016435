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
#include "lb_pick.h"
#include "service/recount.h"
#include "service/claim.h"
#include "service/rescue.h"
#include "service/service.h"
#include "service/worker_pins.h"
#include "service/steer.h"
#include "service/track.h"

struct attach {
	const struct attach_request *request;
	struct trouble *trouble;
	struct groups found;
	struct reuseport_group *wanted[LB_MAX_LISTENERS]; /* into found */
	size_t nr_wanted;
	struct state state;
	bool state_open;
	struct reuseport_group *by_listener[LB_MAX_LISTENERS];
};

/* A listener that is there but can't be steered as it is. */
static int check_group(struct attach *attach, const struct reuseport_group *group)
{
	char at[ADDR_STRLEN];

	group_address(group, at);
	if (group->mptcp)
		return trouble_set(attach->trouble, EXIT_NOT_ABLE,
				   "%s listens with MPTCP, which the kernel can't steer; make the "
				   "server listen with plain TCP (Go: GODEBUG=multipathtcp=0)",
				   at);
	if (!group->id && !attach->found.inspect_error)
		return trouble_set(attach->trouble, EXIT_FAILED,
				   "%s listens without SO_REUSEPORT; switch it on in the server "
				   "(nginx: listen %u reuseport)",
				   at, group->port);
	if (group->nr_members == 1 && group->members[0].nr_holders > 1 &&
	    !(group->members[0].holders[0].polls && !group->members[0].holders[1].polls))
		return trouble_set(
			attach->trouble, EXIT_FAILED,
			"%s is one socket that %zu processes share: there is nothing to "
			"choose from; give each worker a socket of its own (SO_REUSEPORT)",
			at, group->members[0].nr_holders);
	for (size_t i = 0; i < group->nr_members; i++) {
		if (!group->members[i].nr_holders && !attach->found.holders.unreadable)
			continue;
		if (!group->members[i].nr_holders && !attach->request->pid)
			return trouble_set(attach->trouble, EXIT_NOT_ABLE,
					   "can't see which process holds %s; it takes "
					   "CAP_SYS_PTRACE, or lbctl in the host's pid namespace",
					   at);
	}
	return EXIT_DONE;
}

/* Every address that was written must mean at least one group. */
static int no_listener(struct attach *attach, size_t which)
{
	const struct addr *addr = &attach->request->addrs[which];
	char at[ADDR_STRLEN];

	if (attach->request->pid)
		return trouble_set(attach->trouble, EXIT_FAILED,
				   "process %d polls no socket there; leave out --pid, or see "
				   "lbctl scan",
				   attach->request->pid);
	for (size_t i = 0; i < attach->found.count; i++) {
		if (attach->found.items[i].port != addr->port ||
		    attach->found.items[i].proto != addr->proto)
			continue;
		group_address(&attach->found.items[i], at);
		return trouble_set(attach->trouble, EXIT_FAILED,
				   "nothing listens there, but on %s; try: lbctl attach %s", at,
				   at);
	}
	return trouble_set(attach->trouble, EXIT_FAILED,
			   "nothing listens on %s port %u%s; lbctl scan lists what can be attached",
			   addr->proto == LB_PROTO_UDP ? "UDP" : "TCP", addr->port,
			   attach->request->netns_fd >= 0 ? " in that network namespace" : "");
}

/* Sockets of --pid only. */
static void keep_members_of(struct reuseport_group *group, pid_t pid)
{
	size_t kept = 0;

	for (size_t i = 0; i < group->nr_members; i++) {
		if (group->members[i].pid == pid)
			group->members[kept++] = group->members[i];
	}
	group->nr_members = kept;
}

static int want_group(struct attach *attach, struct reuseport_group *group)
{
	for (size_t i = 0; i < attach->nr_wanted; i++) {
		if (attach->wanted[i] == group)
			return EXIT_DONE;
	}
	if (attach->nr_wanted == LB_MAX_LISTENERS)
		return trouble_set(attach->trouble, EXIT_FAILED,
				   "more than %d groups; name fewer addresses for one service",
				   LB_MAX_LISTENERS);
	attach->wanted[attach->nr_wanted++] = group;
	return EXIT_DONE;
}

/*
 * The groups that an address means. A bare port means the wildcard groups, and those on single
 * addresses only where there is no wildcard one: they may be other servers.
 */
static int want_address(struct attach *attach, size_t which)
{
	const struct addr *addr = &attach->request->addrs[which];
	bool wildcard = false, found = false;
	struct reuseport_group *group;
	int status;

	for (size_t i = 0; i < attach->found.count; i++) {
		group = &attach->found.items[i];
		if (group_matches(group, addr) && group_is_wildcard(group))
			wildcard = true;
	}
	for (size_t i = 0; i < attach->found.count; i++) {
		group = &attach->found.items[i];
		if (!group_matches(group, addr))
			continue;
		if (addr->any && wildcard && !group_is_wildcard(group))
			continue;
		if (attach->request->pid)
			keep_members_of(group, attach->request->pid);
		if (!group->nr_members)
			continue;
		status = check_group(attach, group);
		if (!status)
			status = want_group(attach, group);
		if (status)
			return status;
		found = true;
	}
	return found ? EXIT_DONE : no_listener(attach, which);
}

static int find_groups(struct attach *attach)
{
	const struct attach_request *request = attach->request;
	uint16_t port = request->nr_addrs == 1 ? request->addrs[0].port : 0;
	enum group_detail detail = 0;
	int status = EXIT_DONE, err;

	for (size_t i = 0; i < request->nr_addrs; i++) {
		if (request->addrs[i].proto == LB_PROTO_UDP)
			detail = GROUP_UDP;
	}
	err = groups_find(request->netns_fd, port, request->pid, detail, &attach->found);
	if (err)
		return trouble_set(attach->trouble, err == -EPERM ? EXIT_NOT_ABLE : EXIT_FAILED,
				   "can't list listening sockets: %s", strerror(-err));
	if (attach->found.inspect_error)
		return trouble_set(
			attach->trouble, EXIT_NOT_ABLE,
			attach->found.inspect_error == -EPERM ?
				"may not load BPF programs: CAP_BPF, CAP_NET_ADMIN and "
				"CAP_PERFMON are needed; run as root (see lbctl doctor)" :
				"this kernel's BPF can't list sockets (see lbctl doctor)");
	for (size_t i = 0; i < request->nr_addrs && !status; i++)
		status = want_address(attach, i);
	return status;
}

static int open_service(struct attach *attach, const char *name, bool *made)
{
	int err;

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

static size_t most_members(const struct attach *attach)
{
	size_t most = 0;

	for (size_t i = 0; i < attach->nr_wanted; i++) {
		if (attach->wanted[i]->nr_members > most)
			most = attach->wanted[i]->nr_members;
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

	for (size_t i = 0; i < attach->nr_wanted; i++) {
		index = service_listener(&attach->state, attach->wanted[i]);
		if (index < 0) {
			status = add_listener(attach, attach->wanted[i]);
			if (status)
				return status;
			index = attach->state.nr_listeners - 1;
		}
		match_listener(attach, index, attach->wanted[i]);
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
		if (err == -ESRCH && attach->found.holders.unreadable)
			return trouble_set(
				attach->trouble, EXIT_NOT_ABLE,
				"can't see which process holds a socket on port %u: "
				"CAP_SYS_PTRACE is missing, or CAP_DAC_READ_SEARCH; run as root "
				"(see lbctl doctor)",
				group->port);
		if (err)
			return trouble_set(attach->trouble, EXIT_FAILED,
					   "can't attach the program: %s", strerror(-err));
	}
	return EXIT_DONE;
}

static void describe(const struct attach *attach, struct attach_result *result, bool made,
		     const struct service_change *change)
{
	pid_t pid = attach->nr_wanted ? attach->wanted[0]->members[0].pid : 0;

	result->made = made;
	result->added = change->added;
	result->gone = change->gone;
	result->waiting = change->waiting;
	result->workers = 0;
	for (uint32_t slot = 0; attach->state.config && slot < attach->state.config->used_slots;
	     slot++)
		result->workers += state_worker(&attach->state, slot)->state == LB_SLOT_UP;
	if (!pid || procs_name(pid, result->server, sizeof(result->server)))
		strcpy(result->server, "?");
}

/* Without it a service works, but for the policy that needs it. UDP has no connections. */
static int start_tracking(struct attach *attach, struct attach_result *result)
{
	int err;

	if (!service_counts(&attach->state))
		return EXIT_DONE;
	err = track_start(&attach->state, attach->by_listener);

	if (!track_is_on(&attach->state))
		result->untracked = track_error(err);
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
	result->policy = attach->request->policy;
	if (!result->policy)
		result->policy = made ? default_policy(state) : lb_word_policy(state->config->word);
	if (attach->request->group != LB_NO_GROUP)
		state->config->group = attach->request->group;
	if (attach->request->rescue && !state->config->rescue_ns)
		state->config->rescue_ns = LB_DEFAULT_RESCUE_MS * 1000000ULL;
	err = service_refresh(state, attach->by_listener, result->policy, attach->request->owner,
			      &change);
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
	/* counts that are a little off for now are no reason to fail */
	recount_connections(state);
	if (!status)
		status = worker_pins_publish(state, attach->trouble);
	describe(attach, result, made, &change);
	return status;
}

static int claim_groups(struct attach *attach, char name[LB_NAME_MAX + 1])
{
	const struct claim claim = {
		.name = attach->request->name,
		.addr = attach->request->addrs,
		.replace = attach->request->replace,
	};

	return claim_name(&claim, attach->wanted, attach->nr_wanted, name, attach->trouble);
}

int attach_run(const struct attach_request *request, struct attach_result *result,
	       struct trouble *trouble)
{
	struct attach attach = { .request = request, .trouble = trouble };
	struct service_change nothing = { 0 };
	int status;

	*result = (struct attach_result){ 0 };
	status = find_groups(&attach);
	if (!status)
		status = claim_groups(&attach, result->name);
	if (!status && request->dry_run) {
		describe(&attach, result, access(STATE_ROOT, F_OK) != 0, &nothing);
		result->workers = most_members(&attach);
	} else if (!status) {
		status = bring_up(&attach, result);
	}
	if (attach.state_open)
		state_close(&attach.state);
	groups_free(&attach.found);
	return status;
}

static bool service_exists(const char *name)
{
	char path[STATE_PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", STATE_ROOT, name);
	return !access(path, F_OK);
}

int attach_groups(const struct attach_request *request, struct groups *found,
		  struct attach_result *result, struct trouble *trouble)
{
	struct attach attach = { .request = request, .trouble = trouble, .found = *found };
	int status = EXIT_DONE;

	*result = (struct attach_result){ 0 };
	for (size_t i = 0; i < found->count && !status; i++) {
		if (found->items[i].nr_members)
			status = want_group(&attach, &attach.found.items[i]);
	}
	if (!status)
		status = claim_groups(&attach, result->name);
	if (!status && (attach.nr_wanted || service_exists(request->name)))
		status = bring_up(&attach, result);
	if (attach.state_open)
		state_close(&attach.state);
	return status;
}
