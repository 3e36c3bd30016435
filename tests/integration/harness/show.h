/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `show --json`, read into numbers. */
#ifndef HARNESS_SHOW_H
#define HARNESS_SHOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lb_abi.h"

struct show_worker {
	pid_t pid;
	char state[16];
	unsigned int weight, limit, live, half_open, queued;
	uint64_t selected, skipped, migrated_in, migrated_out;
};

struct show {
	size_t nr_workers, nr_listeners;
	struct show_worker worker[LB_MAX_WORKERS];
	char policy[32];
	uint64_t decisions, fallback, migrated;
	unsigned int unregistered;
};

void show_read(const char *service, struct show *show);
/* The same where there may be no service: then false. */
bool show_try(const char *service, struct show *show);

#endif
