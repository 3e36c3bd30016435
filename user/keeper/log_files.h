/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SIGUSR1: says which workers write to log files that were renamed. */
#ifndef LOG_FILES_H
#define LOG_FILES_H

#include "keeper/parts.h"

/* Looks in a child, as a file system may make it wait. */
void log_files_check(struct keeper *keeper);

#endif
