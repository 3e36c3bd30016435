// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See group.h. */
#include "host/group.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/inspect.h"
#include "host/netns.h"

struct search {
	uint16_t port;
	enum group_detail detail;
	const pid_t *pids; /* whose descriptors are looked at; NULL = all processes' */
	size_t nr_pids;
	uint64_t netns;
	struct sockdiag_list listeners;
	struct sockdiag_list datagram; /* UDP sockets */
	struct sockdiag_list connections;
	struct inspect_list inspected;
	int inspect_error;
};

/* Runs inside the namespace. sock_diag first: it gives the sockets their cookies. */
static int look(void *arg)
{
	struct search *search = arg;
	int err;

	err = netns_of_self(&search->netns);
	if (!err)
		err = sockdiag_listeners(IPPROTO_TCP, search->port, &search->listeners);
	if (!err && (search->detail & GROUP_UDP))
		err = sockdiag_listeners(IPPROTO_UDP, search->port, &search->datagram);
	if (!err && (search->detail & GROUP_LIVE))
		err = sockdiag_connections(search->port, &search->connections);
	search->inspect_error = -ENODATA;
	if (!err && !(search->detail & GROUP_QUICK))
		search->inspect_error = inspect_listeners(search->port, search->detail & GROUP_UDP,
							  &search->inspected);
	return err;
}

/*
 * What the sockets of one group have in common; compared byte by byte. Without the kernel's own
 * word it is the rule by which the kernel groups.
 */
struct place {
	uint64_t id;	/* of the kernel's group */
	uint64_t alone; /* cookie of one that is in none */
	uint32_t uid;	/* without the kernel's word */
	uint32_t ifindex;
	uint32_t port;
	uint16_t family;
	uint16_t mptcp;
	uint8_t addr[16];
};

struct found {
	struct place place;
	const struct sockdiag_socket *socket;
	const struct lb_listening *more; /* NULL = the kernel does not tell */
};

static struct found found_of(const struct search *search, const struct sockdiag_socket *socket)
{
	const struct lb_listening *more = inspect_find(&search->inspected, socket->cookie);
	struct found found = {
		.place = {
			.id = more ? more->group : 0,
			.uid = search->inspect_error ? socket->uid : 0,
			.ifindex = socket->ifindex,
			.port = socket->port,
			.family = socket->family,
			.mptcp = socket->mptcp,
		},
		.socket = socket,
		.more = more,
	};

	if (!found.place.id && !search->inspect_error)
		found.place.alone = socket->cookie;
	memcpy(found.place.addr, socket->addr, sizeof(found.place.addr));
	return found;
}

static int compare_found(const void *left, const void *right)
{
	const struct found *a = left, *b = right;
	int order = memcmp(&a->place, &b->place, sizeof(a->place));

	if (order)
		return order;
	return (a->socket->cookie > b->socket->cookie) - (a->socket->cookie < b->socket->cookie);
}

static struct reuseport_group *add_group(struct groups *groups, const struct search *search,
					 const struct found *found, size_t nr_members)
{
	const struct sockdiag_socket *socket = found->socket;
	struct reuseport_group *group = &groups->items[groups->count];

	*group = (struct reuseport_group){
		.id = found->place.id,
		.netns = search->netns,
		.ifindex = socket->ifindex,
		.port = socket->port,
		.proto = socket->proto,
		.family = socket->family,
		.mptcp = socket->mptcp,
		.members = calloc(nr_members, sizeof(*group->members)),
	};
	if (!group->members)
		return NULL;
	memcpy(group->addr, socket->addr, sizeof(group->addr));
	groups->count++;
	return group;
}

static void add_member(struct reuseport_group *group, const struct found *found)
{
	const struct lb_listening *more = found->more;

	group->members[group->nr_members++] = (struct member){
		.socket = *found->socket,
		.sock = more ? more->sock : 0,
		.half_open = more ? more->half_open : 0,
		.oldest = more ? more->oldest : 0,
		.now_ns = more ? more->now_ns : 0,
	};
	if (more)
		group->prog_id = more->prog_id;
}

