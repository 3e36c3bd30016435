/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sockets that are of another cgroup than their maker's. A socket is of the cgroup of the process
 * that makes it, for good, and the connections that it accepts are, too.
 */
#ifndef CGROUP_SOCKETS_H
#define CGROUP_SOCKETS_H

#include <stddef.h>

struct socket_kind {
	int family, type; /* of socket(2) */
};

/*
 * Makes n sockets, closed on exec, that are of the cgroup. A child that is born there does, for all
 * of them, as to move the caller there and back takes grace periods of the kernel; and it shares
 * the caller's descriptors, so they need not be sent.
 *
 * Returns how many were made, fds[0] and on, which are the caller's: fewer than n where there is
 * no room for more; or -EBUSY (the cgroup has controllers for those below it, so there may be no
 * process in it), -ETIMEDOUT (not within a second: it is frozen) or -errno, and there are none.
 */
int cgroup_make_sockets(int dir_fd, const struct socket_kind *kinds, size_t n, int *fds);

#endif
