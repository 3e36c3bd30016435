/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sockets of `run --listen`: the keeper makes a set of them for each worker, hands them to its
 * processes one after the other, and keeps them while there is none.
 */
#ifndef LISTENERS_H
#define LISTENERS_H

#include <stdint.h>
#include <sys/types.h>

#include "lb_abi.h"

struct listen_at {
	uint8_t proto; /* LB_PROTO_TCP or LB_PROTO_UDP */
	uint8_t family;
	uint8_t addr[16];
	uint16_t port;
};

struct listeners;

/* For so many addresses (0 is fine), which stay the caller's. NULL without memory. */
struct listeners *listeners_new(const struct listen_at *at, uint32_t count);
void listeners_free(struct listeners *listeners);

/* Makes what the worker lacks. Returns 0 or -errno: -EADDRINUSE ... */
int listeners_make(struct listeners *listeners, uint32_t worker);

/* Takes them out of a process of the worker that a dead keeper started. */
void listeners_fetch(struct listeners *listeners, uint32_t worker, pid_t pid);

/* Whoever waits in their queues is handed on by the kernel. */
void listeners_close(struct listeners *listeners, uint32_t worker);

/* Of all workers: in a child, as a duplicate would keep a closed one's queue from moving. */
void listeners_close_all(struct listeners *listeners);

/* One descriptor per address, in their order; -1 where there is none. */
const int *listeners_fds(const struct listeners *listeners, uint32_t worker);

/* Whose socket has this cookie? -1 = nobody's. */
int listeners_worker_of(struct listeners *listeners, uint64_t cookie);

/* Connections that wait in the worker's queues. */
uint64_t listeners_waiting(const struct listeners *listeners, uint32_t worker);

#endif
