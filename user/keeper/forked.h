/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * run --forks: the plan's one worker is a main process, which makes processes of its own, and each
 * socket that one of these listens with on a shared port is a worker of the service. Which slots
 * are a main process's, and what that makes of its facts.
 */
#ifndef FORKED_H
#define FORKED_H

#include <stdbool.h>
#include <stdint.h>

#include "keeper/changes.h"
#include "keeper/runner.h"
#include "service/state.h"

struct forked;

struct forked *forked_new(void);
void forked_free(struct forked *forked);

/* --- a look at the sockets: begin, note each that is in a slot, end --- */

void forked_begin(struct forked *forked);
void forked_note(struct forked *forked, uint32_t slot, const struct runner *runner);
/*
 * Writes the facts `registered` and `renewed` of all processes. `tick`: a second has passed since
 * the last look with it. Returns whether the service is to be brought up to date although no socket
 * came or went: whose the sockets are may have changed.
 */
bool forked_end(struct forked *forked, const struct runners *runners, struct plan *plan,
		const struct state *state, bool tick);

/* Sockets came: whose they are is looked at once more soon. */
void forked_came(struct forked *forked);

/* --- what is done --- */

/* Nothing new for the slots of a main process. Returns their number. */
uint32_t forked_drain(const struct forked *forked, const struct runner *runner,
		      struct changes *changes);

/*
 * From now on the sockets that there are leave, until forked_settle(): others get their workers'
 * numbers. `runner`, which makes the others itself, or NULL: its processes are to be others, too.
 */
void forked_renew(struct forked *forked, const struct state *state, const struct runner *runner);
void forked_settle(struct forked *forked);

/* For struct service_owner: does the socket leave? */
bool forked_leaves(const struct forked *forked, uint64_t cookie);

#endif
