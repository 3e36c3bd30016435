// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See waiting.h. */
#include "service/waiting.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "host/cgroup.h"
#include "host/group.h"
#include "host/netns.h"
#include "host/socket_like.h"
#include "lb_hold.h"
#include "service/steer.h"
#include "service/track.h"
#include "service/wake_listeners.h"

#define BACKLOG 4096 /* cut to net.core.somaxconn by the kernel */
#define FORGOTTEN_NS 1000000000ULL

struct waiting {
	const struct state *state;
	int fds[LB_WAITING_SLOTS];
	uint32_t listeners[LB_WAITING_SLOTS];
	uint32_t count;
	uint64_t seen; /* which workers' listeners have been compared: their cookies, mixed */
};

static uint64_t bit(int index)
{
	return 1ULL << index;
}

static void set(__u64 *bits, int index)
{
	__atomic_fetch_or(bits, bit(index), __ATOMIC_SEQ_CST);
}

static void clear(__u64 *bits, int index)
{
	__atomic_fetch_and(bits, ~bit(index), __ATOMIC_SEQ_CST);
}

/* --- to make them --- */

/* What one listener's are made like. */
struct pattern {
	struct waiting *waiting;
	uint32_t listener, wanted;
	int like;
	const char *cannot;
};

static socklen_t address_of(const struct lb_listener *listener, struct sockaddr_storage *out)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(listener->port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(listener->port) };

	memcpy(&in6.sin6_addr, listener->addr, 16);
	memcpy(&in.sin_addr, listener->addr, 4);
	if (listener->family == AF_INET6)
		memcpy(out, &in6, sizeof(in6));
	else
		memcpy(out, &in, sizeof(in));
	return listener->family == AF_INET6 ? sizeof(in6) : sizeof(in);
}

static int start(const struct waiting *waiting, int index, int fd)
{
	uint32_t slot = LB_MAX_SLOTS + index, listener = waiting->listeners[index];
	const struct lb_place place = { .slot = slot, .listener = listener };
	uint64_t cookie = sockdiag_cookie(fd);
	int err = track_mark(waiting->state, slot, fd);

	if (!err)
		err = state_update(waiting->state, MAP_COOKIES, &cookie, &place, sizeof(place));
	if (!err && listen(fd, BACKLOG))
		err = -errno;
	return err ? err : steer_register(waiting->state, listener, slot, fd);
}

/* What of the first one a release would lose, it can't be used with. */
static int check_after_release(struct pattern *pattern, int index)
{
	waiting_release(pattern->waiting, index, false);
	pattern->cannot = socket_differs(pattern->waiting->fds[index], pattern->like, false);
	return pattern->cannot ? -EOPNOTSUPP : 0;
}

/* In the namespace of the listener. */
static int make_some(void *arg)
{
	struct pattern *pattern = arg;
	struct waiting *waiting = pattern->waiting;
	struct sockaddr_storage addr;
	socklen_t len = address_of(&waiting->state->config->listeners[pattern->listener], &addr);

	for (uint32_t i = 0; i < pattern->wanted; i++) {
		uint32_t index = waiting->count;
		int fd =
			socket_like(pattern->like, (struct sockaddr *)&addr, len, &pattern->cannot);
		int err = fd < 0 ? fd : 0;

		if (!err) {
			waiting->fds[index] = fd;
			waiting->listeners[index] = pattern->listener;
			waiting->count++;
			err = start(waiting, index, fd);
		}
		if (!err && !i)
			err = check_after_release(pattern, index);
		if (err)
			return err;
	}
	return 0;
}

/* What is looked for of a listener's workers. */
struct search {
	const struct state *state;
	uint32_t listener;
	int fd; /* what they are to be like: at first a copy of one's socket, -1 = none yet */
	uint64_t cgroup;
	const char *differs; /* in this, two of them do */
};

static void look_at_member(struct search *search, const struct member *member)
{
	_cleanup_close_ int fd = -1;
	struct lb_place place;

	if (state_place(search->state, member->socket.cookie, &place) ||
	    place.listener != search->listener)
		return;
	fd = member_duplicate(member);
	if (fd < 0)
		return;
	if (search->fd >= 0) {
		if (!search->differs)
			search->differs = socket_differs(search->fd, fd, false);
		return;
	}
	search->fd = fd_steal(&fd);
	search->cgroup = member->socket.cgroup_id;
}

