/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ports that one process alone can have: those that a worker named when it bound them and that are
 * not shared. Whoever is to follow it can't begin before it has ended.
 */
#ifndef ALONE_H
#define ALONE_H

#include "keeper/plan.h"
#include "keeper/runner.h"

/*
 * Looks at the sockets of all processes, and writes `alone` of runners and plan. Where the kernel
 * does not tell, nobody has such a port.
 */
void alone_look(struct plan *plan, const struct runners *runners);

#endif
