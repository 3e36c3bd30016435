/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a process is kept from running by cpu.max of its cgroup (v2), or of one above: the kernel
 * stops all that is in it until the period is over, and counts that.
 */
#ifndef THROTTLE_H
#define THROTTLE_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define THROTTLE_PATH_BYTES 256

struct throttle {
	char cgroup[THROTTLE_PATH_BYTES]; /* that has the limit, "" = none has */
	uint64_t periods, throttled;	  /* of the former it was throttled in so many */
	uint64_t throttled_us;		  /* for so long, added up over the CPUs */
};

/* Of a process. Where it can't be read, there is no limit. */
void throttle_read(pid_t pid, struct throttle *out);

/*
 * Of a cgroup, the folder `dir`, and those above it as far as `root`, which `dir` begins with: of
 * several that have a limit the deepest that was ever throttled, else the deepest.
 */
void throttle_read_tree(const char *root, const char *dir, struct throttle *out);

/* A text like cpu.stat. Returns 0 or -EBADMSG, and then nothing is set. */
int throttle_parse(FILE *file, struct throttle *out);

#endif
