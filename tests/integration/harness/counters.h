/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every counter: the service's, from its pinned maps, and the kernel's. */
#ifndef HARNESS_COUNTERS_H
#define HARNESS_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lb_abi.h"

#define COUNTERS_SLOTS 16

/* Every counter of a service; as a difference, what a test expects. */
struct counters {
	uint64_t sent_again; /* TCP segments here, by the kernel's count */
	uint64_t cursor;
#define X(field, help) uint64_t field;
	LB_COUNTERS(X)
#undef X
#define X(field, help) uint64_t field[COUNTERS_SLOTS];
	LB_SLOT_COUNTERS(X)
#undef X
};

void counters_read(const char *service, struct counters *counters);
/*
 * Fails the test with every field that differs unless the counters have grown by exactly `want`
 * since `before`. Look-ups by segments that were sent again may come on top, and some by races of
 * the kernel's: ack_recent and ack_stray.
 */
#define counters_expect(service, before, ...)                                                      \
	counters_compare(service, before, &(const struct counters){ __VA_ARGS__ }, __FILE__,       \
			 __LINE__)
void counters_compare(const char *service, const struct counters *before,
		      const struct counters *want, const char *file, int line);
uint64_t counters_selected(const struct counters *counters);
/* Decisions on what is new so far, wherever they ended. */
uint64_t counters_decisions(const char *service);

#endif
