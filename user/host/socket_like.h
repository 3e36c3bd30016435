/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A listening TCP socket that accepts just the connections that another one would accept. */
#ifndef SOCKET_LIKE_H
#define SOCKET_LIKE_H

#include <stdbool.h>
#include <sys/socket.h>

/*
 * Makes a socket with the user, the buffers and all the options of `like`, a listening TCP socket,
 * that what it accepts inherits, and binds it to `addr` with SO_REUSEPORT. It does not listen yet.
 * To be called in the network namespace and the cgroup that it is to have; it takes CAP_SETUID, and
 * for some options CAP_NET_ADMIN.
 *
 * Returns a descriptor for the caller to close, or -errno; -EOPNOTSUPP: `like` has something that
 * can't be copied, and *cannot (else NULL) is its name, a constant.
 */
int socket_like(int like, const struct sockaddr *addr, socklen_t len, const char **cannot);

/*
 * Compares all that is copied, of two listening sockets or of two connections: the name of the
 * first option in which they differ, or NULL.
 */
const char *socket_differs(int one, int other, bool connections);

#endif
