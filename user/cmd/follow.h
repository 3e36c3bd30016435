/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The events of all services, from their keepers, as lbctl events has them of one. */
#ifndef FOLLOW_H
#define FOLLOW_H

#include <jansson.h>
#include <stddef.h>

#define FOLLOW_MOST 64	  /* services at a time */
#define FOLLOW_EVENTS 512 /* kept until they are taken; the oldest go */

struct follow {
	struct followed {
		char *name;
		int fd;
	} services[FOLLOW_MOST];
	size_t count;
	json_t *events;
};

/* Begins with that service, if it is not followed yet and its keeper answers; waits for nobody. */
void follow_add(struct follow *follow, const char *name);

/*
 * What has come, in the order of services, the caller's: events of lbctl-json(5) with the key
 * "service". NULL without memory.
 */
json_t *follow_take(struct follow *follow);

void follow_end(struct follow *follow);

#endif
