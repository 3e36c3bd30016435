/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A command of lbctl that runs beside who asked for a change, in a process of its own: it may wait
 * for a lock or for workers, and says what came of it as it does for everybody.
 */
#ifndef CHANGE_JOB_H
#define CHANGE_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CHANGE_SAID_BYTES 1024

struct change_job {
	pid_t pid;
	int fd;			      /* what it prints; -1 = there is no job */
	char said[CHANGE_SAID_BYTES]; /* so far, its beginning; a line once it has ended */
	size_t bytes;
};

/*
 * Starts lbctl with these words, the first being its own name; signals that this process blocks are
 * not blocked there. Returns 0, after which change_job_end() is to follow, or -errno.
 */
int change_job_start(struct change_job *job, char *const argv[]);

/* Reads what it has printed, once `fd` can be read. Returns true when it prints no more. */
bool change_job_read(struct change_job *job);

/* Waits for its end. Returns its exit status. */
int change_job_end(struct change_job *job);

/* Lets go of one that is still running. */
void change_job_leave(struct change_job *job);

#endif
