/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The log file of a worker, opened by its process before it becomes the worker's user. */
#ifndef LOG_OPEN_H
#define LOG_OPEN_H

/*
 * Opens it to append, by its path each time, so that one that was renamed is made again. Where
 * others could change where the path leads, it is opened with the rights of `user`, who could do as
 * much by himself; the groups of the process are his then. Returns a descriptor, -EMLINK (not a
 * plain file of one name), -EXDEV (others could change the path, and `user` is NULL) or -errno.
 */
int log_open(const char *path, const char *user);

#endif
