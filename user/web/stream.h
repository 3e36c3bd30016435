/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Server-sent events (HTML, 9.2): messages that all who look on get, from the one that was sent
 * when they came. Kept are so many bytes of them; who has not read one that is gone by then is hung
 * up on, and comes again.
 */
#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "web/mhd.h"

#define STREAM_MOST_READERS 16
#define STREAM_KEPT_BYTES (1 << 20) /* or one message, if that is longer */

struct streams;

struct streams *streams_new(void);
size_t streams_count(const struct streams *streams);

/*
 * The answer to one who looks on, NULL without memory or with STREAM_MOST_READERS of them: first
 * `hello`, which is taken over, then what is sent. To be queued on that connection.
 */
struct MHD_Response *streams_join(struct streams *streams, struct MHD_Connection *connection,
				  char *hello);

/* A message "event: TYPE, data: TEXT", a line of text. */
char *streams_message(const char *type, const char *text);

/* Sends a message of streams_message() to all, which is taken over; NULL is none. */
void streams_send(struct streams *streams, char *message);

#endif
