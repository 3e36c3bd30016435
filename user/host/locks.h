/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who holds a lock of flock(2), which the lock itself does not tell. */
#ifndef LOCKS_H
#define LOCKS_H

#include <sys/stat.h>
#include <sys/types.h>

/* The process that took one of this file, as /proc/locks says; 0 = none, or none that is seen. */
pid_t locks_holder(const char *path);
pid_t locks_holder_of(const struct stat *file);

/* Is this line of /proc/locks one of flock(2), held and not waited for, of that file? 0 = no. */
pid_t locks_parse(const char *line, const struct stat *file);

#endif
