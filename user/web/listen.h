/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where lbctl export may listen: loopback addresses, and Unix sockets. */
#ifndef LISTEN_H
#define LISTEN_H

#include <stddef.h>
#include <sys/types.h>

#include "base/trouble.h"
#include "web/server.h"

#define LISTEN_TEXT_BYTES 128

struct listen_place {
	int fd;
	char text[LISTEN_TEXT_BYTES]; /* http://127.0.0.1:9190/ or unix:/path */
};

struct listen_places {
	struct listen_place at[SERVER_MOST_LISTENERS];
	size_t count;
};

/*
 * Listens on each address of a list with commas: as addr_parse() has them, a port alone being that
 * of 127.0.0.1, or unix:PATH, for its owner and for this group (LB_NO_GROUP = none). A file that
 * nobody listens on any more is replaced. Returns 0, or a status with the trouble; the caller
 * closes and removes the places in either case.
 */
int listen_open(const char *list, gid_t group, struct listen_places *places,
		struct trouble *trouble);

void listen_close(struct listen_places *places);

/* Takes the Unix sockets away, which nobody is to listen on any more. */
void listen_remove(const struct listen_places *places);

#endif
