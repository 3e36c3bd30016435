/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sequences of what may happen to a keeper's workers, drawn by a unit test or by a fuzzer. */
#ifndef RECONCILE_EVENTS_H
#define RECONCILE_EVENTS_H

#include "reconcile_world.h"

#define EVENTS_KINDS 16

/* The options that change the order of steps: each of the kinds, 0 .. EVENTS_KINDS - 1. */
struct plan_options events_options(unsigned int kind);

struct events {
	char name[32];
	struct plan_options options;
	bool stops;	   /* it ends with a stop */
	int (*draw)(void); /* as rand(3) */
};

/* Plays one, until nothing happens any more. Returns how many events there were. */
unsigned int events_run(struct world *world, const struct events *how);

#endif
