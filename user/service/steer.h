/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The steering program: load one instance per listener into a service's directory, put
 * listening sockets into its array, attach it to a reuseport group and take it off again.
 */
#ifndef STEER_H
#define STEER_H

#include "lb_abi.h"
#include "service/state.h"

/*
 * Loads and pins a program for one more listener; on a fresh state the first one makes the
 * service's maps. The listener's prog_id is filled in. Nothing steers yet.
 *
 * Returns 0, -E2BIG (LB_MAX_LISTENERS reached), -EPERM, -EOPNOTSUPP (the kernel refused the
 * program; LBCTL_DEBUG=1 shows why) or -errno.
 */
int steer_add_listener(struct state *state, const struct lb_listener *listener);

/*
 * Puts a socket into a slot of a listener's array; whatever was there leaves it.
 * Returns 0, -EBUSY (the socket is in another array or a SOCKMAP), -EINVAL (not listening, or not
 * SO_REUSEPORT), -EOPNOTSUPP (MPTCP) or -errno.
 */
int steer_register(const struct state *state, uint32_t listener, uint32_t slot, int socket_fd);

/* Takes the socket out of the slot, if one is there. */
void steer_unregister(const struct state *state, uint32_t listener, uint32_t slot);

/* The cookie of the socket in a slot of a listener's array, 0 if it is empty. */
uint64_t steer_registered_cookie(const struct state *state, uint32_t listener, uint32_t slot);

/* Makes the listener's program the one of this socket's group. Returns 0 or -errno. */
int steer_attach(const struct state *state, uint32_t listener, int socket_fd);

/* Gives the socket's group back to the kernel's hash. Returns 0, -ENOENT or -errno. */
int steer_detach(int socket_fd);

/*
 * Builds the table from lb_workers (state up, by weight) and switches policy and table with one
 * store. A decision that begins after the return sees nothing of the old ones. The state must be
 * locked. Returns 0, or -E2BIG when the weights add up to more than the table holds; then
 * nothing has changed.
 */
int steer_publish(struct state *state, uint32_t policy);

/*
 * Is the slot in the table that is walked now? A registered socket has no turn before that. To be
 * asked without the lock, too; then what is true may change at once.
 */
bool steer_is_published(const struct state *state, uint32_t slot);

#endif
