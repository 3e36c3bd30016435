/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A service's workers and slots: which socket sits in which slot. The truth is what lb_sockets
 * holds; everything else is written after it and mended from it, so a killed lbctl costs nothing.
 */
#ifndef SERVICE_H
#define SERVICE_H

#include "host/group.h"
#include "service/state.h"

/*
 * Whose worker's is a socket that is in no slot? A number; negative: it gets the lowest number that
 * is free, or, SERVICE_NOT_YET, no slot in this look.
 */
#define SERVICE_NOT_YET (-2)
struct service_owner {
	int (*worker)(void *arg, const struct member *member);
	/*
	 * The slot that another socket of the same process has, negative = none. NULL: which are of
	 * one process the pid tells.
	 */
	int (*pair)(void *arg, const struct state *state, const struct member *member);
	/*
	 * Is the registered socket with this cookie about to close? Then the next one gets its
	 * worker's number while it is open still. NULL: none is.
	 */
	bool (*leaves)(void *arg, uint64_t cookie);
	void *arg;
};

struct service_change {
	uint32_t added;	  /* sockets put into slots */
	uint32_t gone;	  /* workers that went down */
	uint32_t waiting; /* sockets without a slot: their worker has all of its in use */
	const struct member *refused; /* the socket that could not be registered, or NULL */
};

/* The index of the listener that this group is, or -ENOENT. */
int service_listener(const struct state *state, const struct reuseport_group *group);

/*
 * Brings the slots in line with the groups, groups[i] being listener i's (NULL: it has no socket
 * now): frees the slots of closed sockets, puts new sockets in, pairs the listeners' sockets by the
 * process that polls them, notes pids, then publishes the table under `policy`. `owner` may be
 * NULL.
 *
 * Returns 0; -ENOSPC (more than LB_MAX_WORKERS workers), -E2BIG (weights), or what
 * member_duplicate() or steer_register() returned, with change->refused set. Sockets that were
 * registered before an error stay so.
 */
int service_refresh(struct state *state, struct reuseport_group *const *groups, uint32_t policy,
		    const struct service_owner *owner, struct service_change *change);

/*
 * Puts one socket into a slot, with the descriptor that its owner handed over; whoever holds it
 * need not be seen. `member` is what the kernel says of it, `pid` its process or 0, and it is in
 * the listener's group. The state must be locked.
 *
 * Returns the slot; -ENOSPC (more than LB_MAX_WORKERS workers), -EUSERS (LB_SLOTS_PER_WORKER
 * sockets of its worker are in), -E2BIG (weights; the socket is registered), or what
 * steer_register() returned.
 */
int service_join(struct state *state, uint32_t listener, const struct service_owner *owner,
		 const struct member *member, int fd);

/* The slot of a registered socket, or -ENOENT. */
int service_slot_of_cookie(const struct state *state, uint64_t cookie);

/*
 * Limits the connections, open and half-open, of each worker there is and of each to come; 0 lifts
 * the limit. Killed half-way it has limited some; once more is safe. The state must be locked.
 */
void service_set_limit(struct state *state, uint32_t limit);

/*
 * Scales a worker away: its slots are free, their counts stay (they are `retired`) and are its own
 * again if it comes back. A socket of it that is still open, with a process elsewhere that joined,
 * is let go of: it stays in its group and gets nothing.
 */
void service_retire(struct state *state, uint32_t worker);

/* Has it connections to count: a TCP listener? */
bool service_counts(const struct state *state);

/* Has it a UDP socket? */
bool service_has_datagrams(const struct state *state);

/* Is the slot's worker `worker`, and not freed? */
bool service_slot_of(const struct state *state, uint32_t slot, uint32_t worker);

/* One more than the highest worker number, at most LB_MAX_WORKERS. */
uint32_t service_workers(const struct state *state);

#endif
