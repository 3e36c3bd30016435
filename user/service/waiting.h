/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Waiting listeners: sockets in a service's reuseport groups, beside its workers', into which the
 * program puts a connection that finds no idle worker (bpf/hold.bpf.h). To let it go its listener
 * is shut down for a moment: the kernel migrates what is in it, and the program chooses again.
 *
 * They are the process's that opens them: with its end they are closed, and what is in them
 * migrates. So at any moment it may be killed and nothing is lost.
 */
#ifndef WAITING_H
#define WAITING_H

#include <stdbool.h>
#include <stdint.h>

#include "service/state.h"

struct waiting;

/*
 * Opens LB_WAITING_SLOTS of them in all, as many for each TCP listener of the service, and lets the
 * program use them. Each accepts just what a worker's listener does (host/socket_like.h). The
 * process's cgroup is another one for a moment. `state` must stay open longer.
 *
 * Returns 0, -EAGAIN (no worker listens there now), -EOPNOTSUPP (something of a worker's listener
 * can't be copied; `why` is its name), -EXDEV (the workers' differ in `why`), -EBUSY (its cgroup
 * may have no processes) or -errno; *why is a constant or NULL. Freed with waiting_close().
 */
int waiting_open(const struct state *state, struct waiting **out, const char **why);

/*
 * Looks at the workers' listeners that it has not seen: false if one of them differs in an option,
 * which is *why. What waits may then not go to just any of them.
 */
bool waiting_still_fits(struct waiting *waiting, const char **why);

/* What waits then migrates. */
void waiting_close(struct waiting *waiting);

/*
 * The one in which a connection has waited longest, -1 if none has; *since_ns since when. `without`
 * has a bit for each of the service's listeners that are left out.
 */
int waiting_oldest(const struct waiting *waiting, uint32_t without, uint64_t *since_ns);

/* The service's listener that it is of. */
uint32_t waiting_listener(const struct waiting *waiting, int index);

/*
 * Lets what is in it go: to idle workers, and what finds none waits on, in its turn; if it is
 * overdue, to any worker. If the listener can't be used again it stays closed.
 */
void waiting_release(struct waiting *waiting, int index, bool overdue);

/*
 * Now and then: finds those that something waits in and that are not known for it, whatever the
 * reason, and marks them.
 */
void waiting_look_closely(struct waiting *waiting, uint64_t now_ns);

/*
 * Those that were chosen more than a second ago, and are empty: their handshakes may never end.
 * Each may be chosen again, before others. Returns whether some are left.
 */
bool waiting_forget_handshakes(struct waiting *waiting, uint64_t now_ns);

#endif
