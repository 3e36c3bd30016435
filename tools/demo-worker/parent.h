/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Several workers: a parent that starts them, passes signals on and waits. */
#ifndef DEMO_PARENT_H
#define DEMO_PARENT_H

#include "options.h"

/* One worker's life; runs in the child. ready_fd: see server.h. Return: its exit status. */
typedef int (*parent_worker)(const struct demo_options *options, int index, int ready_fd);

/*
 * Starts options->workers children; if one of them fails to start, stops the others. The signals
 * of server_signals() must be blocked. before_wait is called in the parent once all are started,
 * to let go of what only they need. Return: exit status, 0 if no child exited with another.
 */
int parent_run(const struct demo_options *options, parent_worker worker, void (*before_wait)(void));

#endif
