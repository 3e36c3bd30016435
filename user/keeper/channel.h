/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A worker's message channel: lines of JSON, both ways, as Node.js sends them. */
#ifndef CHANNEL_H
#define CHANNEL_H

#include <jansson.h>
#include <systemd/sd-event.h>

struct channel;

/*
 * `take` gets each message as it was written, and parsed; internal ones of Node.js are left out.
 * What is over the worker's budget (budget.h) is not parsed: then `message` is NULL, and `line` may
 * be no message.
 */
int channel_open(sd_event *loop, int fd,
		 void (*take)(void *arg, const char *line, const json_t *message), void *arg,
		 struct channel **channel);

/* Closes the descriptor, too. */
void channel_close(struct channel *channel);

/*
 * Sends a line; never waits. Returns 0, -ENOTCONN (there is no channel any more), -EAGAIN (the
 * worker does not read), -EMSGSIZE (half of it was sent: there is no channel from now on) or
 * -errno.
 */
int channel_send(struct channel *channel, const char *line);

#endif
