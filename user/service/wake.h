/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sleeping until a service has something to do: the steering program wakes who asked for it, at
 * the next decision it makes. One process at a time, the service's keeper, uses this.
 *
 *	seen = wake_decisions(wake);
 *	... look at the queues; while something waits there, come again later ...
 *	wake_arm(wake);
 *	if (wake_decisions(wake) == seen)
 *		... sleep: the next decision makes wake_fd() readable ...
 *	else
 *		... one was made in between, and may have no entry: begin again ...
 *
 * A decision is made for a SYN: its connection is in a queue a round trip later. One that migrates
 * is there a moment later; to be told of those alone there is wake_arm_migration().
 */
#ifndef WAKE_H
#define WAKE_H

#include <stdint.h>

#include "service/state.h"

struct wake;

/*
 * Makes ready to be woken; what an earlier keeper left unread goes. `state` must stay open longer.
 * Returns 0, -EPERM or -errno. Freed with wake_close().
 */
int wake_open(const struct state *state, struct wake **wake);
void wake_close(struct wake *wake);

/* Readable, for epoll, while there are entries. It stays wake's. */
int wake_fd(const struct wake *wake);

/* Asks for one entry, at the next decision from now on. */
void wake_arm(struct wake *wake);

/*
 * Asks for one entry of kind LB_WAKE_MIGRATION, when a connection migrates from now on. For any
 * service: one that an older lbctl made never tells.
 */
void wake_arm_migration(const struct state *state);

/*
 * Takes all entries. *kinds (may be NULL) becomes their kinds, 1 << LB_WAKE_ACTIVITY and the like.
 * Returns how many there were, or -errno.
 */
int wake_drain(struct wake *wake, unsigned int *kinds);

/*
 * Connections, migrated connections and datagrams that the service's programs have decided so far.
 * A decision that found no new wake_arm() is in it when that returns.
 */
uint64_t wake_decisions(const struct wake *wake);

#endif
