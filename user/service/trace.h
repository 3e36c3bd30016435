/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading each decision of a service as it is made. The steering programs write into a ring buffer
 * that is there while somebody reads, one reader at a time; else they pay one load. A child waits
 * for the reader's end, however that comes, and takes the buffer away.
 */
#ifndef TRACE_H
#define TRACE_H

#include "service/state.h"

struct trace;

/*
 * Begins. The state must stay open. Returns 0, -EOPNOTSUPP (the service's programs can't: another
 * lbctl loaded them), -EBUSY (somebody reads already) or -errno.
 */
int trace_open(const struct state *state, struct trace **trace);
void trace_close(struct trace *trace);

/*
 * Waits at most wait_ms, then calls take() with each decision that was made, until it returns
 * something other than 0. Returns that, 0 or -errno; -EINTR: a signal came.
 */
int trace_poll(struct trace *trace, int wait_ms,
	       int (*take)(void *arg, const struct lb_trace *decision), void *arg);

/* How many found no room since the beginning, as they were not read soon enough. */
uint64_t trace_dropped(const struct trace *trace);

#endif
