/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reading what /proc has of one process. */
#ifndef PROC_FILE_H
#define PROC_FILE_H

#include <stddef.h>
#include <sys/types.h>

#define PROC_STAT_BYTES 2048 /* of /proc/PID/stat: 52 numbers and a name */

/*
 * Reads /proc/PID/NAME, len - 1 bytes of it at most, and puts a NUL behind them. Returns how many
 * there are, -ESRCH (no such process) or -errno; then `out` is "".
 */
ssize_t proc_file_read(pid_t pid, const char *name, char *out, size_t len);

#endif
