/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What someone has set of a service: policy, live settings, weights, limits and drained workers.
 * Whoever keeps a service remembers it, so that one that was taken away comes back as it was.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "service/state.h"

struct settings {
	uint32_t policy; /* 0 = nothing is remembered */
	uint32_t group;
	uint64_t stale_ns, stall_ns, rescue_ns, flow_ns, hold_ns;
	uint64_t hash_prefix4, hash_prefix6;
	uint64_t limit;
	uint64_t latency; /* one connection in so many is measured; 0 = none */
	struct {
		uint32_t weight; /* 0 = there is no such worker */
		uint32_t limit;
		bool drained; /* it has a socket, and no more connections are to come to it */
	} workers[LB_MAX_WORKERS];
};

/* Remembers what is set of a service; its pins may be gone meanwhile. */
void settings_read(const struct state *state, struct settings *settings);

/*
 * Of a new service before its workers have their slots: all but what is of single workers. The
 * state must be locked, or nobody else's yet.
 */
void settings_apply(struct state *state, const struct settings *settings);

/*
 * And once they have them: weights, limits and drained workers. Returns whether something changed,
 * and then steer_publish() is to follow.
 */
bool settings_apply_workers(struct state *state, const struct settings *settings);

#endif
