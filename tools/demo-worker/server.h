/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One worker: an epoll loop over its listeners, its connections (connection.c) and its signals
 * (SIGTERM and SIGINT: finish and leave; SIGUSR1: accept or not), in one thread.
 */
#ifndef DEMO_SERVER_H
#define DEMO_SERVER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http.h"
#include "listener.h"
#include "options.h"

#define NS_PER_MS 1000000ULL
#define NO_TIME UINT64_MAX

/* What the epoll data pointer points at begins with this. */
enum source {
	SOURCE_SIGNAL,
	SOURCE_LISTENER,
	SOURCE_CONNECTION,
};

enum connection_state {
	CONNECTION_READING,   /* requests are read and answered */
	CONNECTION_WAITING,   /* the answer to /slow is not due yet */
	CONNECTION_CLOSING,   /* what is in out is sent, then closed */
	CONNECTION_LINGERING, /* sent and half-closed; waits until the client has read it */
};

struct connection {
	enum source source;
	int fd; /* -1: closed, freed after this round of events */
	enum connection_state state;
	bool eof;	 /* the client sends no more */
	bool linger;	 /* input was left unread: a plain close would reset the answer */
	uint32_t events; /* that epoll watches */
	uint64_t number;
	uint64_t requests;
	uint64_t body_bytes;	     /* of a request's body still to be skipped */
	uint64_t active_ns;	     /* when it was last answered, or accepted */
	uint64_t deadline_ns;	     /* NO_TIME = none */
	struct http_request delayed; /* valid while CONNECTION_WAITING */
	struct connection *next, **link;
	size_t in_start, in_end, out_start, out_end;
	char in[HTTP_MAX_HEADER];
	char out[8 * HTTP_MAX_RESPONSE];
};

struct server_listener {
	enum source source;
	int fd;
};

struct server {
	const struct demo_options *options;
	int worker;
	int pid;
	long sleep_us;
	int epoll_fd;
	int signal_fd;
	int log_fd;
	enum source signal_source;
	struct server_listener listeners[DEMO_MAX_LISTENERS];
	int nr_listeners;
	struct lbctl_worker *report; /* NULL = does not report */
	bool counting;		     /* reports connections, not fixed loads */
	bool accepting;		     /* wanted; SIGUSR1 turns it */
	bool armed;		     /* the listeners are watched */
	bool draining;
	struct connection *connections, *closed;
	uint64_t open, accepted, requests;
	uint64_t idle_wakeups;			       /* for a listener that had nothing left */
	uint64_t rearm_ns, tick_ns, wake_ns, grace_ns; /* deadlines, or NO_TIME */
};

struct server_setup {
	const struct demo_options *options;
	int worker;
	struct demo_listeners listeners; /* taken over */
	int log_fd;			 /* -1 = none */
	int ready_fd; /* gets one byte when the worker serves, then closed; -1 = none */
};

/*
 * Runs a worker until a signal ends it. The signals must be blocked already. Says on stderr what
 * failed. Return: exit status.
 */
int server_run(const struct server_setup *setup);

/* The signals that a worker handles. */
void server_signals(sigset_t *signals);

/* CLOCK_MONOTONIC. */
uint64_t server_now_ns(void);

/* connection.c: takes fd over, and closes it if there is no memory. */
void connection_accept(struct server *server, int fd);
void connection_event(struct server *server, struct connection *connection, uint32_t events);
void connection_timeout(struct server *server, struct connection *connection);
void connection_drain(struct server *server, struct connection *connection);
void connection_close(struct server *server, struct connection *connection);

#endif
