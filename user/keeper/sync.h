/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Keeps the service of a run in line with the sockets of its workers: sees which are there, tells
 * the plan who is registered, and has the service brought up to date where it is not.
 */
#ifndef SYNC_H
#define SYNC_H

#include <stdbool.h>
#include <stdint.h>

#include "keeper/changes.h"
#include "keeper/event_log.h"
#include "keeper/forked.h"
#include "keeper/own.h"
#include "keeper/pins.h"

struct sync_config {
	const char *name;
	uint32_t policy; /* of a new service; 0 = the default */
	uint32_t group;
	bool rescue;
	uint64_t cgroup; /* id of the service's, which all workers are in */
	struct own *own;
	struct plan *plan;
	struct runners *runners;
	struct pins *pins;
	struct changes *changes;
	struct event_log *log;
	struct forked *forked; /* NULL without --forks */
	/* a process got this slot: what happened there before is not its */
	void (*begun)(void *arg, uint32_t slot);
	void *arg;
};

struct sync;

struct sync *sync_new(const struct sync_config *config);
void sync_free(struct sync *sync);

/*
 * Looks at the listening sockets. `again`: what could not be registered before is tried once more,
 * and whose program is on the groups is looked at.
 */
void sync_look(struct sync *sync, bool again);

/* The service was brought up to date: if another program was on its groups, that is told. */
void sync_refreshed(struct sync *sync, const struct attach_result *result);

/* Does a registered socket of the slot listen, as far as the last look knows? */
bool sync_slot_listens(const struct sync *sync, uint32_t slot);

/* For changes_config: brings the service up to date, in a child. */
int sync_refresh(struct sync *sync, struct state *state, struct attach_result *result,
		 struct trouble *trouble);

#endif
