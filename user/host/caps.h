/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which capabilities the process has, and which lbctl's commands use. */
#ifndef CAPS_H
#define CAPS_H

#include <stdbool.h>

/* X(name without CAP_, number, what lbctl uses it for) */
#define LB_CAPABILITIES(X)                                                                         \
	X(BPF, 39, "load programs, open maps")                                                     \
	X(NET_ADMIN, 12, "count connections, share ports under run")                               \
	X(PERFMON, 38, "read sockets' queues in BPF")                                              \
	X(SYS_PTRACE, 19, "see and duplicate the sockets of other processes")                      \
	X(SYS_ADMIN, 21, "mount bpffs, enter a network namespace (--netns)")

/* What a keeper that is root goes on with; X as above. Those of LB_CAPABILITIES, and these. */
#define LB_KEEPER_CAPABILITIES(X)                                                                  \
	X(CHOWN, 0, "give workers' users their directories and sockets")                           \
	X(DAC_OVERRIDE, 1, "make cgroups, write logs in others' directories")                      \
	X(DAC_READ_SEARCH, 2, "read /proc of other users' processes, --cwd, --env-file")           \
	X(FOWNER, 3, "set the mode of a worker's sockets")                                         \
	X(KILL, 5, "signal workers of other users")                                                \
	X(SETGID, 6, "--user")                                                                     \
	X(SETUID, 7, "--user")                                                                     \
	X(NET_BIND_SERVICE, 10, "--listen on a port below 1024")                                   \
	X(SYS_NICE, 23, "come before a busy worker in a rescue")                                   \
	X(SYS_RESOURCE, 24, "raise the limit of descriptors, lock maps in memory before 5.11")

/* Is the capability with this number effective? */
bool caps_have(int number);

/*
 * Drops all others, for good, where we are root; without it they may be meant for the workers. In a
 * sandbox that forbids it all stays as it is.
 */
void caps_limit_to_keeper(void);

/* Drops all, and any way to others, where strangers are listened to. Returns 0 or -errno. */
int caps_drop_all(void);

#endif
