/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Clients of obey.h that do what they like: the same in each run. */
#ifndef HARNESS_STORM_H
#define HARNESS_STORM_H

#include <stdbool.h>
#include <stdint.h>

#define STORM_MOST_OPEN 400

/* What may happen beside connections over IPv4. */
struct storm {
	bool ipv6; /* half of the connections */
	bool busy; /* a worker is told to do nothing else for a while */
};

uint32_t storm_random(void);
/* One connection is opened, closed, reset or half-closed, from either side. */
void storm_step(const struct storm *storm);

#endif