/* Those that are sorted and in one place are one group. */
static int add_found(struct groups *groups, const struct search *search, const struct found *found,
		     size_t n)
{
	struct reuseport_group *grown =
		reallocarray(groups->items, groups->count + n + 1, sizeof(*grown));
	struct reuseport_group *group;
	size_t end;

	if (!grown)
		return -ENOMEM;
	groups->items = grown;
	for (size_t i = 0; i < n; i = end) {
		for (end = i + 1; end < n; end++) {
			if (memcmp(&found[i].place, &found[end].place, sizeof(found->place)))
				break;
		}
		group = add_group(groups, search, &found[i], end - i);
		if (!group)
			return -ENOMEM;
		for (size_t j = i; j < end; j++)
			add_member(group, &found[j]);
	}
	return 0;
}

static int compare_groups(const void *left, const void *right)
{
	const struct reuseport_group *a = left, *b = right;
	uint64_t x = a->members[0].socket.cookie, y = b->members[0].socket.cookie;

	return (x > y) - (x < y);
}

/*
 * By age. A connected UDP socket is no member, even where it is in the kernel's group: the kernel
 * itself gives it its peer's datagrams, and to the others what the program chose.
 */
static int add_groups(struct groups *groups, const struct search *search,
		      const struct sockdiag_list *list)
{
	_cleanup_free_ struct found *found = calloc(list->count + 1, sizeof(*found));
	size_t n = 0, before = groups->count;
	int err;

	if (!found)
		return -ENOMEM;
	for (size_t i = 0; i < list->count; i++) {
		if (list->items[i].state != TCP_ESTABLISHED)
			found[n++] = found_of(search, &list->items[i]);
	}
	qsort(found, n, sizeof(*found), compare_found);
	err = add_found(groups, search, found, n);
	if (!err && groups->count > before)
		qsort(groups->items + before, groups->count - before, sizeof(*groups->items),
		      compare_groups);
	return err;
}

static int compare_inodes(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int find_holders(const struct search *search, struct procs_list *out)
{
	const struct sockdiag_list *lists[] = { &search->listeners, &search->datagram,
						&search->connections };
	size_t most = search->listeners.count + search->datagram.count + search->connections.count;
	_cleanup_free_ uint64_t *inodes = calloc(most ? most : 1, sizeof(*inodes));
	size_t n = 0;

	if (!inodes)
		return -ENOMEM;
	for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
		for (size_t i = 0; i < lists[l]->count; i++)
			inodes[n++] = lists[l]->items[i].inode;
	}
	qsort(inodes, n, sizeof(*inodes), compare_inodes);
	if (!search->pids)
		return procs_find_holders(inodes, n, 0, out);
	return procs_find_holders_among(inodes, n, search->pids, search->nr_pids, out);
}

static int compare_members(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->socket.inode < y->socket.inode ? -1 : x->socket.inode > y->socket.inode;
}

pid_t member_pid(const struct member *member, pid_t keeper)
{
	for (size_t i = 0; i < member->nr_holders; i++) {
		pid_t pid = member->holders[i].pid;

		if (pid != keeper && !procs_runs_our_program(pid))
			return pid;
	}
	return 0;
}

static void name_holders(struct groups *groups)
{
	for (size_t g = 0; g < groups->count; g++) {
		struct reuseport_group *group = &groups->items[g];

		for (size_t i = 0; i < group->nr_members; i++) {
			struct member *member = &group->members[i];

			member->holders = procs_holders_of(&groups->holders, member->socket.inode,
							   &member->nr_holders);
			member->pid = member_pid(member, 0);
		}
		qsort(group->members, group->nr_members, sizeof(*group->members), compare_members);
	}
}

