/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which workers are idle: those that sleep where the next connection will wake them. The kernel
 * knows (bpf/idle.bpf.h), and tells through a perf event on each of their threads and of their
 * descendants', when it leaves its CPU, and on those that come later. It takes CAP_PERFMON; the
 * rest of the host pays nothing.
 */
#ifndef IDLE_H
#define IDLE_H

#include <stdint.h>
#include <sys/types.h>

#include "lb_inspect.h"
#include "service/state.h"

struct idle;

/*
 * Loads the programs for all TCP listeners of the service. `state` must stay open longer. Returns
 * 0, -EPERM, -EOPNOTSUPP (this kernel can't) or -errno. Freed with idle_close().
 */
int idle_open(const struct state *state, struct idle **out);
void idle_close(struct idle *idle);

/*
 * Has the program run when a thread of this process, the slot's worker, or of one that descends
 * from it leaves its CPU. Once it does, a further call with the same process does nothing, and one
 * with another process begins anew; 0 = no process. Returns 0 or -errno: -EPERM or -EACCES where
 * perf events are not allowed, -E2BIG of a worker with too many threads, which is told of by none.
 */
int idle_follow(struct idle *idle, uint32_t slot, pid_t pid);

/* Looks at all workers that may get connections of this listener. Returns 0 or -errno. */
int idle_look(struct idle *idle, uint32_t listener, struct lb_idle_look *look);

/* Are perf events on other threads allowed? Returns 0 or -errno. */
int idle_try(void);

/* The calling process's id in the first pid namespace, 0 = it can't be told. */
uint32_t idle_tgid(struct idle *idle);

#endif
