/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which capabilities the process has, and which lbctl's commands use. */
#ifndef CAPS_H
#define CAPS_H

#include <linux/capability.h>
#include <stdbool.h>

/* X(capability, what lbctl uses it for) */
#define LB_CAPABILITIES(X)                                                                         \
	X(CAP_BPF, "load programs, open maps")                                                     \
	X(CAP_NET_ADMIN, "count connections, share ports under run")                               \
	X(CAP_PERFMON, "read sockets' queues in BPF")                                              \
	X(CAP_SYS_PTRACE, "see and duplicate the sockets of other processes")                      \
	X(CAP_SYS_ADMIN, "mount bpffs, enter a network namespace (--netns)")

/* What a keeper that is root goes on with; X as above. Those of LB_CAPABILITIES, and these. */
#define LB_KEEPER_CAPABILITIES(X)                                                                  \
	X(CAP_CHOWN, "give workers' users their directories and sockets")                          \
	X(CAP_DAC_OVERRIDE, "make cgroups, write logs in others' directories")                     \
	X(CAP_DAC_READ_SEARCH, "read /proc of other users' processes, --cwd, --env-file")          \
	X(CAP_FOWNER, "set the mode of a worker's sockets")                                        \
	X(CAP_KILL, "signal workers of other users")                                               \
	X(CAP_SETGID, "--user")                                                                    \
	X(CAP_SETUID, "--user")                                                                    \
	X(CAP_NET_BIND_SERVICE, "--listen on a port below 1024")                                   \
	X(CAP_SYS_NICE, "come before a busy worker in a rescue")                                   \
	X(CAP_SYS_RESOURCE, "raise the limit of descriptors, lock maps in memory before 5.11")

/* Is it effective? By its number, as CAP_BPF. */
bool caps_have(int capability);

/*
 * Drops all others, for good, where we are root; without it they may be meant for the workers. In a
 * sandbox that forbids it all stays as it is.
 */
void caps_limit_to_keeper(void);

/* Drops all, and any way to others, where strangers are listened to. Returns 0 or -errno. */
int caps_drop_all(void);

#endif
