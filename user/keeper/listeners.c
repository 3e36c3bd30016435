// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See listeners.h. */
#include "keeper/listeners.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/cgroup_sockets.h"
#include "host/sockdiag.h"
#include "keeper/fetch.h"
#include "keeper/plan.h"
#include "keeper/task.h"
#include "service/service.h"

#define BACKLOG 4096  /* cut to net.core.somaxconn by the kernel */
#define MOST_SPARE 32 /* no more, as each takes a descriptor that a worker's start may need */

/* Of one process. Closed, it is there still, until its place is needed. */
struct set {
	uint32_t generation; /* whose it is; 0 = nobody has had it yet */
	int fds[LB_MAX_LISTENERS];
	uint64_t cookies[LB_MAX_LISTENERS];
};

struct owned {
	uint64_t cookie;
	uint32_t worker, generation;
};

/* Made, and not given yet. */
struct spare {
	int fd;
	uint32_t at; /* which address it is for */
};

struct listeners {
	const struct listen_at *at;
	uint32_t count;
	int cgroup_fd;
	struct spare spare[MOST_SPARE];
	uint32_t nr_spare, expected;
	bool is_refused; /* the cgroup; as often as it is tried the keeper may have to wait */
	struct set of[LB_MAX_WORKERS][ROLES];
	/* by cookie; built when it is asked for */
	struct owned *index;
	size_t indexed;
	bool is_current;
};

struct listeners *listeners_new(const struct listen_at *at, uint32_t count, int cgroup_fd)
{
	struct listeners *listeners = calloc(1, sizeof(*listeners));

	if (!listeners)
		return NULL;
	listeners->at = at;
	listeners->count = count;
	listeners->cgroup_fd = cgroup_fd;
	for (uint32_t w = 0; w < LB_MAX_WORKERS; w++) {
		for (int place = 0; place < ROLES; place++)
			memset(listeners->of[w][place].fds, -1,
			       sizeof(listeners->of[w][place].fds));
	}
	return listeners;
}

void listeners_free(struct listeners *listeners)
{
	if (!listeners)
		return;
	listeners_close_all(listeners);
	free(listeners->index);
	free(listeners);
}

/* --- to make one --- */

static struct socket_kind kind_of(const struct listen_at *at)
{
	return (struct socket_kind){
		.family = at->family,
		.type = at->proto == LB_PROTO_UDP ? SOCK_DGRAM : SOCK_STREAM,
	};
}

static void drop_spare(struct listeners *listeners)
{
	while (listeners->nr_spare)
		close_fd(&listeners->spare[--listeners->nr_spare].fd);
}

/* For as many of the expected processes as there is room for, or one. */
static void make_spare(struct listeners *listeners)
{
	const uint32_t most = MOST_SPARE / listeners->count * listeners->count;
	struct socket_kind kinds[MOST_SPARE];
	int fds[MOST_SPARE], made;
	uint32_t n = listeners->count;

	drop_spare(listeners);
	if (listeners->is_refused)
		return;
	if (listeners->expected)
		n *= listeners->expected;
	if (n > most)
		n = most;
	for (uint32_t i = 0; i < n; i++)
		kinds[i] = kind_of(&listeners->at[i % listeners->count]);
	made = cgroup_make_sockets(listeners->cgroup_fd, kinds, n, fds);
	listeners->is_refused = made < 0;
	for (int i = 0; i < made; i++)
		listeners->spare[listeners->nr_spare++] =
			(struct spare){ fds[i], i % listeners->count };
}

static int take_spare(struct listeners *listeners, uint32_t at)
{
	for (uint32_t i = 0; i < listeners->nr_spare; i++) {
		const struct spare found = listeners->spare[i];

		if (found.at != at)
			continue;
		listeners->spare[i] = listeners->spare[--listeners->nr_spare];
		return found.fd;
	}
	return -1;
}

static int new_socket(struct listeners *listeners, uint32_t at)
{
	const struct socket_kind kind = kind_of(&listeners->at[at]);
	int fd = take_spare(listeners, at);

	if (fd < 0) {
		make_spare(listeners);
		fd = take_spare(listeners, at);
	}
	return fd < 0 ? socket(kind.family, kind.type | SOCK_CLOEXEC, 0) : fd;
}

static int make(struct listeners *listeners, uint32_t i)
{
	const struct listen_at *at = &listeners->at[i];
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(at->port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(at->port) };
	bool six = at->family == AF_INET6, udp = at->proto == LB_PROTO_UDP;
	_cleanup_close_ int fd = new_socket(listeners, i);
	const int on = 1;

	memcpy(&in6.sin6_addr, at->addr, 16);
	memcpy(&in.sin_addr, at->addr, 4);
	if (fd < 0)
		return -errno;
	/* of UDP, SO_REUSEADDR would let others take the port over */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) ||
	    (!udp && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on))) ||
	    (six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on))))
		return -errno;
	if (bind(fd, six ? (struct sockaddr *)&in6 : (struct sockaddr *)&in,
		 six ? sizeof(in6) : sizeof(in)) ||
	    (!udp && listen(fd, BACKLOG)))
		return -errno;
	return fd_steal(&fd);
}

void listeners_expect(struct listeners *listeners, uint32_t processes)
{
	listeners->expected = processes;
	listeners->is_refused = false;
	if (!processes)
		drop_spare(listeners);
}

/* --- whose they are --- */

static bool is_open(const struct listeners *listeners, const struct set *set)
{
	for (uint32_t i = 0; i < listeners->count; i++) {
		if (set->fds[i] >= 0)
			return true;
	}
	return false;
}

