/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What runs of a service that a file describes, and whose it is: /run/lbctl/NAME.applied names the
 * file that it was started from last.
 */
#ifndef RUNNING_H
#define RUNNING_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/parse.h"

struct running {
	pid_t keeper;	  /* 0 = none lives */
	bool left;	  /* one has lived, and its workers may */
	bool attached;	  /* made by lbctl attach, or nobody's who keeps it */
	char *file;	  /* that it was started from; NULL = started in another way */
	bool half;	  /* that was begun and not ended */
	uint32_t workers; /* there are to be; 0 = not known */
	char **argv;	  /* of its keeper, kept_read(); NULL = none or not known */
	char directory[PATH_MAX];
};

/*
 * How many workers the keeper of a `run` is to have, scaled or not: those with lower numbers, while
 * others may have been attached by hand. Waits so long for its answer, -1 = until it comes. 0 = not
 * known.
 */
uint32_t running_workers(const char *name, int most_ms);

/* running_free() is to follow. */
void running_read(const char *name, struct running *running);
void running_free(struct running *running);

/* Notes that the service is started from this file: it begins, or all of it has been done. */
void running_note(const char *name, const char *file, bool done);

/*
 * Names of services that were started from this file; to be freed. Notes of those of which nothing
 * runs are removed. Returns how many, or -errno.
 */
int running_of_file(const char *file, char (**names)[LB_NAME_MAX + 1]);

#endif
