/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The connections of HTTP, of which there are so many at most. Where one comes too many, the one
 * that has asked for nothing for the longest time is hung up on: clients that connect and are
 * silent keep nobody out.
 */
#ifndef CONNS_H
#define CONNS_H

#include <stdbool.h>
#include <stddef.h>

#include "web/mhd.h"

#define CONNS_MOST 64

struct conns {
	struct conn *newest;
	size_t count;
};

/* For MHD_OPTION_NOTIFY_CONNECTION, with a struct conns. */
void conns_on_notify(void *conns, struct MHD_Connection *connection, void **context,
		     enum MHD_ConnectionNotificationCode code);

/* Is an answer being made, or sent without end, on it? Then it stays. */
void conns_set_busy(struct MHD_Connection *connection, bool busy);

/*
 * Hangs up on the idlest one if there are CONNS_MOST; libmicrohttpd lets go of it the next time
 * that it runs. False: all are busy.
 */
bool conns_make_room(struct conns *conns);

#endif
