/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What tests of joining share: service "web" on port 8080, watched, and both ends of its socket. */
#ifndef HARNESS_JOINS_H
#define HARNESS_JOINS_H

#include "harness/runs.h"
#include "harness/servers.h"
#include "lbctl.h"

#define JOINS_SOCKET FILES_DIR "/web.sock"

/* A test's setup: workers ask for "web", and the keeper alone can give them a load page. */
int joins_begin(void **state);
int joins_end(void **state);

/* A worker of user nobody that joins and reports a load of its own: 10, 20, 30, 40. */
void joins_demo(struct demo *demo, int worker);

/* `lbctl watch` of the service; group nogroup may join. */
void joins_keep(struct run *run);
/* The same for a new service, of one worker, 0, which is attached. */
void joins_watch(struct run *run, struct demo *demo, const char *policy);
/* A watched service outlives its keeper; the next test's must not be this one. */
void joins_end_watch(struct run *run);

/* A listening socket with SO_REUSEPORT, bound to the device unless that is NULL. */
int joins_listen(const char *host, uint16_t port, const char *device);
/* One on port 8080 of another network namespace, which has nothing else. */
int joins_listen_elsewhere(void);
/* How many sockets listen on port 8080. */
size_t joins_listening(void);

/* Joins with the socket; fails the test if it can't. */
struct lbctl_worker *joins_take(int fd);
/* Must fail, with this errno and these words. */
void joins_refuse(const char *name, int fd, int err, const char *words);

/* A connection to the keeper; packets over it, with `n` descriptors. */
int joins_connect(void);
void joins_send(int fd, const void *bytes, size_t len, const int *fds, size_t n);
/* The status of the answer to one packet; -1 = there is none. */
int joins_ask(const char *packet, const int *fds, size_t n);

#endif
