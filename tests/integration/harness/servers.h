/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* nginx and demo workers. */
#ifndef HARNESS_SERVERS_H
#define HARNESS_SERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct nginx {
	pid_t pid;
	size_t log_start; /* where nginx_log_counts() begins to read */
};

#define NGINX_WORKERS 4

/*
 * Starts nginx with four workers and these `listen` lines; every answer carries the worker's pid
 * as X-Worker. `probe` is an address (as in a client_plan) to wait for.
 */
void nginx_start(struct nginx *nginx, const char *listens, const char *probe, uint16_t port);
void nginx_stop(struct nginx *nginx);
void nginx_reload(const struct nginx *nginx);
/* Fills pids and returns how many workers there are now (at most max are filled). */
size_t nginx_workers(const struct nginx *nginx, pid_t *pids, size_t max);
/* From now on the log counts; then requests per pid, in the order of pids. Returns the sum. */
void nginx_log_mark(struct nginx *nginx);
size_t nginx_log_counts(const struct nginx *nginx, const pid_t *pids, unsigned int *counts,
			size_t n);

#define DEMO_MAX_ARGS 24
struct demo {
	pid_t pid;
	int worker;
};

/* Starts a demo worker with this number (-1: it has none) and waits until it serves. */
void demo_start(struct demo *demo, int worker, ...) __attribute__((sentinel));
/* Workers 0 .. n - 1, one process each, all with the same arguments; listening on listen. */
void demo_start_many(struct demo *demos, int n, const char *listen);
/* Sends the signal and waits until the process is gone. */
void demo_kill(struct demo *demo, int signal);

/* needs_node() skips the test, so that it is counted, where there is no Node.js. */
bool has_node(void);
void needs_node(void);
/* By reusePort: from 22.12 and 23.1 on. */
bool node_sets_reuseport(void);

#endif
