// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See join.h. */
#include "service/join.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "service/service.h"
#include "service/state.h"
#include "service/steer.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* An option of the socket, -1 where the kernel has no answer. */
static int option(int fd, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) ? -1 : value;
}

int join_check(int fd, struct trouble *trouble)
{
	int family = option(fd, SO_DOMAIN), protocol = option(fd, SO_PROTOCOL);
	const char *why = NULL;

	if (family < 0)
		why = "it is not a socket";
	else if (family != AF_INET && family != AF_INET6)
		why = "it is a socket of another family than IPv4 and IPv6";
	else if (protocol == IPPROTO_MPTCP)
		why = "it is an MPTCP socket, which the kernel can't steer; make a plain TCP one";
	else if (protocol != IPPROTO_TCP || option(fd, SO_TYPE) != SOCK_STREAM)
		why = "it is not a TCP socket, and only those can join";
	else if (option(fd, SO_REUSEPORT) != 1)
		why = "SO_REUSEPORT is not set; set it before bind()";
	else if (option(fd, SO_ACCEPTCONN) != 1)
		why = "it does not listen; call listen() first";
	if (why)
		return trouble_set(trouble, EXIT_USAGE, "this socket can't join: %s", why);
	return EXIT_DONE;
}

/* The slot that it has, or -1. */
static int registered_slot(const struct state *state, uint64_t cookie, struct lb_place *at,
			   bool *refresh)
{
	if (state_place(state, cookie, at))
		return -1;
	if (steer_registered_cookie(state, at->listener, at->slot) == cookie)
		return at->slot;
	/* it was shut down and listens again; nobody has looked since */
	*refresh = true;
	return -1;
}

static int fill_place(const struct state *state, uint32_t slot, struct join_place *place,
		      struct trouble *trouble)
{
	place->slot = slot;
	place->worker = state_worker(state, slot)->worker;
	place->load_fd = fcntl(state->maps[MAP_LOAD], F_DUPFD_CLOEXEC, 0);
	if (place->load_fd < 0)
		return trouble_set(trouble, EXIT_FAILED, "the load page: %s", strerror(errno));
	return EXIT_DONE;
}

int join_known(const char *name, int fd, struct join_place *place)
{
	struct trouble trouble = { 0 };
	const struct lb_listener *listener;
	struct state state;
	struct lb_place at;
	bool refresh;
	int slot;

	*place = (struct join_place){ .load_fd = -1, .was_there = true };
	if (state_open(&state, name, STATE_READ))
		return EXIT_NOT_FOUND;
	slot = registered_slot(&state, sockdiag_cookie(fd), &at, &refresh);
	/* who registers it may not be done: with the lock it is waited for */
	if (slot >= 0 && steer_is_published(&state, slot)) {
		listener = &state.config->listeners[at.listener];
		addr_format(listener->family, listener->addr, listener->port, place->address,
			    sizeof(place->address));
		fill_place(&state, slot, place, &trouble);
	}
	state_close(&state);
	return place->load_fd < 0 ? EXIT_NOT_FOUND : EXIT_DONE;
}

static void pick_own(struct joiner *joiner, uint64_t cookie)
{
	for (size_t g = 0; g < joiner->groups.count; g++) {
		const struct reuseport_group *group = &joiner->groups.items[g];

		for (size_t i = 0; i < group->nr_members; i++) {
			if (group->members[i].socket.cookie != cookie)
				continue;
			joiner->group = group;
			joiner->member = &group->members[i];
		}
	}
}

/* Host order; 0 if it can't be told. */
static uint16_t port_of(int fd)
{
	struct sockaddr_in6 at = { 0 };
	socklen_t len = sizeof(at);

	/* the port is in the same place in both families */
	return getsockname(fd, (struct sockaddr *)&at, &len) ? 0 : ntohs(at.sin6_port);
}

int join_find(struct joiner *joiner, int fd, pid_t pid, struct trouble *trouble)
{
	int status, err;

	*joiner = (struct joiner){ .fd = fd, .pid = pid };
	status = join_check(fd, trouble);
	if (status)
		return status;
	err = groups_find(-1, port_of(fd), pid, 0, &joiner->groups);
	if (err)
		return trouble_set(trouble, EXIT_FAILED, "can't list listening sockets: %s",
				   strerror(-err));
	if (joiner->groups.inspect_error)
		return trouble_set(trouble, EXIT_NOT_ABLE,
				   "the keeper may not load BPF programs, so it can't tell which "
				   "group a socket is in; lbctl doctor shows what is missing");
	pick_own(joiner, sockdiag_cookie(fd));
	if (!joiner->member)
		return trouble_set(trouble, EXIT_USAGE,
				   "this socket can't join: it listens in another network "
				   "namespace than the service");
	joiner->member->pid = pid;
	return EXIT_DONE;
}

void joiner_free(struct joiner *joiner)
{
	groups_free(&joiner->groups);
	joiner->group = NULL;
	joiner->member = NULL;
}

static bool has_registered(const struct state *state, uint32_t listener,
			   const struct reuseport_group *group)
{
	struct lb_place place;

	for (size_t i = 0; i < group->nr_members; i++) {
		if (!state_place(state, group->members[i].socket.cookie, &place) &&
		    place.listener == listener)
			return true;
	}
	return false;
}

