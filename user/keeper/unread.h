/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Nothing of UDP can be moved: what is unread in a socket is lost when its process ends. So one
 * that is drained reads it first, and is looked at until it has.
 */
#ifndef UNREAD_H
#define UNREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "keeper/plan.h"
#include "keeper/runner.h"
#include "service/state.h"

#define UNREAD_LOOK_US 10000 /* from one look to the next */

/* Tells the plan who has read all. Returns whether there is somebody to look at again. */
bool unread_look(struct plan *plan, struct runners *runners, const struct state *state,
		 uint64_t now_us);

#endif
