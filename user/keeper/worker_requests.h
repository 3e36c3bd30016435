/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What workers ask the keeper for by its control socket: to join, and to take their reports. */
#ifndef WORKER_REQUESTS_H
#define WORKER_REQUESTS_H

#include "keeper/control.h"

/* Verbs of request_verbs, see control.h. A report that is taken has no answer. */
void worker_request_join(void *keeper, struct client *client, const json_t *request, int *passed);
void worker_request_load(void *keeper, struct client *client, const json_t *request, int *passed);
void worker_request_heartbeat(void *keeper, struct client *client, const json_t *request,
			      int *passed);

#endif
