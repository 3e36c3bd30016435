/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Opening and naming of listening sockets. */
#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"

#define FIRST_INHERITED 3

static void address_name(const struct sockaddr_storage *sockaddr, char *text, size_t size)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sockaddr;
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)sockaddr;
	char host[INET6_ADDRSTRLEN];

	if (sockaddr->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(text, size, "[%s]:%u", host, ntohs(in6->sin6_port));
	} else if (sockaddr->ss_family == AF_INET) {
		inet_ntop(AF_INET, &in4->sin_addr, host, sizeof(host));
		snprintf(text, size, "%s:%u", host, ntohs(in4->sin_port));
	} else {
		snprintf(text, size, "a socket of family %u", sockaddr->ss_family);
	}
}

void listener_name(int fd, char *text, size_t size)
{
	struct sockaddr_storage sockaddr = { 0 };
	socklen_t len = sizeof(sockaddr);

	getsockname(fd, (struct sockaddr *)&sockaddr, &len);
	address_name(&sockaddr, text, size);
}

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

static int set_up(int fd, const struct demo_options *options, const struct demo_address *address)
{
	if (set(fd, SOL_SOCKET, SO_REUSEADDR, 1))
		return -errno;
	if (options->reuseport && set(fd, SOL_SOCKET, SO_REUSEPORT, 1))
		return -errno;
	if (address->sockaddr.ss_family == AF_INET6 &&
	    set(fd, IPPROTO_IPV6, IPV6_V6ONLY, !options->dual))
		return -errno;
	/* accepted sockets inherit it */
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (bind(fd, (const struct sockaddr *)&address->sockaddr, address->len) ||
	    listen(fd, options->backlog))
		return -errno;
	return 0;
}

static int listener_open(const struct demo_options *options, const struct demo_address *address)
{
	int err, fd = socket(address->sockaddr.ss_family,
			     SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	err = set_up(fd, options, address);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static bool is_listening(int fd)
{
	socklen_t len = sizeof(int);
	int listening = 0;

	return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) && listening;
}

static bool env_number(const char *name, uint64_t *value)
{
	const char *text = getenv(name);

	return text && !parse_u64(text, 0, INT32_MAX, value);
}

static int receive_connection(int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec data = { &byte, sizeof(byte) };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	const struct cmsghdr *header;
	int received = -1;
	ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (got < 0)
		return -1;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
		memcpy(&received, CMSG_DATA(header), sizeof(received));
	else
		errno = got ? EMFILE : EINVAL;
	return received;
}

int listener_accept(int fd, const struct demo_options *options, struct sockaddr_storage *peer)
{
	socklen_t len = sizeof(*peer);

	if (options->receive)
		return receive_connection(fd);
	return accept4(fd, (struct sockaddr *)peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int listeners_inherit(struct demo_listeners *listeners, const struct demo_options *options)
{
	uint64_t pid, fds, i;

	listeners->nr = 0;
	if (!env_number("LISTEN_PID", &pid) || pid != (uint64_t)getpid() ||
	    !env_number("LISTEN_FDS", &fds))
		return 0;
	for (i = 0; i < fds && i < DEMO_MAX_LISTENERS; i++) {
		int fd = FIRST_INHERITED + i;

		if (!options->receive && !is_listening(fd)) {
			fprintf(stderr,
				"lbctl-demo-worker: descriptor %d of LISTEN_FDS does not "
				"listen\n",
				fd);
			return -EINVAL;
		}
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		listeners->fds[listeners->nr++] = fd;
	}
	return 0;
}

int listeners_open(struct demo_listeners *listeners, const struct demo_options *options)
{
	int i;

	listeners->nr = 0;
	for (i = 0; i < options->nr_addresses; i++) {
		int fd = listener_open(options, &options->addresses[i]);
		char name[80];

		if (fd < 0) {
			address_name(&options->addresses[i].sockaddr, name, sizeof(name));
			fprintf(stderr, "lbctl-demo-worker: listen on %s: %s\n", name,
				strerror(-fd));
			return fd;
		}
		listeners->fds[listeners->nr++] = fd;
	}
	return 0;
}

void listeners_close(struct demo_listeners *listeners)
{
	while (listeners->nr)
		close(listeners->fds[--listeners->nr]);
}
