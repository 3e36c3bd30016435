/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A listening socket that its owner hands over: is it one that the service can have, and into the
 * service with it. By the descriptor, so that its process need not be seen: it may live in another
 * pid namespace.
 */
#ifndef JOIN_H
#define JOIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"
#include "base/trouble.h"
#include "host/group.h"

#define JOIN_ANY_WORKER UINT32_MAX

/* A socket that was handed over, and what the kernel says of it. Made by join_find(). */
struct joiner {
	int fd;	   /* the caller's */
	pid_t pid; /* who sent it, 0 = cannot be told */
	struct groups groups;
	const struct reuseport_group *group; /* into groups */
	struct member *member;		     /* into groups */
};

struct join_place {
	uint32_t slot;
	uint32_t worker;
	bool was_there;		   /* it had joined before, or was found */
	char address[ADDR_STRLEN]; /* that it listens on */
	int load_fd;		   /* the service's lb_load; the caller's to close, -1 on failure */
};

/*
 * Is it a TCP socket of IPv4 or IPv6, no MPTCP, listening, with SO_REUSEPORT? Asks the socket
 * only. Returns EXIT_DONE, or EXIT_USAGE with the trouble.
 */
int join_check(int fd, struct trouble *trouble);

/*
 * The place of a socket that is in the service and has its turns already, without a look at any
 * other; returns EXIT_NOT_FOUND, without words, when it is not or that can't be told.
 */
int join_known(const char *name, int fd, struct join_place *place);

/*
 * Checks it and finds it among the sockets of our network namespace. Returns EXIT_DONE or the
 * trouble's status; the caller ends with joiner_free() in any case.
 */
int join_find(struct joiner *joiner, int fd, pid_t pid, struct trouble *trouble);
void joiner_free(struct joiner *joiner);

/*
 * Puts it into a slot of worker `worker` (JOIN_ANY_WORKER: the lowest without a socket), or finds
 * the slot that it has. Returns EXIT_DONE or the trouble's status. *refresh is set where the
 * service may only not be up to date (it is not there, or lacks that listener, or another program
 * is on the group): then it is worth another try after that.
 */
int join_service(const char *name, const struct joiner *joiner, uint32_t worker,
		 struct join_place *place, bool *refresh, struct trouble *trouble);

#endif
