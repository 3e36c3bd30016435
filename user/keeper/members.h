/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who came to a service and who went, where each socket is a worker's and lbctl did not start the
 * process: what watch and run --forks tell of their workers.
 */
#ifndef MEMBERS_H
#define MEMBERS_H

#include <sys/types.h>

#include "keeper/event_log.h"
#include "keeper/loss.h"
#include "lb_abi.h"

struct members {
	struct event_log *log;
	struct losses *losses;
	/* NULL: nobody asks */
	bool (*may_hand_on)(void *arg, pid_t pid);	  /* what it has, to another process */
	void (*came_again)(void *arg, uint32_t worker);	  /* whose socket was closed */
	void (*left)(void *arg, const struct loss *loss); /* what that cost */
	void *arg;
	bool tells_first;		     /* also those that the first look at a service finds */
	struct lb_worker rows[LB_MAX_SLOTS]; /* as they were told of */
	uint64_t cookies[LB_MAX_SLOTS];	     /* of one of its sockets then */
	bool waits[LB_MAX_SLOTS];	     /* it has come, and is told of at the next look */
	uint64_t created_ns;		     /* of the service that they are of; 0 = none yet */
	struct {
		uint64_t left;	   /* so many more are told of; refilled as time goes by ... */
		uint64_t since_us; /* ... from here on, ... */
		uint32_t slots;	   /* ... and as slots are added to these */
		uint64_t untold;   /* that were not */
		uint64_t told_us;  /* when that was told last; 0 = never */
	} budget;
};

/*
 * Tells what has changed in the service (NULL: there is none) since the last look. One whose
 * process may hand its socket on is looked at once more first. Of those that come and go without
 * end not each is told. `now_us` is CLOCK_MONOTONIC.
 */
void members_tell(struct members *members, const struct state *state, uint64_t now_us);

/* Begins with the workers that there are, which are not told of. */
void members_adopt(struct members *members, const struct state *state);

#endif
