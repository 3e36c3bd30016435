/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sockets of `run --listen`: the keeper makes a set of them for a process. It keeps them when
 * that ends, and the next one in its place gets them; the successor that a reload starts beside it
 * has a set of its own. A process is named by its worker and its generation, see plan.h.
 */
#ifndef LISTENERS_H
#define LISTENERS_H

#include <stdint.h>
#include <sys/types.h>

#include "lb_abi.h"
#include "service/state.h"

struct listen_at {
	uint8_t proto; /* LB_PROTO_TCP or LB_PROTO_UDP */
	uint8_t family;
	uint8_t addr[16];
	uint16_t port;
};

struct listeners;

/*
 * For so many addresses (0 is fine), which stay the caller's. The sockets are of this cgroup, the
 * service's, so that who counts there sees their connections and nobody else's; where no process
 * may be in it, or it is frozen, they are of the keeper's. NULL without memory.
 */
struct listeners *listeners_new(const struct listen_at *at, uint32_t count, int cgroup_fd);
void listeners_free(struct listeners *listeners);

/*
 * Gives a process its sockets: those that `from` had, a process of the same worker (0 = none); what
 * there is not of those is made. Returns 0 or -errno: -EADDRINUSE ...
 */
int listeners_give(struct listeners *listeners, uint32_t worker, uint32_t from,
		   uint32_t generation);

/*
 * So many processes are about to be given theirs: what they need is made together, as it takes a
 * child. 0: no more of them, and what was made and is not needed is closed.
 */
void listeners_expect(struct listeners *listeners, uint32_t processes);

/* Takes them out of a process that a dead keeper started. */
void listeners_fetch(struct listeners *listeners, uint32_t worker, uint32_t generation, pid_t pid);

/*
 * Those of one process; generation 0: of all of the worker. Whoever waits in their queues is handed
 * on by the kernel as soon as no process has them. Whose they were is still known.
 */
void listeners_close(struct listeners *listeners, uint32_t worker, uint32_t generation);

/* Of all workers: in a child, as a duplicate would keep a closed one's queue from moving. */
void listeners_close_all(struct listeners *listeners);

/* One descriptor per address, in their order; -1 where there is none. NULL: it has no set. */
const int *listeners_fds(const struct listeners *listeners, uint32_t worker, uint32_t generation);

/* Whose socket has this cookie? The worker, -1 = nobody's, and which process of it. */
int listeners_find(struct listeners *listeners, uint64_t cookie, uint32_t *generation);

/* In which slot are a process's sockets? -1 = in none. */
int listeners_slot(const struct listeners *listeners, const struct state *state, uint32_t worker,
		   uint32_t generation);

/* Connections that wait in a process's queues. */
uint64_t listeners_waiting(const struct listeners *listeners, uint32_t worker, uint32_t generation);

#endif
