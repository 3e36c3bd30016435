// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See wanted.h. */
#include "service/wanted.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/proc_name.h"
#include "service/hold.h"

/* How a server that forks workers, which share its socket, is told to have one. */
static const struct {
	const char *server, *alone;
} alone[] = {
	{ "gunicorn", "gunicorn -w 1" },
	{ "hypercorn", "hypercorn -w 1" },
	{ "puma", "puma -w 0" },
	{ "uvicorn", "uvicorn --workers 1" },
	{ "granian", "granian --workers 1" },
};

/* All but the one that has forked the others: those that poll, or all but one. */
static size_t nr_workers(const struct member *member)
{
	size_t polling = 0;

	for (size_t i = 0; i < member->nr_holders; i++)
		polling += member->holders[i].polls;
	return polling ? polling : member->nr_holders - 1;
}

static int share_one_socket(const struct reuseport_group *group, struct trouble *trouble)
{
	const struct member *member = &group->members[0];
	char server[PROC_NAME_BYTES], in_server[96] = "", at[ADDR_STRLEN];
	const char *command = NULL;

	group_address(group, at);
	if (proc_name(member->holders[0].pid, server, sizeof(server)))
		strcpy(server, "COMMAND");
	for (size_t i = 0; i < sizeof(alone) / sizeof(alone[0]) && !command; i++)
		command = strcmp(server, alone[i].server) ? NULL : alone[i].alone;
	if (!strcmp(server, "nginx"))
		snprintf(in_server, sizeof(in_server), "\"listen %u reuseport\" in nginx, or ",
			 group->port);
	return trouble_set(trouble, EXIT_FAILED,
			   "%s is one socket that %zu processes share, so there is nothing to "
			   "choose from; %slbctl run -n %zu -- %s ...%s gives each worker a socket "
			   "of its own",
			   at, member->nr_holders, in_server, nr_workers(member),
			   command ? command : server,
			   command || *in_server ? "" : ", with one worker each,");
}

static bool is_shared(const struct reuseport_group *group)
{
	const struct member *member = &group->members[0];

	/* of two, one that polls and one that does not are a worker and who started it */
	return group->nr_members == 1 && member->nr_holders > 1 &&
	       !(member->holders[0].polls && !member->holders[1].polls);
}

int wanted_check_shared(const struct reuseport_group *group, struct trouble *trouble)
{
	return is_shared(group) ? share_one_socket(group, trouble) : EXIT_DONE;
}

/* A listener that is there but can't be steered as it is. */
static int check_group(struct wanted *wanted, const struct reuseport_group *group)
{
	char at[ADDR_STRLEN];

	group_address(group, at);
	if (group->mptcp)
		return trouble_set(wanted->trouble, EXIT_NOT_ABLE,
				   "%s listens with MPTCP, which the kernel can't steer; make the "
				   "server listen with plain TCP (Go: GODEBUG=multipathtcp=0)",
				   at);
	if (is_shared(group))
		return share_one_socket(group, wanted->trouble);
	if (!group->id && !wanted->found.inspect_error)
		return trouble_set(wanted->trouble, EXIT_FAILED,
				   "%s listens without SO_REUSEPORT; switch it on in the server "
				   "(nginx: listen %u reuseport; Node.js's cluster: the package "
				   "that lbctl run --help names), or let lbctl start it: lbctl run "
				   "-- COMMAND",
				   at, group->port);
	for (size_t i = 0; i < group->nr_members; i++) {
		if (!group->members[i].nr_holders && !wanted->found.holders.unreadable)
			continue;
		if (!group->members[i].nr_holders && !wanted->pid) {
			char why[PROCS_WHY_BYTES];

			procs_why_unseen(&wanted->found.holders, why);
			return trouble_set(wanted->trouble, EXIT_NOT_ABLE,
					   "can't see which process holds %s: %s", at, why);
		}
	}
	return EXIT_DONE;
}

