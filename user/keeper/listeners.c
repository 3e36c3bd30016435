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
#include "host/sockdiag.h"
#include "keeper/fetch.h"

#define BACKLOG 4096 /* cut to net.core.somaxconn by the kernel */

struct owned {
	uint64_t cookie;
	uint32_t worker;
};

struct listeners {
	const struct listen_at *at;
	uint32_t count;
	struct {
		int fds[LB_MAX_LISTENERS];
		uint64_t cookies[LB_MAX_LISTENERS];
	} of[LB_MAX_WORKERS];
	/* by cookie; built when it is asked for */
	struct owned *index;
	size_t indexed;
	bool is_current;
};

struct listeners *listeners_new(const struct listen_at *at, uint32_t count)
{
	struct listeners *listeners = calloc(1, sizeof(*listeners));

	if (!listeners)
		return NULL;
	listeners->at = at;
	listeners->count = count;
	for (uint32_t w = 0; w < LB_MAX_WORKERS; w++) {
		for (uint32_t i = 0; i < LB_MAX_LISTENERS; i++)
			listeners->of[w].fds[i] = -1;
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

static int make(const struct listen_at *at)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(at->port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(at->port) };
	bool six = at->family == AF_INET6, udp = at->proto == LB_PROTO_UDP;
	_cleanup_close_ int fd = -1;
	const int on = 1;

	memcpy(&in6.sin6_addr, at->addr, 16);
	memcpy(&in.sin_addr, at->addr, 4);
	fd = socket(at->family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
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

static void set(struct listeners *listeners, uint32_t worker, uint32_t i, int fd)
{
	listeners->of[worker].fds[i] = fd;
	listeners->of[worker].cookies[i] = sockdiag_cookie(fd);
	listeners->is_current = false;
}

int listeners_make(struct listeners *listeners, uint32_t worker)
{
	for (uint32_t i = 0; i < listeners->count; i++) {
		int fd = listeners->of[worker].fds[i];

		if (fd >= 0)
			continue;
		fd = make(&listeners->at[i]);
		if (fd < 0)
			return fd;
		set(listeners, worker, i, fd);
	}
	return 0;
}

void listeners_fetch(struct listeners *listeners, uint32_t worker, pid_t pid)
{
	for (uint32_t i = 0; i < listeners->count; i++) {
		int fd = listeners->of[worker].fds[i];

		if (fd < 0)
			fd = fetch_listener(pid, i, listeners->at[i].proto, listeners->at[i].port);
		if (fd >= 0)
			set(listeners, worker, i, fd);
	}
}

void listeners_close(struct listeners *listeners, uint32_t worker)
{
	for (uint32_t i = 0; i < listeners->count; i++) {
		if (listeners->of[worker].fds[i] >= 0)
			listeners->is_current = false;
		close_fd(&listeners->of[worker].fds[i]);
		listeners->of[worker].cookies[i] = 0;
	}
}

void listeners_close_all(struct listeners *listeners)
{
	for (uint32_t w = 0; listeners && w < LB_MAX_WORKERS; w++) {
		for (uint32_t i = 0; i < listeners->count; i++)
			close_fd(&listeners->of[w].fds[i]);
	}
}

const int *listeners_fds(const struct listeners *listeners, uint32_t worker)
{
	return listeners->of[worker].fds;
}

static int compare_cookies(const void *a, const void *b)
{
	const struct owned *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

static void build_index(struct listeners *listeners)
{
	struct owned *grown = reallocarray(listeners->index,
					   LB_MAX_WORKERS * (listeners->count + 1), sizeof(*grown));

	if (!grown)
		return;
	listeners->index = grown;
	listeners->indexed = 0;
	for (uint32_t w = 0; w < LB_MAX_WORKERS; w++) {
		for (uint32_t i = 0; i < listeners->count; i++) {
			if (listeners->of[w].cookies[i])
				grown[listeners->indexed++] =
					(struct owned){ listeners->of[w].cookies[i], w };
		}
	}
	if (listeners->indexed)
		qsort(grown, listeners->indexed, sizeof(*grown), compare_cookies);
	listeners->is_current = true;
}

int listeners_worker_of(struct listeners *listeners, uint64_t cookie)
{
	const struct owned key = { .cookie = cookie }, *found;

	if (!listeners->count)
		return -1;
	if (!listeners->is_current)
		build_index(listeners);
	if (!listeners->indexed)
		return -1;
	found = bsearch(&key, listeners->index, listeners->indexed, sizeof(key), compare_cookies);
	return found ? (int)found->worker : -1;
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

uint64_t listeners_waiting(const struct listeners *listeners, uint32_t worker)
{
	uint64_t waiting = 0;

	for (uint32_t i = 0; i < listeners->count; i++)
		waiting += waiting_in(listeners->of[worker].fds[i]);
	return waiting;
}
