/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The states of one worker process, from its start to its end, and the one table of what leads
 * from which to which. The state is also what a keeper leaves on the process's cgroup for the next
 * one. Pure: knows no process.
 */
#ifndef LIFECYCLE_H
#define LIFECYCLE_H

/* X(IDENTIFIER, "name") */
#define LIFECYCLE_STATES(X)                                                                        \
	X(NONE, "none")		      /* there is none */                                          \
	X(STARTING, "starting")	      /* it runs, or is about to; not known to be ready */         \
	X(READY, "ready")	      /* it may serve; its sockets are not all registered */       \
	X(ONLINE, "online")	      /* it gets its share */                                      \
	X(DRAINING, "draining")	      /* it gets nothing new, and is to end when it is done */     \
	X(TERMINATING, "terminating") /* it was sent the signal that is to end it */               \
	X(BACKING_OFF, "backing-off") /* it ended; another is started in a while */                \
	X(FAILED, "failed")	      /* it ended too often, and none is started */                \
	X(FINISHED, "finished") /* it ended for good, as it was free to, and none is started */

enum lifecycle {
#define X(id, name) LIFE_##id,
	LIFECYCLE_STATES(X)
#undef X
		LIFE_STATES
};

enum life_event {
	LIFE_START,	/* a process is started */
	LIFE_IS_READY,	/* it said so, or need not */
	LIFE_IS_IN,	/* all its sockets are registered */
	LIFE_LEAVE,	/* it is to end, without loss */
	LIFE_TERMINATE, /* it is sent a signal */
	LIFE_END,	/* it has ended, and none is to follow in this place */
	LIFE_RETRY,	/* it has ended, and another follows */
	LIFE_GIVE_UP,	/* it has ended, as those before */
	LIFE_FINISH,	/* it has ended with a status of --stop-exit-codes */
	LIFE_EVENTS
};

/* The state after an event, or -1: the event means nothing in that state. */
int lifecycle_next(enum lifecycle state, enum life_event event);

/* Is there a process in this state? */
int lifecycle_runs(enum lifecycle state);

/* "starting" ...; and the state of a name, or -1. */
const char *lifecycle_name(enum lifecycle state);
int lifecycle_parse(const char *name);

#endif
