/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Give a service's reuseport groups back to the kernel. */
#ifndef DETACH_H
#define DETACH_H

#include "base/trouble.h"

/*
 * Takes the service's programs off their groups, then removes its pins. Works on broken services
 * and on those of another version, too: it goes by the programs, which are in every one.
 * Returns EXIT_DONE or the status of *trouble.
 */
int detach_run(const char *name, struct trouble *trouble);

#endif
