/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The keeper's side of the process that holds connections until a worker is idle (hold_loop.h): it
 * is there while the service is one to do it for, and is ended when it does not answer. Its end is
 * never a loss: what waits migrates then.
 */
#ifndef HOLDER_H
#define HOLDER_H

#include "keeper/event_log.h"
#include "keeper/pins.h"

struct holder;

struct holder_config {
	sd_event *loop;
	struct pins *pins;
	struct event_log *log;
	const char *name;
	/* In the child, before all else: what of the keeper's is to be let go of. */
	void (*begin)(void *arg);
	/* Its process id in the first pid namespace, once it is known; 0 = it has gone. */
	void (*started)(void *arg, uint32_t tgid);
	/* One has ended a moment ago, and what waited has migrated. */
	void (*ended)(void *arg);
	void *arg;
};

/* NULL without memory. */
struct holder *holder_new(const struct holder_config *config);
void holder_free(struct holder *holder);

/* Is the process to be there? Begins or ends it. */
void holder_check(struct holder *holder);

/* Workers or settings of the service have changed: the same, and the process looks at them. */
void holder_tell(struct holder *holder);

/* The data plane says that it does not answer. */
void holder_is_stuck(struct holder *holder);

/* Ends it, for good: before the programs are taken off the sockets. NULL is fine. */
void holder_stop(struct holder *holder);

#endif
