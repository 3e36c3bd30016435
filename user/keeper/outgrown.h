/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Is a worker that has more memory than it may to be replaced now? Pure, as plan.h is. */
#ifndef OUTGROWN_H
#define OUTGROWN_H

#include "keeper/plan.h"

/*
 * One worker at a time, while nothing else is going on. The first time at once; where its next
 * process is over the limit soon as well, or none took its place, after plan_backoff_us(). true
 * counts as that time: the caller begins the restart.
 */
bool outgrown_is_due(struct plan *plan, uint32_t worker, uint64_t now_us);

#endif
