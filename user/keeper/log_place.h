/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where the workers' output goes, for who wants to read it: in /run/lbctl/NAME.logs, so that it can
 * be found when the keeper is dead, too.
 */
#ifndef LOG_PLACE_H
#define LOG_PLACE_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

struct log_place {
	enum log_kind {
		LOG_ELSEWHERE, /* a terminal, a pipe: what went there is gone */
		LOG_DIRECTORY, /* a file for each worker, log_place_path() */
		LOG_FILE,      /* one file for all of them, and lbctl run */
		LOG_JOURNAL,   /* of systemd, for a unit */
	} kind;
	char where[PATH_MAX]; /* the directory, the file, the unit */
};

/* The log file of a worker in the directory of --log-dir. */
void log_place_path(const char *directory, const char *name, uint32_t worker, char out[PATH_MAX]);

/* The unit of systemd whose journal has what we print; "" if that is not so. */
void log_place_unit(char *out, size_t len);

/*
 * Notes where the workers that this process starts print to: `directory` is that of --log-dir, or
 * NULL: to where we do. Only for who holds the lock.
 */
void log_place_note(const char *name, const char *directory);

/* What was noted last. Returns 0, or -ENOENT where nothing was. */
int log_place_read(const char *name, struct log_place *place);

#endif
