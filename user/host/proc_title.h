/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a process says of itself, beyond its program's name: which one of several it is. */
#ifndef PROC_TITLE_H
#define PROC_TITLE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Enough for "gunicorn: worker [app:wsgi]"; a longer one is cut. */
#define PROC_TITLE_BYTES 64

/*
 * The number that Node.js's cluster gave it ("cluster worker 3", from its environment), else the
 * title that it gave itself ("puma: cluster worker 0: 4711 [app]": a command line whose first word
 * has a space), as text.h writes it. Returns false, and "", when it has neither or can't be read.
 */
bool proc_title(pid_t pid, char out[PROC_TITLE_BYTES]);

/* The same of the bytes of /proc/PID/environ and /proc/PID/cmdline. */
bool proc_title_of(const char *environment, size_t nr_environment, const char *words,
		   size_t nr_words, char out[PROC_TITLE_BYTES]);

#endif
