/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Wakes workers that sleep while connections wait in their accept queues. Many kernels put a
 * connection that migrates into another listener's queue and wake nobody there (host/wake_probe.h):
 * it waits until that listener's next connection, which on a quiet service, or at a drained worker,
 * does not come. shutdown(SHUT_WR) leaves a listener as it is and wakes all that sleep on it, in
 * epoll (edge-triggered, too), in poll and in accept.
 *
 * Whoever may have made connections migrate calls this after it: a rescue, drain and detach
 * themselves, the keeper when the steering program tells it of one (service/wake.h).
 */
#ifndef WAKE_LISTENERS_H
#define WAKE_LISTENERS_H

#include <stdbool.h>

#include "service/state.h"

/*
 * Must it be done on this kernel? Tried once per process; true where that can't be tried, as it
 * does no harm. LBCTL_WAKE=always or never (environment, for tests) says it instead.
 */
bool wake_listeners_needed(void);
/* From now on that is known, for children, too. */
void wake_listeners_know(bool needed);

/*
 * Looks so many times, 1 ms, 4 ms, 16 ms ... apart, and wakes each listener of the service that has
 * connections waiting. 1 look does for what has migrated by the caller's own doing, 2 for what did
 * before, and WAKE_LOOKS for what migrates just now: it is in its new queue a moment after the
 * program has run. Does nothing where it is not needed. The state need not be locked. Returns how
 * many listeners had connections waiting at the last look, or -errno.
 */
#define WAKE_LOOKS 5
int wake_listeners(const struct state *state, unsigned int looks);

#endif
