/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a service with latency=on has measured. */
#ifndef HARNESS_MEASURED_H
#define HARNESS_MEASURED_H

#include <stddef.h>
#include <stdint.h>

#include "lb_abi.h"

#define MEASURED_WORKERS 4

/* Skips the test, so that it is counted, where the kernel refuses the programs. */
void needs_latency(void);

/* Of tests that compare times with those of clients, which wait for a CPU, too. */
void needs_own_pace(void);

/* Of each of the first workers, over its slots. */
void measured_read(const char *service, struct lb_latency sums[MEASURED_WORKERS]);

/* The worker that has the slot: of those that start at once either may be the first. */
uint32_t measured_worker(const char *service, uint32_t slot);

/* How many values all of them have: MEASURED("web", first_byte). */
#define MEASURED(service, time) measured_total(service, offsetof(struct lb_latency, time))
uint64_t measured_total(const char *service, size_t offset);

/*
 * Fails the test unless there were so many connections, which have ended, and answers; an answer is
 * on its way before it is counted, and a connection ends later.
 */
void measured_expect(const char *service, uint64_t connections, uint64_t answers);

/* Fails the test unless it is what the clients measured, at least and at most, up to 5 %. */
void measured_expect_near(const char *what, int worker, uint64_t got_ns, uint64_t least_ns,
			  uint64_t most_ns);

#endif
