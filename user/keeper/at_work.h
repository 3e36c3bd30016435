/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A program that knows nothing of the signal that is to end it dies of it in the middle of an
 * answer. So one that is drained is looked at until none of its connections is at work. A kept
 * connection that waits for its client's next request is not, and holds nobody up.
 */
#ifndef AT_WORK_H
#define AT_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "host/sockdiag.h"
#include "keeper/own.h"

/* A connection on which the worker spoke last waits for its client after so much silence. */
#define AT_WORK_SILENCE_MS 1000

/*
 * Is a connection of sockdiag_activity() at work: is something of it unread or not arrived yet, or
 * did its client speak last and has no answer, or is the silence not that long?
 */
bool at_work_is(const struct sockdiag_socket *connection);

struct at_work {
	uint64_t next_us; /* when those that are at work are looked at again */
};

/*
 * Tells the plan of those that are to end how many of their connections are at work. `state` may
 * be NULL: once the service is taken off. Returns when to look again, PLAN_NEVER = not needed.
 */
uint64_t at_work_look(struct at_work *at_work, struct plan *plan, const struct own *own,
		      const struct state *state, uint64_t now_us);

#endif
