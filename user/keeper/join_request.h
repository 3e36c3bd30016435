/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Joining, the keeper's side. A watched service takes any socket of its groups. `lbctl run` starts
 * its workers itself and says how many: it takes those of its workers, which it knows by the cgroup
 * of the socket, and those of a process elsewhere (in a container, say) that comes for one of them
 * and names it.
 */
#ifndef JOIN_REQUEST_H
#define JOIN_REQUEST_H

#include "keeper/parts.h"

struct join_ask {
	int fd;		 /* that came with the request, -1 = none; stays the caller's */
	int number;	 /* else the number that the socket has in the client's process */
	uint32_t worker; /* JOIN_ANY_WORKER = any */
};

/*
 * Looks at the socket in a child, which answers the client. Nothing more is read of that one until
 * then. The child fetches what is said by its number, too, and that is closed by its end.
 */
void join_request(struct keeper *keeper, struct client *client, const struct join_ask *ask);

#endif
