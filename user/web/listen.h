/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where lbctl export may listen: loopback addresses, and Unix sockets. */
#ifndef LISTEN_H
#define LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/trouble.h"
#include "web/server.h"

#define LISTEN_TEXT_BYTES 128

struct listen_place {
	int fd; /* -1 = it is not open */
	bool was_open;
	uint16_t port; /* 0 = a Unix socket */
	struct sockaddr_storage at;
	socklen_t len;
	char text[LISTEN_TEXT_BYTES]; /* http://127.0.0.1:9190/ or unix:/path */
};

struct listen_places {
	struct listen_place at[SERVER_MOST_LISTENERS];
	size_t count;
};

/*
 * The places of a list with commas: addresses as addr_parse() has them, a port alone being that of
 * 127.0.0.1, or unix:PATH. Opens nothing. Returns 0, or EXIT_USAGE with the trouble.
 */
int listen_parse(const char *list, struct listen_places *places, struct trouble *trouble);

/* The path of a Unix socket; NULL of any other place. */
const char *listen_path(const struct listen_place *place);

/*
 * Listens on each; on a Unix socket for its owner and for this group (LB_NO_GROUP = none). A file
 * that nobody listens on any more is replaced. Returns 0, or a status with the trouble; the caller
 * closes and removes the places in either case.
 */
int listen_open(struct listen_places *places, gid_t group, struct trouble *trouble);

void listen_close(struct listen_places *places);

/* Takes the Unix sockets away that were opened, and that nobody is to listen on any more. */
void listen_remove(const struct listen_places *places);

#endif
