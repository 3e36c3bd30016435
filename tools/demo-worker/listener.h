/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Listening sockets: opened here, or inherited by the socket-activation protocol. */
#ifndef DEMO_LISTENER_H
#define DEMO_LISTENER_H

#include <stddef.h>

#include "options.h"

struct demo_listeners {
	int fds[DEMO_MAX_LISTENERS];
	int nr;
};

/*
 * Opens what options ask for, or takes what LISTEN_FDS gives. Says on stderr what failed. Return:
 * 0 or -errno; listeners_close() in both cases.
 */
int listeners_open(struct demo_listeners *listeners, const struct demo_options *options);

/* The same for the sockets of LISTEN_FDS only; 0 with nr = 0 when there are none. */
int listeners_inherit(struct demo_listeners *listeners, const struct demo_options *options);

/*
 * The next connection of a listener, or with options->receive the next that was handed in through
 * a Unix socket. Return: its descriptor, non-blocking, or -1 with errno as accept(2); EINVAL when
 * there will be none any more. *peer is left as it was where the address is not known.
 */
int listener_accept(int fd, const struct demo_options *options, struct sockaddr_storage *peer);

void listeners_close(struct demo_listeners *listeners);

/* "127.0.0.1:8080"; port 0 was replaced by what the kernel chose. */
void listener_name(int fd, char *text, size_t size);

#endif
