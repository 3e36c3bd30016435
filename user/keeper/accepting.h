/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A socket of --listen takes connections before its process does. So a new process is looked at, in
 * a child, until it waits at its sockets, and gets its share then.
 */
#ifndef ACCEPTING_H
#define ACCEPTING_H

#include <stdint.h>
#include <systemd/sd-event.h>

#include "keeper/listeners.h"
#include "keeper/plan.h"
#include "keeper/runner.h"
#include "keeper/turn.h"

struct accepting;

struct accepting_config {
	sd_event *loop;
	struct turn *turn;
	struct plan *plan;
	const struct runners *runners;
	struct listeners *listeners;
	uint32_t nr_listens; /* addresses */
};

/* All of it stays the caller's. NULL without memory. */
struct accepting *accepting_new(const struct accepting_config *config);
void accepting_free(struct accepting *accepting);

/*
 * Begins a look at those that the plan waits for, if it is time; what it finds is in the plan
 * (`accepts`) when the turn comes again. NULL is fine. Returns when it is to be called again,
 * PLAN_NEVER = in the next turn.
 */
uint64_t accepting_look(struct accepting *accepting, uint64_t now_us);

/*
 * How long until the next look at a process that started so long ago: soon where it has just begun,
 * and a few times a second later.
 */
uint64_t accepting_wait_us(uint64_t age_us);

#endif
