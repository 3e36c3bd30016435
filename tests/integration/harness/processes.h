/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What /proc says of processes. */
#ifndef HARNESS_PROCESSES_H
#define HARNESS_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Descendants of this process that live. */
size_t processes_children(pid_t parent, pid_t *pids, size_t max);
/* The first of them that goes by this name (comm); 0 = none does. */
pid_t processes_child_named(pid_t parent, const char *name);
bool process_lives(pid_t pid);
unsigned long process_resident_kib(pid_t pid);
/* As in /proc/PID/stat: 'S', 'T' (stopped) ...; 'X' = there is none. */
char process_state(pid_t pid);
/*
 * Copies of its listening TCP sockets, the caller's to close: fds[] becomes at most `max` of them.
 * Returns how many; fails the test where there is none.
 */
size_t process_listeners(pid_t pid, int *fds, size_t max);

#endif
