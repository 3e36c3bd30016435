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

/* Is the capability with this number effective? Without /proc: no. */
bool caps_have(int number);

#endif
