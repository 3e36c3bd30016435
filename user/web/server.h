/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The process of lbctl export that answers HTTP. It has no rights at all: what strangers send is
 * read here, and what it says comes from the other process, over a socket.
 */
#ifndef SERVER_H
#define SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SERVER_MOST_LISTENERS 8
#define SERVER_HEADER_BYTES 16384 /* a connection's memory, all headers of a request included */
#define SERVER_IDLE_SEC 10	  /* until who is silent is hung up on */

struct server_config {
	int listeners[SERVER_MOST_LISTENERS]; /* non-blocking */
	size_t nr_listeners;
	int reader_fd; /* to the other process */
	const char *hosts;
	bool changes;
	uid_t uid; /* what root becomes */
	gid_t gid;
};

/* Gives up all rights and answers until the other process is gone. Returns 0 or -errno. */
int server_run(const struct server_config *config);

#endif
