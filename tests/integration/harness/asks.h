/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Processes of user nobody that talk to the keeper of service "web" on port 8080, by hand. What
 * asks and listens runs in an attack (attacks.h), which it ends, failed, where it is not answered
 * as it wants.
 */
#ifndef HARNESS_ASKS_H
#define HARNESS_ASKS_H

#include "harness/runs.h"

#define NUMBER 18 /* of the socket that is to join */

/* A watched service whose first socket is nobody's: those of one group are of one user. */
void asks_watch(struct run *run);
void asks_end_watch(struct run *run);

/* Connected to the keeper, for packets or for lines. */
int by_packets(void);
int by_lines(void);
/* Has a socket of the service's port under this number. */
void be_listener(int number);
void listen_only(void);

void say(int fd, const char *text);
/* The status of the next answer, -1 = the keeper has hung up, -2 = it makes no sense. */
int hear(int fd, char text[4096]);
/* The next answer has this status and these words; and that to a request. */
void answered(int fd, int status, const char *words);
void asked(int fd, const char *request, int status, const char *words);
/* {"join":{"fd":18}}, and becomes worker 1. */
void join_as_18(int fd);

#endif
