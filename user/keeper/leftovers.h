/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a keeper leaves, or one that was killed: workers, cgroups, pins, files below /run/lbctl. */
#ifndef LEFTOVERS_H
#define LEFTOVERS_H

#include <stdbool.h>

#include "base/stop_signal.h"
#include "base/trouble.h"

/* Is there anything of a service that `lbctl run` had, and no keeper? */
bool leftovers_exist(const char *name);

/* How its workers are to be told to end, for whoever has to do it: a note on its cgroup. */
void leftovers_note_stop(int cgroup_fd, int stop_signal, enum kill_mode mode);

/* Reads such a note, "3 mixed". False where it is none: then nothing is set. */
bool leftovers_parse_stop(const char *note, int *stop_signal, enum kill_mode *mode);

/*
 * Had a service a keeper that is gone, so that nobody looks after it? Not where that can't be seen,
 * nor while a keeper begins or ends.
 */
bool leftovers_lack_keeper(const char *name);

/* How many processes of its workers live; -1 where that is not known, or it is of no run. */
int leftovers_count(const char *name);

/* Were its workers started by `lbctl run`, whether that lives or not? */
bool leftovers_are_of_run(const char *name);

/*
 * Does what its keeper would do on SIGTERM: takes the program off, ends the workers (as was noted,
 * and SIGKILL after kill_timeout_ms), removes all there is. *workers says how many processes lived.
 *
 * Returns EXIT_DONE, or the status of *trouble: EXIT_NOT_FOUND when nothing remains, EXIT_FAILED
 * when a keeper runs after all or something can't be removed.
 */
int leftovers_stop(const char *name, unsigned int kill_timeout_ms, unsigned int *workers,
		   struct trouble *trouble);

/*
 * Removes all that a service of `lbctl run` has, once its workers have ended: for who has its lock.
 * `cgroup` is the service's, in `parent`, or -1. Returns EXIT_DONE, or the status of *trouble;
 * while processes live that can't be killed the files stay, so that the next lbctl finds them.
 */
int leftovers_remove(const char *name, const char *parent, int cgroup, struct trouble *trouble);
/* The same where no service was made, or it is not ours. */
int leftovers_remove_files(const char *name, const char *parent, int cgroup,
			   struct trouble *trouble);

/* Removes what is left if neither keeper nor worker lives, else nothing. */
void leftovers_sweep(const char *name);

#endif
