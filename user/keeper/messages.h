/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A worker's messages out of the bytes that it writes: lines of JSON. No descriptor, no clock. */
#ifndef MESSAGES_H
#define MESSAGES_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "keeper/budget.h"

#define MESSAGES_MOST_BYTES 65536 /* of a line, with its end */

/* All zero at first, but for `take` and `arg`. */
struct messages {
	/*
	 * Gets each message as it was written, and parsed; internal ones of Node.js are left out.
	 * What is over the worker's budget is not parsed: then `message` is NULL, and `line` may be
	 * no message.
	 */
	void (*take)(void *arg, const char *line, const json_t *message);
	void *arg;
	/* Of a message that is not complete; NULL without one, as each fork copies our memory. */
	char *line;
	size_t len, room;
	struct budget budget;
};

/* `n` bytes have come; `now_us` is CLOCK_MONOTONIC. */
void messages_add(struct messages *messages, const char *bytes, size_t n, uint64_t now_us);

/* Lets go of what is not complete. */
void messages_free(struct messages *messages);

#endif
