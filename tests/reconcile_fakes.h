/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is in the world of reconcile_world.h, for that alone: processes, and sockets of --listen. */
#ifndef RECONCILE_FAKES_H
#define RECONCILE_FAKES_H

#include "keeper/reconcile.h"
#include "reconcile_world.h"

/*
 * Brings one process up to the present and tells the plan what it sees of that. *next_us becomes
 * the time of what comes next, if that is earlier.
 */
void fake_live(struct world *world, struct fake *fake, uint64_t *next_us);
bool fake_is_at_work(const struct world *world, const struct fake *fake);

/* What an action does to the sockets of its process. */
void sockets_give(struct world *world, const struct action *action);
void sockets_close(struct world *world, const struct action *action);
void sockets_drain(struct world *world, const struct action *action);
void sockets_admit(struct world *world, const struct action *action);

/* Tells the plan who is drained, also of one that has ended. *next_us as above. */
void sockets_see_drained(struct world *world, uint64_t *next_us);

/* With the keeper those go that no process has. */
void sockets_forget(struct world *world);

/* A worker that is wanted has those of its process, and no others are open. */
void sockets_expect(struct world *world, const char *name);

#endif