/* Compares the workers' sockets of a listener with each other, or with what there is of them. */
static int look_at_listener(struct search *search, int netns)
{
	struct groups groups;
	int err = groups_find(netns, search->state->config->listeners[search->listener].port, 0,
			      GROUP_QUICK, &groups);

	if (err)
		return err;
	for (size_t g = 0; g < groups.count; g++) {
		for (size_t i = 0; i < groups.items[g].nr_members; i++)
			look_at_member(search, &groups.items[g].members[i]);
	}
	groups_free(&groups);
	return 0;
}

/*
 * A copy of a worker's listener; -EAGAIN if none is to be had, -EXDEV if they are not alike: a
 * connection that waits may go to any of them. *cgroup is that which it is in.
 */
static int copy_of_worker(const struct state *state, uint32_t listener, int netns, uint64_t *cgroup,
			  const char **why)
{
	struct search search = { .state = state, .listener = listener, .fd = -1 };
	int err = look_at_listener(&search, netns);

	if (err)
		return err;
	*cgroup = search.cgroup;
	*why = search.differs;
	if (search.differs) {
		close_fd(&search.fd);
		return -EXDEV;
	}
	return search.fd < 0 ? -EAGAIN : search.fd;
}

/* Where lb_track sees them, or, where no process may be in that, where the worker's is. */
static int enter_cgroup(const struct state *state, uint64_t of_worker)
{
	const uint64_t ids[] = { track_cgroup(state), of_worker };
	int err = -EBUSY;

	for (int i = 0; err && i < 2; i++) {
		_cleanup_close_ int dir = ids[i] ? cgroup_open(ids[i]) : -1;

		err = dir < 0 ? -EBUSY : cgroup_move_self(dir);
	}
	return err;
}

static int make_for(struct waiting *waiting, uint32_t listener, uint32_t wanted, const char **why)
{
	struct pattern pattern = { .waiting = waiting, .listener = listener, .wanted = wanted };
	_cleanup_close_ int netns = -1, like = -1;
	uint64_t cgroup = 0;
	int err = netns_find(waiting->state->config->listeners[listener].netns, &netns);

	if (err)
		return err == -ENOENT ? -EAGAIN : err;
	like = copy_of_worker(waiting->state, listener, netns, &cgroup, why);
	if (like < 0)
		return like;
	pattern.like = like;
	err = enter_cgroup(waiting->state, cgroup);
	if (!err)
		err = netns_run(netns, make_some, &pattern);
	*why = pattern.cannot;
	return err;
}

static int make_all(struct waiting *waiting, const char **why)
{
	const struct state *state = waiting->state;
	uint32_t nr_tcp = 0;
	int err = 0;

	for (uint32_t i = 0; i < state->nr_listeners; i++)
		nr_tcp += state->config->listeners[i].proto == LB_PROTO_TCP;
	for (uint32_t i = 0; !err && i < state->nr_listeners; i++) {
		if (state->config->listeners[i].proto == LB_PROTO_TCP)
			err = make_for(waiting, i, LB_WAITING_SLOTS / nr_tcp, why);
	}
	return err;
}

/* Of all sockets that the workers have in the groups. */
static uint64_t mix_cookies(const struct state *state)
{
	uint64_t mixed = 0;

	for (uint32_t i = 0; i < state->nr_listeners; i++) {
		for (uint32_t slot = 0; slot < state_used_slots(state); slot++)
			mixed = mixed * 31 + state_queue(state, i, slot)->cookie;
	}
	return mixed;
}

