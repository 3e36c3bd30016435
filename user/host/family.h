/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A process and all that descend from it, by /proc/PID/task/TID/children. */
#ifndef FAMILY_H
#define FAMILY_H

#include <sys/types.h>

#define FAMILY_MOST 1024 /* processes of one family; more are left out */

/*
 * Calls `meet` with each thread of the process, then with those of its children, and so on. A
 * child is looked for after its parent's threads were met: with what `meet` leaves to children that
 * come later, nobody is missed. Where the kernel does not tell of children (CONFIG_PROC_CHILDREN)
 * it is the process alone. Who has ended meanwhile is passed over. Returns 0, what `meet` returned
 * if that was not 0, or -errno.
 */
int family_meet(pid_t pid, int (*meet)(void *arg, pid_t tid), void *arg);

#endif
