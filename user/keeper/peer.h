/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The process at the other end of a Unix socket, and a descriptor of it: it says the number, and we
 * take a duplicate. The process is who connected, as the kernel has noted it, and still has the
 * user and group that it had then: what it has become by a set-user-ID program is not its own.
 */
#ifndef PEER_H
#define PEER_H

#include <stdint.h>
#include <sys/types.h>

#include "base/trouble.h"

struct peer {
	pid_t pid; /* 0 = it is in a pid namespace that we don't see */
	uid_t uid;
	gid_t gid;
	uint64_t came_ticks; /* when it was let in, in clock ticks after boot */
};

/* Whom the kernel has noted for this connection, which has just been accepted. 0 or -errno. */
int peer_read(int connection, struct peer *peer);

/*
 * A duplicate of the peer's descriptor `number`, for the caller to close. What it is, and whether a
 * close of it waits, is the peer's will: call it in a child that ends (task.h). Returns -1 with the
 * trouble: it has ended, has become somebody else, has no such descriptor, or we may not.
 */
int peer_fetch(const struct peer *peer, int connection, int number, struct trouble *trouble);

/*
 * A pidfd of the peer by its number alone, where the kernel can't tell by the connection (before
 * Linux 6.5): -ESRCH also where who has that number now began after the peer had been let in.
 */
int peer_open_by_pid(const struct peer *peer);

#endif
