// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See fetch.h. What turns out to be something else is a worker's doing, and dropped with care. */
#include "keeper/fetch.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "keeper/spawn.h"
#include "keeper/task.h"
#include "lb_abi.h"

/* As the process was started with it, or -errno. */
static int channel_number(pid_t pid, uint64_t *number)
{
	_cleanup_fclose_ FILE *file = NULL;
	_cleanup_free_ char *entry = NULL;
	const char name[] = SPAWN_CHANNEL "=";
	size_t room = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (getdelim(&entry, &room, '\0', file) > 0) {
		if (!strncmp(entry, name, strlen(name)))
			return parse_u64(entry + strlen(name), 0, 65536, number);
	}
	return -ENOENT;
}

static int fetch(pid_t pid, int number)
{
	_cleanup_close_ int pidfd = syscall(__NR_pidfd_open, pid, 0);
	int fd;

	if (pidfd < 0)
		return -errno;
	fd = syscall(__NR_pidfd_getfd, pidfd, number, 0);
	return fd < 0 ? -errno : fd;
}

/* -1: it is no socket. */
static int option_of(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) ? -1 : value;
}

/* One end of a pair has no name, nor has its peer; and who made the pair is known. */
static bool is_of_a_pair(int fd, pid_t not_by)
{
	struct sockaddr_un ours, theirs;
	socklen_t ours_len = sizeof(ours), theirs_len = sizeof(theirs), maker_len;
	struct ucred maker = { .pid = not_by };

	maker_len = sizeof(maker);
	return option_of(fd, SO_DOMAIN) == AF_UNIX && option_of(fd, SO_TYPE) == SOCK_STREAM &&
	       !getsockname(fd, (struct sockaddr *)&ours, &ours_len) &&
	       !getpeername(fd, (struct sockaddr *)&theirs, &theirs_len) &&
	       ours_len == sizeof(sa_family_t) && theirs_len == sizeof(sa_family_t) &&
	       !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &maker, &maker_len) && maker.pid != not_by;
}

int fetch_channel(pid_t pid)
{
	_cleanup_drop_ int fd = -1;
	uint64_t number;
	int err = channel_number(pid, &number);

	if (err)
		return err;
	fd = fetch(pid, (int)number + 1);
	if (fd < 0)
		return fd;
	return is_of_a_pair(fd, pid) ? fd_steal(&fd) : -ENOTSOCK;
}

static uint16_t port_of(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in ipv4;
		struct sockaddr_in6 ipv6;
	} at;
	socklen_t len = sizeof(at);

	if (getsockname(fd, &at.any, &len))
		return 0;
	if (at.any.sa_family == AF_INET)
		return ntohs(at.ipv4.sin_port);
	return at.any.sa_family == AF_INET6 ? ntohs(at.ipv6.sin6_port) : 0;
}

int fetch_listener(pid_t pid, uint32_t index, uint8_t proto, uint16_t port)
{
	_cleanup_drop_ int fd = fetch(pid, SPAWN_FIRST_FD + index);

	if (fd < 0)
		return fd;
	if (option_of(fd, SO_PROTOCOL) != proto || port_of(fd) != port ||
	    (proto == LB_PROTO_TCP && option_of(fd, SO_ACCEPTCONN) != 1))
		return -ENOTSOCK;
	return fd_steal(&fd);
}
