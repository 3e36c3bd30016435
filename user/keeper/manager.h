/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the keeper tells the service manager that started it (sd_notify(3)): ready once all workers
 * are, reloading while one gets a new process, and a status line. Nothing without NOTIFY_SOCKET;
 * each says nothing twice.
 */
#ifndef MANAGER_H
#define MANAGER_H

#include <stdint.h>

#include "keeper/plan.h"

struct manager {
	enum { MANAGER_KNOWS_NOTHING, MANAGER_READY, MANAGER_RELOADING, MANAGER_STOPPING } said;
	char status[256];
};

void manager_status(struct manager *manager, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void manager_ready(struct manager *manager);
void manager_stopping(struct manager *manager);

/* Of the workers of a run, which are so many. */
void manager_tell(struct manager *manager, const struct plan_summary *workers, uint32_t wanted);
/* Of a run with --forks: its main process, and so many workers that this has made. */
void manager_tell_forks(struct manager *manager, const struct plan_summary *mains,
			uint32_t workers);

#endif
