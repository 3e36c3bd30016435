/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* siege and wrk. */
#ifndef HARNESS_LOAD_H
#define HARNESS_LOAD_H

#include "harness/commands.h"

struct siege {
	unsigned int transactions;
	double availability;
};
void siege_run(struct siege *siege, const char *url, const char *concurrency, const char *repeat);

/* Whoever makes load takes all that is left of a slow machine, and no more. */
void load_steps_back(const struct job *job);

struct wrk {
	unsigned long requests, socket_errors, bad_answers, longest_us;
	char errors[96]; /* by kind */
};
/* wrk with one connection per request; wrk_stop() ends it early, wrk_wait() waits for its end. */
#define WRK_UNTIL_STOPPED 2000 /* seconds */
void wrk_start(struct job *job, const char *url, const char *connections, int seconds);
void wrk_stop(const struct job *job);
void wrk_wait(struct job *job, struct wrk *wrk);
/* No error, no answer but 2xx, and at least one request. */
void wrk_expect_no_failure(const struct wrk *wrk);

#endif
