/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The holder: the process that lets held connections go. It has the waiting listeners, and does
 * nothing else, so that it answers within microseconds whatever its keeper is busy with, and may be
 * killed at any time. See holder.h for the keeper's side.
 */
#ifndef HOLD_LOOP_H
#define HOLD_LOOP_H

#include <stdint.h>

/* What it tells its keeper, through a pipe. */
enum hold_word {
	HOLD_STARTED, /* `number` is its process id in the first pid namespace */
	HOLD_BEGINS,  /* there are waiting listeners; `number` is the average work in ns */
	HOLD_ENDS,    /* there are none any more */
	HOLD_CANNOT,  /* `text` says why */
};

struct hold_report {
	uint32_t word; /* enum hold_word */
	uint32_t pad;
	uint64_t number;
	char text[112];
};

/*
 * Runs until it is killed, or can't go on. `name` is the service's; `told_fd` is readable when the
 * keeper has changed something of it (its bytes mean nothing), `report_fd` takes the reports. All
 * other descriptors of the process are closed. Returns the exit status.
 */
int hold_loop_run(const char *name, int told_fd, int report_fd);

#endif
