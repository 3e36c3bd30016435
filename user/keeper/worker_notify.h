/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The socket behind the workers' NOTIFY_SOCKET: what they say in the words of sd_notify(3),
 * READY=1, STOPPING=1, WATCHDOG=1. Whoever sends is known by its credentials.
 */
#ifndef WORKER_NOTIFY_H
#define WORKER_NOTIFY_H

#include <sys/types.h>
#include <systemd/sd-event.h>

struct worker_notify;

/*
 * Opens it at a path. `user` alone may send ((uid_t)-1 = everybody: a worker may become whom it
 * likes). `take` gets each line and the process that sent it. Returns 0 or -errno.
 */
int worker_notify_open(sd_event *loop, const char *path, uid_t user,
		       void (*take)(void *arg, pid_t pid, const char *line), void *arg,
		       struct worker_notify **out);
void worker_notify_close(struct worker_notify *notify);

#endif
