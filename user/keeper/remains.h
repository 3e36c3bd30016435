/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a keeper that was killed leaves: workers, their cgroups, pins, files below /run/lbctl. */
#ifndef REMAINS_H
#define REMAINS_H

#include <stdbool.h>

#include "base/trouble.h"

/* Is there anything of a service that `lbctl run` had, and no keeper? */
bool remains_exist(const char *name);

/*
 * Does what its keeper would do on SIGTERM: takes the program off, ends the workers (SIGTERM, and
 * SIGKILL after kill_timeout_ms), removes all there is. *workers says how many processes lived.
 *
 * Returns EXIT_DONE, or the status of *trouble: EXIT_NOT_FOUND when nothing remains, EXIT_FAILED
 * when a keeper runs after all or something can't be removed.
 */
int remains_stop(const char *name, unsigned int kill_timeout_ms, unsigned int *workers,
		 struct trouble *trouble);

/* Removes what is left if neither keeper nor worker lives, else nothing. */
void remains_sweep(const char *name);

#endif
