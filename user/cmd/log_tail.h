/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Log files as they are shown: their last lines, and what is appended from then on, also after they
 * were renamed or truncated. Knows no worker and prints nothing.
 */
#ifndef LOG_TAIL_H
#define LOG_TAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LOG_LINE_MOST 16384 /* bytes; what is longer comes as several lines */

/* A line without its end, which may hold any byte. */
typedef void (*log_line_fn)(void *arg, uint32_t worker, const char *line, size_t len);

struct log_part {
	int fd; /* -1 = none */
	off_t at;
	char *line; /* what has come of the line that has no end yet */
	size_t len;
};

struct log_tail {
	uint32_t worker;
	char *path;
	log_line_fn line;
	void *arg;
	struct log_part now;
	struct log_part
		before; /* the same path's, renamed: processes that are older write on there */
};

/*
 * The file need not be there yet; whoever owns its directory may have put there what is no plain
 * file, and that is not read. Returns 0 or -ENOMEM; log_tail_close() is to follow in any case.
 */
int log_tail_open(struct log_tail *tail, const char *path, uint32_t worker, log_line_fn line,
		  void *arg);

/* 0, or why there was no file to read: -EINVAL where it is not plain, -EACCES, another -errno. */
int log_tail_error(const struct log_tail *tail);

/* Tells the last `lines` lines that there are now. */
void log_tail_last(struct log_tail *tail, uint64_t lines);

/* Tells what has come since. */
void log_tail_follow(struct log_tail *tail);

/* Tells what has no end yet, as lines, and lets go of the file; once more does nothing. */
void log_tail_close(struct log_tail *tail);

#endif