/* The service's sockets on that address are of another group: nothing would ever be sent here. */
static bool is_of_other_group(const struct state *state, uint32_t listener,
			      const struct joiner *joiner)
{
	if (has_registered(state, listener, joiner->group))
		return false;
	for (size_t g = 0; g < joiner->groups.count; g++) {
		if (has_registered(state, listener, &joiner->groups.items[g]))
			return true;
	}
	return false;
}

/* Returns the index of the listener that it belongs to, or -1 with the trouble. */
static int find_listener(const struct state *state, const struct joiner *joiner, bool *refresh,
			 struct trouble *trouble)
{
	const struct reuseport_group *group = joiner->group;
	char at[ADDR_STRLEN], steerer[GROUP_STEERER_BYTES];
	int listener = service_listener(state, group);

	group_address(group, at);
	group_steerer(group, steerer);
	*refresh = true;
	if (listener < 0) {
		trouble_set(trouble, EXIT_USAGE,
			    "this socket can't join: it listens on %s, and service %s does not; "
			    "lbctl show %s tells where it does",
			    at, state->name, state->name);
		return -1;
	}
	if (is_of_other_group(state, listener, joiner)) {
		trouble_set(trouble, EXIT_USAGE,
			    "this socket can't join: on %s it is in another reuseport group than "
			    "the sockets of service %s (another user's, or bound to a device)",
			    at, state->name);
		return -1;
	}
	if (group->prog_id && group->prog_id != state->config->listeners[listener].prog_id) {
		trouble_set(trouble, EXIT_FAILED,
			    "%s steers %s; lbctl attach --replace takes it over", steerer, at);
		return -1;
	}
	*refresh = false;
	return listener;
}

static int join_failed(const struct state *state, int err, uint32_t worker, struct trouble *trouble)
{
	switch (err) {
	case -EBUSY:
		return trouble_set(trouble, EXIT_FAILED,
				   "this socket sits in a SOCKMAP or in another service and fits "
				   "into one only; take it out there first");
	case -EINVAL:
		return trouble_set(trouble, EXIT_USAGE,
				   "this socket can't join: it has stopped listening");
	case -EUSERS:
		return trouble_set(trouble, EXIT_FAILED,
				   "%d sockets of worker %u are in service %s already; give each "
				   "worker an LBCTL_WORKER of its own, or none",
				   LB_SLOTS_PER_WORKER, worker, state->name);
	case -ENOSPC:
		return trouble_set(trouble, EXIT_FAILED,
				   "service %s has %d workers, and a service has no more",
				   state->name, LB_MAX_WORKERS);
	case -E2BIG:
		return trouble_set(trouble, EXIT_FAILED,
				   "the weights add up to more than %u; set smaller ones",
				   LB_MAX_SCHEDULE);
	default:
		return trouble_set(trouble, EXIT_FAILED, "can't register this socket: %s",
				   strerror(-err));
	}
}

static int worker_asked_for(void *arg, const struct member *member)
{
	const uint32_t *worker = arg;

	(void)member;
	return *worker;
}

/* Returns its slot, new or not, or -1 with the trouble. */
static int take_slot(struct state *state, const struct joiner *joiner, uint32_t worker,
		     struct join_place *place, bool *refresh, struct trouble *trouble)
{
	const struct service_owner owner = { .worker = worker_asked_for, .arg = &worker };
	struct lb_place at;
	int slot = registered_slot(state, joiner->member->socket.cookie, &at, refresh);
	int listener, err;

	place->was_there = slot >= 0;
	if (slot >= 0)
		return slot;
	if (*refresh) {
		trouble_set(trouble, EXIT_FAILED, "this socket has left service %s", state->name);
		return -1;
	}
	listener = find_listener(state, joiner, refresh, trouble);
	if (listener < 0)
		return -1;
	if (worker != JOIN_ANY_WORKER && worker >= LB_MAX_WORKERS) {
		trouble_set(trouble, EXIT_USAGE,
			    "there can be no worker %u: a service has at most %d workers", worker,
			    LB_MAX_WORKERS);
		return -1;
	}
	slot = service_join(state, listener, worker == JOIN_ANY_WORKER ? NULL : &owner,
			    joiner->member, joiner->fd);
	/* the first socket of a group: its server was started anew */
	err = slot < 0 || joiner->group->prog_id ? 0 : steer_attach(state, listener, joiner->fd);
	if (slot < 0 || err) {
		join_failed(state, slot < 0 ? slot : err, worker, trouble);
		return -1;
	}
	return slot;
}

int join_service(const char *name, const struct joiner *joiner, uint32_t worker,
		 struct join_place *place, bool *refresh, struct trouble *trouble)
{
	struct state state;
	int slot, err;

	*place = (struct join_place){ .load_fd = -1 };
	*refresh = false;
	group_address(joiner->group, place->address);
	err = state_open(&state, name, STATE_LOCK);
	if (err) {
		*refresh = err == -ENOENT || err == -ENODEV;
		return state_trouble(trouble, name, err);
	}
	slot = take_slot(&state, joiner, worker, place, refresh, trouble);
	if (slot >= 0)
		fill_place(&state, slot, place, trouble);
	state_close(&state);
	return place->load_fd < 0 ? trouble->status : EXIT_DONE;
}