int waiting_open(const struct state *state, struct waiting **out, const char **why)
{
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	struct lb_hold *hold = state_hold(state);
	char own[PATH_MAX];
	_cleanup_close_ int home = -1;
	int err, left;

	*why = NULL;
	if (!waiting)
		return -ENOMEM;
	waiting->state = state;
	/* before it looks: who comes meanwhile is looked at once more */
	waiting->seen = mix_cookies(state);
	home = cgroup_own(own) ? -1 : open(own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = home < 0 ? -ENOENT : make_all(waiting, why);
	/* who stays in a service's cgroup passes for a process of its worker */
	left = home < 0 ? 0 : cgroup_move_self(home);
	err = err ? err : left;
	if (err) {
		waiting_close(waiting);
		return err;
	}
	for (uint32_t i = 0; i < waiting->count; i++)
		set(&hold->open[waiting->listeners[i]], i);
	*out = waiting;
	return 0;
}

static const char *first_difference(const struct waiting *waiting, uint32_t listener, int fd)
{
	struct search search = { .state = waiting->state, .listener = listener, .fd = fd };
	_cleanup_close_ int netns = -1;

	if (netns_find(waiting->state->config->listeners[listener].netns, &netns))
		return NULL;
	look_at_listener(&search, netns);
	return search.differs;
}

bool waiting_still_fits(struct waiting *waiting, const char **why)
{
	uint64_t mixed = mix_cookies(waiting->state);
	uint64_t compared = 0;

	*why = NULL;
	if (mixed == waiting->seen)
		return true;
	waiting->seen = mixed;
	for (uint32_t i = 0; !*why && i < waiting->count; i++) {
		uint32_t listener = waiting->listeners[i];

		if (!(compared & bit(listener)))
			*why = first_difference(waiting, listener, waiting->fds[i]);
		compared |= bit(listener);
	}
	return !*why;
}

/* The program lets go of each before it is closed. */
void waiting_close(struct waiting *waiting)
{
	struct lb_hold *hold;

	if (!waiting)
		return;
	hold = state_hold(waiting->state);
	for (uint32_t i = 0; i < waiting->count; i++)
		clear(&hold->open[waiting->listeners[i]], i);
	track_await_programs();
	for (uint32_t i = 0; i < waiting->count; i++) {
		uint64_t cookie = sockdiag_cookie(waiting->fds[i]);

		close_fd(&waiting->fds[i]);
		state_delete(waiting->state, MAP_COOKIES, &cookie);
		clear(&hold->taken, i);
		clear(&hold->occupied, i);
	}
	if (waiting->count && wake_listeners_needed())
		wake_listeners(waiting->state, WAKE_LOOKS);
	free(waiting);
}

/* --- to use them --- */

int waiting_oldest(const struct waiting *waiting, uint32_t without, uint64_t *since_ns)
{
	const struct lb_hold *hold = state_hold(waiting->state);
	uint64_t occupied = __atomic_load_n(&hold->occupied, __ATOMIC_ACQUIRE);
	int oldest = -1;

	for (uint32_t i = 0; i < waiting->count && occupied >> i; i++) {
		uint64_t since = state_waiting(waiting->state, i)->since_ns;

		if (!(occupied & bit(i)) || without >> waiting->listeners[i] & 1)
			continue;
		if (oldest < 0 || since < *since_ns) {
			oldest = i;
			*since_ns = since;
		}
	}
	return oldest;
}

uint32_t waiting_listener(const struct waiting *waiting, int index)
{
	return waiting->listeners[index];
}

/*
 * While it is closed, a SYN that chose it would be dropped, and sent again a second later: so it is
 * marked first. An ACK that comes now marks it as occupied again.
 */
void waiting_release(struct waiting *waiting, int index, bool overdue)
{
	struct lb_hold *hold = state_hold(waiting->state);
	uint32_t listener = waiting->listeners[index];
	int fd = waiting->fds[index];

	state_waiting(waiting->state, index)->moved_to = 0;
	hold->let_go = overdue ? LB_LET_ALL_GO : 1;
	set(&hold->closing, index);
	clear(&hold->occupied, index);
	shutdown(fd, SHUT_RD);
	if (listen(fd, BACKLOG) ||
	    steer_register(waiting->state, listener, LB_MAX_SLOTS + index, fd))
		clear(&hold->open[listener], index);
	hold->let_go = 0;
	clear(&hold->taken, index);
	clear(&hold->closing, index);
}

void waiting_look_closely(struct waiting *waiting, uint64_t now_ns)
{
	struct pollfd fds[LB_WAITING_SLOTS];
	struct lb_hold *hold = state_hold(waiting->state);

	for (uint32_t i = 0; i < waiting->count; i++)
		fds[i] = (struct pollfd){ .fd = waiting->fds[i], .events = POLLIN };
	if (poll(fds, waiting->count, 0) < 1)
		return;
	for (uint32_t i = 0; i < waiting->count; i++) {
		if (!(fds[i].revents & POLLIN) || hold->occupied & bit(i))
			continue;
		state_waiting(waiting->state, i)->since_ns = now_ns;
		set(&hold->taken, i);
		set(&hold->occupied, i);
	}
}

bool waiting_forget_handshakes(struct waiting *waiting, uint64_t now_ns)
{
	struct lb_hold *hold = state_hold(waiting->state);
	uint64_t begun = hold->taken & ~hold->occupied;
	bool some = false;

	for (uint32_t i = 0; i < waiting->count && begun >> i; i++) {
		uint64_t chosen_ns = state_waiting(waiting->state, i)->chosen_ns;

		if (!(begun & bit(i)))
			continue;
		if (now_ns > chosen_ns && now_ns - chosen_ns > FORGOTTEN_NS)
			clear(&hold->taken, i);
		else
			some = true;
	}
	return some;
}
