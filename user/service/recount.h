/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counting the open connections again, by the sockets there are. */
#ifndef RECOUNT_H
#define RECOUNT_H

#include "service/state.h"

/*
 * Puts the live counts of a service in order: connections that were missed are counted in once
 * they are accepted (where the kernel can have them tell their end: 6.12), listeners that lost
 * their mark get it, and a count that is not what the sockets say, with nothing opened or closed
 * meanwhile, is corrected. For a service that does not count it does nothing. The state must be
 * locked. Where connections wait to be accepted it may take some 50 ms more.
 *
 * Returns 0, also when some of it could not be done on this kernel, -EPERM or -errno; the counts
 * are then no worse than before.
 */
int recount_connections(const struct state *state);

/*
 * By how much a live count is wrong: `counted` connections were found between two looks at the
 * slot's counters. 0 when these differ: something happened meanwhile, so it can't be known.
 */
int64_t recount_drift(const struct lb_stats *before, const struct lb_stats *after,
		      uint64_t counted);

#endif
