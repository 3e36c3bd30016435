/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Connections to port 8080 that are kept open a while and then ask, once. None may be lost. */
#ifndef HARNESS_KEPT_H
#define HARNESS_KEPT_H

#include <stdbool.h>
#include <stdint.h>

#define KEPT 48

extern struct kept_sums {
	unsigned int answered;
	uint64_t slowest_ns; /* to answer */
} kept_sums;

void kept_begin(void);
void kept_end(void);
/* Any of them: it is opened, or asks, or the client has thought better of it. */
void kept_step(void);
/* It is open and has not asked. */
bool kept_is_silent(unsigned int i);
void kept_ask(unsigned int i, const char *path);
/* Takes answers; fails the test if a connection was lost or a request waits too long. */
void kept_look_at_all(void);
/* Waits until all that have asked have their answers. */
void kept_expect_answers(void);

#endif
