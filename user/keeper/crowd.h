/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Processes that open several listening sockets on one address, as servers do that spread
 * connections over processes or threads of their own. A worker serves with one.
 */
#ifndef CROWD_H
#define CROWD_H

#include "host/sockdiag.h"
#include "keeper/own.h"

/* Writes runner->crowd of those processes: of the listening sockets on one port. */
void crowd_look(const struct own *own, const struct sockdiag_list *list);

#endif
