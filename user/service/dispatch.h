/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The program that all services in a cgroup share to count connections, bpf/dispatch.bpf.c. It
 * belongs to none of them: each has it, its tables and its link pinned in its own directory, so all
 * of it is there as long as one of them is, and nobody has to take it away. A service's entry in
 * the tables goes by dispatch_leave(); where that did not come to it, as lbctl was killed or
 * somebody removed the pins, the next one that joins takes it out.
 */
#ifndef DISPATCH_H
#define DISPATCH_H

#include "service/state.h"

/* Does the shared program, by the link that the service has, run its lb_track? */
bool dispatch_is_on(const struct state *state);

/*
 * Has the shared program run the service's lb_track for the connections of a cgroup. Safe to
 * repeat; lb_conns and lb_track must be there, and the state be locked. Takes the lock of all
 * services for some milliseconds. Returns a descriptor of the link, which the caller pins, or
 * -errno.
 */
int dispatch_join(const struct state *state, int cgroup_fd);

/*
 * Undoes that but for the pins, for a service that is about to be removed: whole, broken or not yet
 * made. `dir` is where it is pinned.
 */
void dispatch_leave(const char *dir);

#endif