/* Every address that was written must mean at least one group. */
static int no_listener(struct wanted *wanted, size_t which)
{
	const struct addr *addr = &wanted->addrs[which];
	char at[ADDR_STRLEN];

	if (wanted->pid)
		return trouble_set(wanted->trouble, EXIT_FAILED,
				   "process %d polls no socket there; leave out --pid, or see "
				   "lbctl scan",
				   wanted->pid);
	for (size_t i = 0; i < wanted->found.count; i++) {
		if (wanted->found.items[i].port != addr->port ||
		    wanted->found.items[i].proto != addr->proto)
			continue;
		group_address(&wanted->found.items[i], at);
		return trouble_set(wanted->trouble, EXIT_FAILED,
				   "nothing listens there, but on %s; try: lbctl attach %s", at,
				   at);
	}
	return trouble_set(wanted->trouble, EXIT_FAILED,
			   "nothing listens on %s port %u%s; lbctl scan lists what can be attached",
			   addr->proto == LB_PROTO_UDP ? "UDP" : "TCP", addr->port,
			   wanted->netns_fd >= 0 ? " in that network namespace" : "");
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

int wanted_add(struct wanted *wanted, struct reuseport_group *group)
{
	for (size_t i = 0; i < wanted->count; i++) {
		if (wanted->items[i] == group)
			return EXIT_DONE;
	}
	if (wanted->count == LB_MAX_LISTENERS)
		return trouble_set(wanted->trouble, EXIT_FAILED,
				   "more than %d groups; name fewer addresses for one service",
				   LB_MAX_LISTENERS);
	wanted->items[wanted->count++] = group;
	return EXIT_DONE;
}

/*
 * The groups that an address means. A bare port means the wildcard groups, and those on single
 * addresses only where there is no wildcard one: they may be other servers.
 */
static int want_address(struct wanted *wanted, size_t which)
{
	const struct addr *addr = &wanted->addrs[which];
	bool wildcard = false, found = false;
	struct reuseport_group *group;
	int status;

	for (size_t i = 0; i < wanted->found.count; i++) {
		group = &wanted->found.items[i];
		if (group_matches(group, addr) && group_is_wildcard(group))
			wildcard = true;
	}
	for (size_t i = 0; i < wanted->found.count; i++) {
		group = &wanted->found.items[i];
		if (!group_matches(group, addr))
			continue;
		if (addr->any && wildcard && !group_is_wildcard(group))
			continue;
		if (wanted->pid)
			keep_members_of(group, wanted->pid);
		if (!group->nr_members)
			continue;
		status = check_group(wanted, group);
		if (!status)
			status = wanted_add(wanted, group);
		if (status)
			return status;
		found = true;
	}
	return found ? EXIT_DONE : no_listener(wanted, which);
}

int wanted_find(struct wanted *wanted)
{
	uint16_t port = wanted->nr_addrs == 1 ? wanted->addrs[0].port : 0;
	enum group_detail detail = 0;
	int status = EXIT_DONE, err;

	for (size_t i = 0; i < wanted->nr_addrs; i++) {
		if (wanted->addrs[i].proto == LB_PROTO_UDP)
			detail = GROUP_UDP;
	}
	err = groups_find(wanted->netns_fd, port, wanted->pid, detail, &wanted->found);
	if (err)
		return trouble_set(wanted->trouble, err == -EPERM ? EXIT_NOT_ABLE : EXIT_FAILED,
				   "can't list listening sockets: %s", strerror(-err));
	if (wanted->found.inspect_error)
		return trouble_set(
			wanted->trouble, EXIT_NOT_ABLE,
			wanted->found.inspect_error == -EPERM ?
				"may not load BPF programs: CAP_BPF, CAP_NET_ADMIN and "
				"CAP_PERFMON are needed; run as root (see lbctl doctor)" :
				"this kernel's BPF can't list sockets (see lbctl doctor)");
	hold_strip(&wanted->found);
	for (size_t i = 0; i < wanted->nr_addrs && !status; i++)
		status = want_address(wanted, i);
	return status;
}
