/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Children that nobody waits for: those that close descriptors (task.h), and, as pid 1 of a
 * container, whoever has lost his parent. Somebody has to take note of the end of each, or it stays
 * as a zombie.
 */
#ifndef ORPHANS_H
#define ORPHANS_H

#include "keeper/runner.h"

/* Once a tick. Those of `all`, and the keeper's own children, are left to who waits for them. */
void orphans_reap(const struct runners *all);

#endif
