/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which workers do not accept. The steering program finds that out as it picks; whoever wants to
 * know it without new connections samples the queues.
 */
#ifndef STALL_H
#define STALL_H

#include <stdbool.h>
#include <stdint.h>

#include "service/state.h"

struct sampler;

/*
 * Prepares to sample a service's queues. `state` must stay open longer than the sampler. Returns 0,
 * -EPERM, -EOPNOTSUPP (the kernel can't; 5.14 can) or -errno. Freed with sampler_close().
 */
int sampler_open(const struct state *state, struct sampler **sampler);
void sampler_close(struct sampler *sampler);

/* Looks at all queues now. *now_ns is of the tick clock. Returns 0 or -errno. */
int sampler_run(struct sampler *sampler, uint64_t *now_ns);

/*
 * After how long a queue that does not move tells of a stall; 0 = none does. Under policy kernel
 * none: no decision is made that would see each new connection, and one that takes its
 * predecessor's place in the kernel's memory would be taken for it.
 */
uint64_t stall_after_ns(const struct lb_config *config);

/*
 * For how long a slot has not accepted anything that waits, in nanoseconds; 0 = it is not stalled.
 * Of several listeners the longest. `now_ns` is of the tick clock. As the queues were last looked
 * at: by sampler_run(), or by the program when it picked the slot.
 */
uint64_t stall_age_ns(const struct state *state, uint32_t slot, uint64_t now_ns);

/* The same for one listener, whose oldest waiting connection is now `oldest`. */
uint64_t stall_age_at(const struct state *state, uint32_t listener, uint32_t slot, uint64_t oldest,
		      uint64_t now_ns);

#endif
