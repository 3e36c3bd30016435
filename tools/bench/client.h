/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One connection of the load generator at a time, and the request on it. Used by load.c only. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include "answer.h"
#include "load.h"
#include "rng.h"

#define CLIENT_NO_WORKER (-1)

enum client_state {
	CLIENT_IDLE,	/* may begin a request; an open connection may wait with it */
	CLIENT_WAITING, /* will be idle at due_ns */
	CLIENT_CONNECTING,
	CLIENT_SENDING,
	CLIENT_READING,
	CLIENT_HELD,	 /* answered, and keeps its connection until due_ns */
	CLIENT_FINISHED, /* closed loop: has done all of its requests */
};

struct client {
	enum client_state state;
	int fd; /* -1 = none */
	int worker;
	uint32_t events;   /* that epoll watches */
	bool reused;	   /* this request is not the first on its connection */
	uint64_t begin_ns; /* when the request was due */
	uint64_t due_ns;
	uint64_t timeout_ns;
	uint64_t left; /* requests of this user */
	size_t target;
	size_t sent;
	struct answer answer;
	struct client *next; /* in one of the lists of a run */
};

struct run {
	const struct load_plan *plan;
	struct load_result *result;
	int epoll_fd;
	struct client *clients;
	size_t nr_clients;
	size_t active;		   /* closed loop: that have not finished */
	struct client *idle;	   /* last in, first out: open connections are used again */
	uint64_t begin_ns, end_ns; /* end_ns: no request begins from then on */
	uint64_t last_ns;	   /* when the last request ended */
	uint64_t arrival_ns;	   /* open loop: when the next request is due */
	uint64_t wake_ns, scan_ns, tick_ns;
	bool burst_done;
	struct rng rng;
	struct rng arrivals;
	char buffer[65536];
};

uint64_t client_now_ns(void);

/* Begins a request that was due at due_ns. It ends, soon or later, in run_ended(). */
void client_begin(struct run *run, struct client *client, uint64_t due_ns);
/* The same on a held connection, for a target that need not be its turn. */
void client_ask(struct run *run, struct client *client, size_t target, uint64_t due_ns);
void client_event(struct run *run, struct client *client, uint32_t events);
void client_timeout(struct run *run, struct client *client);
/* Closes the connection, if there is one. */
void client_close(struct run *run, struct client *client);

/*
 * load.c: a request has ended, well or not; the client's connection may be open still. pause: the
 * server is not there, so trying again at once would only spin.
 */
void run_ended(struct run *run, struct client *client, bool pause);

#endif
