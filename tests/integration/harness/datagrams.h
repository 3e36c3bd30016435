/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What tests of UDP share: workers that answer a datagram with their number, and clients that take
 * a new socket, and so a new flow, for each.
 */
#ifndef HARNESS_DATAGRAMS_H
#define HARNESS_DATAGRAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WORKERS 4
#define PORT 8080
#define ANSWER_MS 5000

extern pid_t udp_pids[WORKERS];

enum kind {
	ONLY4 = 1,
	ONLY6 = 2,
	DUAL = 4, /* IPv6 that takes IPv4 */
	AND_TCP = 8,
	SHORT = 16, /* little room for what is unread */
};

/* A socket of the group, whose reads end after 50 ms; -1 = it can't be had. */
int udp_bound(int family, int type, bool v6only);
/* Unconnected sockets on PORT. */
size_t udp_unconnected(void);
/* Starts a worker; its sockets are bound when this returns. */
void udp_worker_start(int number, int kind);
/* SIGTERM: it answers what has come. */
void udp_worker_end(int number, int with);
/* All workers, attached as service dns. */
void udp_start(int kind, const char *policy);

/* Bound to an address of its own (IPv4, host order) and port, if not 0. */
int udp_client(uint32_t address, uint16_t port);
void udp_say(int fd, bool v6, size_t bytes);
void udp_say_text(int fd, bool v6, const char *text);
/* The number of the worker that answers; -1: none does. */
int udp_hear(int fd);
/* Fails the test without an answer. */
int udp_ask_on(int fd);
/* From a new socket; -1: no answer. */
int udp_ask(bool v6);
/* n datagrams, each from a new socket: who answers. */
void udp_expect(unsigned int n, bool v6, const unsigned int want[WORKERS]);

/*
 * A process that sends a number every 4 ms, whether the last was answered or not; an answer is "WHO
 * NUMBER".
 */
#define UDP_STREAM_MOST 65536
struct udp_stream {
	volatile bool stop;
	pid_t pid;
	unsigned int sent, answered;
	bool got[UDP_STREAM_MOST];
};
struct udp_stream *udp_stream_start(void);
/* Waits for what is to come, prints and returns how many had no answer. Frees the stream. */
unsigned int udp_stream_stop(struct udp_stream *stream);

#endif
