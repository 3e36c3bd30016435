/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Holding connections until a worker is idle (include/lb_hold.h, bpf/hold.bpf.h): when a service is
 * one to do it for, and what is common to those who do.
 */
#ifndef HOLD_H
#define HOLD_H

#include <stdbool.h>

#include "host/group.h"
#include "service/state.h"

/*
 * Why no connection of the service is held, whatever its hold_ms says: a constant phrase; NULL = it
 * can be done. With a keeper alone, and that is not asked here.
 */
const char *hold_obstacle(const struct state *state);

/* The same, or what its keeper has found; "" in `out` where there is nothing to say. */
void hold_explain(const struct state *state, char *out, size_t bytes);

/* Are there waiting listeners now? */
bool hold_is_on(const struct state *state);

/* Are connections to be held, or to be found out whether that pays? */
bool hold_is_wanted(const struct state *state);

/*
 * As if nothing had ever been held: for who begins, and for who sees that a holder has gone. What
 * is known of the work stays.
 */
void hold_reset(const struct state *state);

/* Is the socket with this cookie a waiting listener of the service? */
bool hold_is_waiting(const struct state *state, uint64_t cookie);

/*
 * Takes the waiting listeners of all services out of the groups: they are members for the kernel,
 * and for nobody else.
 */
void hold_strip(struct groups *groups);

/*
 * Waits until the waiting listeners of a holder that is being ended are closed, a second at most:
 * once the program is off the group, what waits there would be reset.
 */
void hold_await_end(const struct state *state);

/* Takes what killed holders have left out of lb_cookies; once all of them have ended. */
void hold_sweep(const struct state *state);

/*
 * Wakes the slot's worker, which a connection has migrated to, where the kernel does not; for a
 * process that may be killed, as it has the worker's socket for the moment.
 */
void hold_wake(const struct state *state, uint32_t slot);

#endif
