/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Start a worker process: its cgroup, environment, descriptors and output. */
#ifndef SPAWN_H
#define SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "keeper/spawn_spec.h"

struct spawned {
	pid_t pid;
	int pidfd;
	int channel_fd; /* our end of the message channel */
	/*
	 * Readable once it is known whether the program runs: end of file if so, else an int,
	 * -errno: -ENOENT (command not found), -EACCES (not executable), -ESRCH (no such user) and
	 * whatever else exec and what comes before it say, see SPAWN_CWD.
	 */
	int report_fd;
};

/*
 * Raises this process's limit of open files as far as it may go, as it holds a few per worker.
 * Workers get the limit that was there before.
 */
void spawn_raise_file_limit(void);

/*
 * Starts the program in a process group of its own; waits for nothing that it does. Both ends of
 * its message channel stay open in it, so that a dead lbctl is no closed channel; the next one
 * fetches our end with fetch_channel().
 *
 * Returns 0, or -errno, and then nothing runs. The descriptors are the caller's.
 */
int spawn_start(const struct spawn_spec *spec, struct spawned *out);

/*
 * Sends a signal to the process, or with `group` to its group. Without CAP_KILL it is sent as
 * `user` ((uid_t)-1 = none), whom we can become. A process that is not seen in our pid namespace
 * has number 0, by which kill(2) means our own group: that is -ESRCH.
 * Returns 0, -ESRCH, or -EPERM.
 */
int spawn_signal(pid_t pid, bool group, uid_t user, int signal_number);

#endif
