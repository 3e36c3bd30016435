/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the command line asks of a demo worker. Filled once, read-only afterwards. */
#ifndef DEMO_OPTIONS_H
#define DEMO_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define DEMO_MAX_LISTENERS 8
#define DEMO_MAX_WORKERS 1024

struct demo_address {
	struct sockaddr_storage sockaddr;
	socklen_t len;
};

struct demo_slow {
	long worker;
	long sleep_us;
};

struct demo_options {
	struct demo_address addresses[DEMO_MAX_LISTENERS];
	int nr_addresses;
	int backlog;
	int workers;
	long work_us;  /* CPU time burnt per request */
	long sleep_us; /* time slept per request */
	struct demo_slow slow[DEMO_MAX_WORKERS];
	int nr_slow;
	uint64_t loads[DEMO_MAX_WORKERS]; /* reported as they are; worker w takes w modulo nr */
	int nr_loads;
	int grace_ms;
	int batch; /* connections taken per wake-up */
	bool reuseport;
	bool dual; /* [::] takes IPv4 too */
	bool report;
	bool join;
	bool accept;
	bool shared;	/* one socket for all workers */
	bool exclusive; /* EPOLLEXCLUSIVE */
	bool receive;	/* the inherited sockets are not listeners: connections come through them */
	bool quiet;
	const char *log_path; /* NULL = none */
	const char *user;     /* NULL = stay */
};

/*
 * Says on stderr what is wrong. Return: -1 to go on, else the exit status (0 after --help, 2 for
 * wrong usage).
 */
int options_parse(struct demo_options *options, int argc, char **argv);

/* How long worker sleeps per request, in microseconds. */
long options_sleep_us(const struct demo_options *options, int worker);

#endif
