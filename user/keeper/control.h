/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The client's side of a keeper's control socket: see control.c for the other. */
#ifndef CONTROL_H
#define CONTROL_H

#include <jansson.h>
#include <sys/types.h>
#include <sys/un.h>

#define CONTROL_MOST_BYTES 65536

/* Where the keeper of a service listens. Returns 0 or -ENAMETOOLONG. */
int control_address(const char *name, struct sockaddr_un *at);

/* Connects to the keeper of a service. Returns a descriptor, or -errno (-ENOENT: it has none). */
int control_connect(const char *name);

/* Sends one request. Returns 0, -EMSGSIZE or -errno. */
int control_request(int fd, const json_t *request);

/* Waits for one answer, which is the caller's. Returns 0, -EPIPE (the keeper is gone) or -errno. */
int control_receive(int fd, json_t **value);

/* Has the service's keeper, if there is one, tell at once what was changed. Waits for nobody. */
void control_poke(const char *name);

/* The process id of the service's keeper, 0 if there is none. */
pid_t control_keeper(const char *name);

#endif
