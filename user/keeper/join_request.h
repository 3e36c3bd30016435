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

/* Looks at the socket in a child, which answers the client; the descriptor stays the caller's. */
void join_request(struct keeper *keeper, struct client *client, int fd, uint32_t worker);

#endif
