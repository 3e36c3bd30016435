/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * As pid 1 of a container the keeper becomes the parent of whoever loses his, and has to take note
 * of the end of each, or it stays as a zombie.
 */
#ifndef ORPHANS_H
#define ORPHANS_H

#include "keeper/runner.h"

/* Once a tick. Those of `all`, and the keeper's own children, are left to who waits for them. */
void orphans_reap(const struct runners *all);

#endif
