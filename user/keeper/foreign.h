/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Another BPF program than ours, or none, on the sockets of a service: who holds a socket of the
 * group can do that, as any process with the workers' user id can. It is counted, told, and put
 * back.
 */
#ifndef FOREIGN_H
#define FOREIGN_H

#include <stdbool.h>
#include <stdint.h>

#include "keeper/event_log.h"
#include "keeper/own.h"
#include "service/attach.h"

struct foreign {
	bool now;	     /* as of the last look */
	uint32_t id;	     /* the program's; 0 = none */
	uint32_t counted_id; /* the last one that was counted ... */
	uint64_t times;	     /* ... so often in a row */
	bool to_tell;	     /* once ours is put back */
};

/*
 * Whose program is on the groups? Sets `now` and `id`, and returns `now`. Of a service that had no
 * socket for a while there may be none to look at.
 */
bool foreign_look(struct foreign *foreign, const struct state *state);

/* Counts that it is so now. */
void foreign_count(struct foreign *foreign, const struct state *state);

/*
 * For a child, as it looks into all processes: who holds sockets of the ports and is no worker, as
 * `is_worker` says.
 */
void foreign_find_others(const struct own_port *ports, uint32_t count,
			 bool (*is_worker)(const void *arg, pid_t pid), const void *arg,
			 struct attach_result *result);

/* Ours is back: tells so, the first time, the tenth, the hundredth ... `advice` may be NULL. */
void foreign_tell(struct foreign *foreign, struct event_log *log, const char *advice,
		  const struct attach_result *result);

#endif