static struct set *find_set(const struct listeners *listeners, uint32_t worker, uint32_t generation)
{
	for (int place = 0; generation && place < ROLES; place++) {
		const struct set *set = &listeners->of[worker][place];

		if (set->generation == generation)
			return (struct set *)set;
	}
	return NULL;
}

/*
 * For one more process; there is a place for each that runs. Of those that are closed the one that
 * was given first is forgotten.
 */
static struct set *new_set(struct listeners *listeners, uint32_t worker)
{
	struct set *oldest = NULL;

	for (int place = 0; place < ROLES; place++) {
		struct set *set = &listeners->of[worker][place];

		if (!is_open(listeners, set) && (!oldest || set->generation < oldest->generation))
			oldest = set;
	}
	if (oldest)
		memset(oldest->cookies, 0, sizeof(oldest->cookies));
	return oldest;
}

static void put(struct listeners *listeners, struct set *set, uint32_t i, int fd)
{
	set->fds[i] = fd;
	set->cookies[i] = sockdiag_cookie(fd);
	listeners->is_current = false;
}

int listeners_give(struct listeners *listeners, uint32_t worker, uint32_t from, uint32_t generation)
{
	struct set *set = find_set(listeners, worker, from);
	int fd;

	if (!set)
		set = new_set(listeners, worker);
	if (!set)
		return -ENFILE;
	set->generation = generation;
	listeners->is_current = false;
	for (uint32_t i = 0; i < listeners->count; i++) {
		if (set->fds[i] >= 0)
			continue;
		fd = make(listeners, i);
		if (fd < 0)
			return fd;
		put(listeners, set, i, fd);
	}
	if (listeners->expected)
		listeners->expected--;
	return 0;
}

void listeners_fetch(struct listeners *listeners, uint32_t worker, uint32_t generation, pid_t pid)
{
	struct set *set = new_set(listeners, worker);
	uint32_t owner;

	if (!set)
		return;
	set->generation = generation;
	for (uint32_t i = 0; i < listeners->count; i++) {
		const struct listen_at *at = &listeners->at[i];
		int fd = fetch_listener(pid, i, at->proto, at->port);

		/* an older lbctl has given one socket to two processes: it is the first one's */
		if (fd >= 0 && listeners_find(listeners, sockdiag_cookie(fd), &owner) >= 0)
			task_drop_fd(&fd);
		if (fd >= 0)
			put(listeners, set, i, fd);
	}
}

void listeners_close(struct listeners *listeners, uint32_t worker, uint32_t generation)
{
	for (int place = 0; place < ROLES; place++) {
		struct set *set = &listeners->of[worker][place];

		/* its worker may have made something else of a socket than a listener */
		if (!generation || set->generation == generation)
			task_drop_fds(set->fds, listeners->count);
	}
}

void listeners_close_all(struct listeners *listeners)
{
	if (!listeners)
		return;
	drop_spare(listeners);
	for (uint32_t w = 0; w < LB_MAX_WORKERS; w++) {
		for (int place = 0; place < ROLES; place++) {
			for (uint32_t i = 0; i < listeners->count; i++)
				close_fd(&listeners->of[w][place].fds[i]);
		}
	}
}

const int *listeners_fds(const struct listeners *listeners, uint32_t worker, uint32_t generation)
{
	const struct set *set = find_set(listeners, worker, generation);

	return set ? set->fds : NULL;
}

int listeners_slot(const struct listeners *listeners, const struct state *state, uint32_t worker,
		   uint32_t generation)
{
	const struct set *set = find_set(listeners, worker, generation);
	int slot = -1;

	for (uint32_t i = 0; set && slot < 0 && i < listeners->count; i++) {
		if (set->cookies[i])
			slot = service_slot_of_cookie(state, set->cookies[i]);
	}
	return slot;
}

static int compare_cookies(const void *a, const void *b)
{
	const struct owned *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

static void build_index(struct listeners *listeners)
{
	struct owned *grown = reallocarray(
		listeners->index, LB_MAX_WORKERS * ROLES * listeners->count, sizeof(*grown));

	if (!grown)
		return;
	listeners->index = grown;
	listeners->indexed = 0;
	for (uint32_t w = 0; w < LB_MAX_WORKERS; w++) {
		for (uint32_t n = 0; n < ROLES * listeners->count; n++) {
			const struct set *set = &listeners->of[w][n / listeners->count];
			uint64_t cookie = set->cookies[n % listeners->count];

			if (cookie)
				grown[listeners->indexed++] =
					(struct owned){ cookie, w, set->generation };
		}
	}
	if (listeners->indexed)
		qsort(grown, listeners->indexed, sizeof(*grown), compare_cookies);
	listeners->is_current = true;
}

int listeners_find(struct listeners *listeners, uint64_t cookie, uint32_t *generation)
{
	const struct owned key = { .cookie = cookie }, *found;

	if (!listeners->count)
		return -1;
	if (!listeners->is_current)
		build_index(listeners);
	if (!listeners->indexed)
		return -1;
	found = bsearch(&key, listeners->index, listeners->indexed, sizeof(key), compare_cookies);
	if (!found)
		return -1;
	*generation = found->generation;
	return (int)found->worker;
}

/* Of a listening socket the kernel gives the length of the accept queue as tcpi_unacked. */
static uint64_t waiting_in(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		return 0;
	return info.tcpi_unacked;
}

uint64_t listeners_waiting(const struct listeners *listeners, uint32_t worker, uint32_t generation)
{
	const int *fds = listeners_fds(listeners, worker, generation);
	uint64_t waiting = 0;

	for (uint32_t i = 0; fds && i < listeners->count; i++)
		waiting += waiting_in(fds[i]);
	return waiting;
}
