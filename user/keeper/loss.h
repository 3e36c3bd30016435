/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the end of a process cost. `lost` is exact: the kernel counts the accepted connections that
 * a process closes by ending, be it that their clients wait for nothing more. So is `migrated`, but
 * for handshakes that were not complete: they move at their next segment. `to` is who got waiting
 * connections since the last look, so when two workers end within a moment, each is told with the
 * targets of both.
 */
#ifndef LOSS_H
#define LOSS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/state.h"

struct losses;

struct loss {
	bool known;	   /* false: there are no counters (no service) */
	bool counted;	   /* `lost` is known */
	uint64_t lost;	   /* accepted connections that were open */
	uint64_t migrated; /* connections that waited to be accepted and went to others */
	uint64_t reset;	   /* that waited, and had nobody to go to; of all that ended since */
	uint64_t waiting;  /* that wait on, in a socket of --listen */
	json_t *to;	   /* array of worker numbers; never NULL after losses_take() */
};

struct losses *losses_new(void);
void losses_free(struct losses *losses);

/* A process got this slot: what happened there before is not its. */
void losses_begin(struct losses *losses, const struct state *state, uint32_t slot);

/*
 * What migrated before this moment did so by a rescue, or has been told. `listens` says of a slot
 * whether it has a socket: not while a worker is between closing its own and its end.
 */
void losses_settle(struct losses *losses, const struct state *state,
		   bool (*listens)(const void *arg, uint32_t slot), const void *arg);

/*
 * What happened in the slot (-1: none) since it got its process; `state` may be NULL. Give it to
 * loss_free().
 */
void losses_take(struct losses *losses, const struct state *state, int slot, uint64_t waiting,
		 struct loss *out);
void loss_free(struct loss *loss);

/*
 * "1 accepted connection lost, 17 waiting migrated to 0 1 2"; "" when there is nothing to tell, or,
 * with `always`, that there is nothing.
 */
void loss_text(const struct loss *loss, bool always, char *out, size_t len);

/* Adds "lost", "migrated", "migrated_to", "waiting", "reset"; null for what is not known. */
void loss_json(const struct loss *loss, json_t *event);

#endif