/* `search` has what to look for; all else of it is empty, and is again after that. */
static int find(int netns_fd, struct search *search, struct groups *out)
{
	int err;

	*out = (struct groups){ 0 };
	err = netns_run(netns_fd, look, search);
	if (!err)
		err = add_groups(out, search, &search->listeners);
	if (!err)
		err = add_groups(out, search, &search->datagram);
	if (!err)
		err = find_holders(search, &out->holders);
	if (!err) {
		name_holders(out);
		out->inspect_error = search->inspect_error;
		err = group_live_count(out, &search->connections);
	}
	sockdiag_free(&search->listeners);
	sockdiag_free(&search->datagram);
	sockdiag_free(&search->connections);
	inspect_free(&search->inspected);
	if (err)
		groups_free(out);
	return err;
}

int groups_find(int netns_fd, uint16_t port, pid_t only, enum group_detail detail,
		struct groups *out)
{
	struct search search = {
		.port = port,
		.detail = detail,
		.pids = only ? &only : NULL,
		.nr_pids = 1,
	};

	return find(netns_fd, &search, out);
}

int groups_find_among(uint16_t port, const pid_t *pids, size_t nr_pids, enum group_detail detail,
		      struct groups *out)
{
	const pid_t none = 0;
	struct search search = {
		.port = port,
		.detail = detail,
		.pids = nr_pids ? pids : &none,
		.nr_pids = nr_pids,
	};

	return find(-1, &search, out);
}

void groups_free(struct groups *groups)
{
	for (size_t i = 0; i < groups->count; i++)
		free(groups->items[i].members);
	free(groups->items);
	free(groups->connections);
	procs_free(&groups->holders);
	*groups = (struct groups){ 0 };
}

bool group_is_wildcard(const struct reuseport_group *group)
{
	static const uint8_t zero[16];

	return !memcmp(group->addr, zero, group->family == AF_INET ? 4 : 16);
}

bool group_matches(const struct reuseport_group *group, const struct addr *addr)
{
	if (group->proto != addr->proto || group->port != addr->port)
		return false;
	for (size_t i = 0; i < addr->nr_hosts; i++) {
		if (group->family == addr->hosts[i].family &&
		    !memcmp(group->addr, addr->hosts[i].bytes, group->family == AF_INET ? 4 : 16))
			return true;
	}
	return addr->any;
}

void group_steerer(const struct reuseport_group *group, char out[GROUP_STEERER_BYTES])
{
	if (group->prog_id == LB_CLASSIC_PROGRAM)
		snprintf(out, GROUP_STEERER_BYTES, "a classic BPF program");
	else
		snprintf(out, GROUP_STEERER_BYTES, "BPF program %u", group->prog_id);
}

void group_address(const struct reuseport_group *group, char *out)
{
	size_t len = 0;

	if (group->proto == LB_PROTO_UDP)
		len = snprintf(out, ADDR_STRLEN, "udp/");
	addr_format(group->family, group->addr, group->port, out + len, ADDR_STRLEN - len);
}

int member_duplicate(const struct member *member)
{
	const struct procs_holder *from;

	return member_duplicate_from(member, &from);
}

int holder_duplicate(const struct procs_holder *holder, uint64_t cookie)
{
	_cleanup_close_ int pidfd = syscall(__NR_pidfd_open, holder->pid, 0);
	_cleanup_close_ int copy = -1;

	if (pidfd < 0)
		return -ESRCH;
	copy = syscall(__NR_pidfd_getfd, pidfd, holder->fd, 0);
	if (copy < 0)
		return errno == EPERM ? -EPERM : -ESRCH;
	/* the number may be another file by now */
	return sockdiag_cookie(copy) == cookie ? fd_steal(&copy) : -ESRCH;
}

int member_duplicate_from(const struct member *member, const struct procs_holder **from)
{
	int err = -ESRCH, fd;

	for (size_t i = 0; i < member->nr_holders; i++) {
		fd = holder_duplicate(&member->holders[i], member->socket.cookie);
		if (fd >= 0) {
			*from = &member->holders[i];
			return fd;
		}
		if (fd == -EPERM)
			err = fd;
	}
	return err;
}
