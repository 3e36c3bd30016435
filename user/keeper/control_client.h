/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The commands' side of a keeper's control socket: see control.h for the other. */
#ifndef CONTROL_CLIENT_H
#define CONTROL_CLIENT_H

#include <jansson.h>
#include <sys/types.h>
#include <sys/un.h>

#define CONTROL_MOST_BYTES 65536

/* Where the keeper of a service listens: for packets, or for lines. Returns 0 or -ENAMETOOLONG. */
#define CONTROL_PACKETS "sock"
#define CONTROL_LINES "stream"
int control_address(const char *name, const char *ending, struct sockaddr_un *at);

/* Connects to the keeper of a service. Returns a descriptor, or -errno (-ENOENT: it has none). */
int control_connect(const char *name);

/* The same, which never waits: -EAGAIN where its keeper takes nobody, and so does what follows. */
int control_connect_now(const char *name);

/* Sends one request. Returns 0, -EMSGSIZE or -errno. */
int control_request(int fd, const json_t *request);

/* Waits for one answer, which is the caller's. Returns 0, -EPIPE (the keeper is gone) or -errno. */
int control_receive(int fd, json_t **value);

/* One more change for control_tell(): an event of this type, with details (taken over, or NULL). */
void control_add_change(json_t *changes, const char *type, json_t *details, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * Has the service's keeper, if there is one, tell of changes that were made: an array, which is
 * taken over. Waits for nobody.
 */
void control_tell(const char *name, json_t *changes);

/* The process id of the service's keeper, 0 if there is none. */
pid_t control_keeper(const char *name);

#endif
