/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every counter: the service's, from its pinned maps, and the kernel's. */
#ifndef HARNESS_BOOKS_H
#define HARNESS_BOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lb_abi.h"

#define BOOKS_SLOTS 16

/* Every counter of a service; as a difference, what a test expects. */
struct books {
	uint64_t sent_again; /* TCP segments here, by the kernel's count */
	uint64_t cursor;
#define X(field, help) uint64_t field;
	LB_COUNTERS(X)
#undef X
#define X(field, help) uint64_t field[BOOKS_SLOTS];
	LB_SLOT_COUNTERS(X)
#undef X
};

void books_read(const char *service, struct books *books);
/*
 * Fails the test with every field that differs unless the books have grown by exactly `want`
 * since `before`. Look-ups by segments that were sent again may come on top, and on a slow machine
 * some by races of the kernel's: ack_recent and ack_stray.
 */
#define books_expect(service, before, ...)                                                         \
	books_compare(service, before, &(const struct books){ __VA_ARGS__ }, __FILE__, __LINE__)
void books_compare(const char *service, const struct books *before, const struct books *want,
		   const char *file, int line);
uint64_t books_selected(const struct books *books);

#endif
