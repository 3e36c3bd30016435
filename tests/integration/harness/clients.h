/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* HTTP clients that know who answered. */
#ifndef HARNESS_CLIENTS_H
#define HARNESS_CLIENTS_H

#include <stddef.h>
#include <stdint.h>

struct client_plan {
	const char *to;	  /* numeric; NULL = 127.0.0.1 */
	const char *from; /* NULL = any */
	uint16_t port;	  /* 0 = 8080 */
	unsigned int connections;
	unsigned int at_once; /* 0 = 1: one after another */
	int deadline_ms;      /* 0 = 10 s */
};

#define CLIENTS_MAX 4096

struct clients {
	unsigned int answered, failed, waiting;
	int worker[CLIENTS_MAX]; /* X-Worker by connection in order of their start; -1 = none */
	struct client *open;	 /* while they run */
	int epoll;
	uint64_t longest_ns; /* from connect to the end of the answer */
	struct client_plan plan;
	unsigned int started;
};

/* Opens all connections and sends requests, then returns: answers wait for clients_finish(). */
void clients_begin(struct clients *clients, struct client_plan plan);
/* Takes answers until only `waiting` connections have none; fails the test at the deadline. */
void clients_collect(struct clients *clients, unsigned int waiting);
/* Takes all answers; what has none at the deadline has failed. */
void clients_finish(struct clients *clients);
/* Closes what is open, unanswered. */
void clients_abandon(struct clients *clients);
/* All of it; fails the test unless every connection was answered. */
void clients_run(struct clients *clients, struct client_plan plan);
unsigned int clients_of(const struct clients *clients, int worker);
/* Fails the test unless workers 0 .. n - 1 answered this many connections each. */
void clients_expect(const struct clients *clients, size_t n, const unsigned int *want);

#endif
