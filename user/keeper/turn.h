/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one entry to the keeper's work. Whoever learns something writes it down and marks what is to
 * be done about it; once the handlers that are due have run, it is done, once for all of them.
 */
#ifndef TURN_H
#define TURN_H

#include <stdint.h>
#include <systemd/sd-event.h>

enum turn_work {
	TURN_DECIDE = 1, /* facts or wishes have changed */
	TURN_LOOK = 2,	 /* sockets may have come or gone */
	TURN_TICK = 4,	 /* a second has gone by: look at what no event tells */
};

struct turn;

/* `run` gets the work that was marked, and may mark more. NULL without memory. */
struct turn *turn_new(sd_event *loop, void (*run)(void *arg, unsigned int work), void *arg);
void turn_free(struct turn *turn);

void turn_mark(struct turn *turn, unsigned int work);

/* TURN_DECIDE at this time (CLOCK_MONOTONIC, microseconds) at the latest; UINT64_MAX: no more. */
void turn_at(struct turn *turn, uint64_t at_us);

/* CLOCK_MONOTONIC as the loop has it for this turn, in microseconds. */
uint64_t turn_now(const struct turn *turn);

#endif
