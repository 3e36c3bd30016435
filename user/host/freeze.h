/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Holds processes still for a moment, by ptrace: if the holder dies the kernel lets them go on,
 * which it does for no other way of stopping. Who was stopped already stays so afterwards.
 */
#ifndef FREEZE_H
#define FREEZE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct frozen_thread {
	pid_t tid;
	pid_t pid;
	bool stopped;
	int signal; /* that was about to be delivered when it stopped */
};

struct freeze {
	struct frozen_thread *threads;
	size_t count;
};

/*
 * Stops all threads of the processes. The caller is their tracer then and must be a process of its
 * own: a thread that sleeps in the kernel is let go only when it wakes up or the caller ends.
 * Returns 0, -EPERM (no CAP_SYS_PTRACE, or somebody else traces one), -EBUSY (not within 100 ms),
 * -ENOMEM or -errno. End with freeze_end(), also after an error.
 */
int freeze_begin(struct freeze *freeze, const pid_t *pids, size_t n);
void freeze_end(struct freeze *freeze);

/* Are all threads of the process stopped by someone? */
bool freeze_is_stopped(pid_t pid);

#endif
