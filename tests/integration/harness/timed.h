/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Clients of a port of 127.0.0.1 that measure their answers, each worker's by itself. A request
 * begins while it is sent, its answer when the kernel has its first byte: so there is a least and
 * a most, which differ only where the test lost the CPU in between.
 */
#ifndef HARNESS_TIMED_H
#define HARNESS_TIMED_H

#include <stddef.h>
#include <stdint.h>

#define TIMED_WORKERS 4
#define TIMED_MAX 4096

struct timed_plan {
	uint16_t port; /* 0 = 8080 */
	unsigned int connections, at_once;
	unsigned int requests; /* of each connection; one that makes one closes it then */
};

/* Of each worker: its connections, its answers, and what they took at least and at most, sorted. */
struct timed {
	unsigned int connections[TIMED_WORKERS];
	size_t answers[TIMED_WORKERS];
	uint64_t least_ns[TIMED_WORKERS][TIMED_MAX], most_ns[TIMED_WORKERS][TIMED_MAX];
};

/* Adds to what is there; fails the test where a request has no answer. */
void timed_run(struct timed *timed, struct timed_plan plan);
/* What `percent` of so many did not exceed. */
uint64_t timed_quantile(const uint64_t *sorted_ns, size_t n, unsigned int percent);

#endif
