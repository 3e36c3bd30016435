// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See channel.h. */
#include "keeper/channel.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "keeper/budget.h"
#include "keeper/receive.h"
#include "keeper/task.h"

#define MOST_LINE_BYTES 65536
#define LEAST_ROOM_BYTES 256
#define PAUSE_US 20000 /* between two looks at what a worker says that says too much */

struct channel {
	int fd;
	sd_event_source *source, *pause;
	void (*take)(void *arg, const char *line, const json_t *message);
	void *arg;
	/* Of a message that is not complete; NULL without one, as each fork copies our memory. */
	char *line;
	size_t len, room;
	struct budget budget;
};

static void begin_second(struct channel *channel)
{
	uint64_t now_us = 0;

	sd_event_now(sd_event_source_get_event(channel->source), CLOCK_MONOTONIC, &now_us);
	budget_begin(&channel->budget, now_us);
}

static void take_line(struct channel *channel)
{
	const char *internal;
	json_t *message;

	channel->budget.messages++;
	if (budget_is_over(&channel->budget)) {
		channel->take(channel->arg, channel->line, NULL);
		return;
	}
	message = json_loads(channel->line, JSON_DECODE_ANY, NULL);
	internal = json_string_value(json_object_get(message, "cmd"));
	if (message && !(internal && !strncmp(internal, "NODE_", 5)))
		channel->take(channel->arg, channel->line, message);
	json_decref(message);
}

/* Twice as much each time; 0 or -ENOMEM. */
static int make_room(struct channel *channel, size_t wanted)
{
	size_t room = channel->room ? channel->room : LEAST_ROOM_BYTES;
	char *grown;

	while (room < wanted)
		room *= 2;
	if (room == channel->room)
		return 0;
	grown = realloc(channel->line, room);
	if (!grown)
		return -ENOMEM;
	channel->line = grown;
	channel->room = room;
	return 0;
}

/* What is longer than a line may be is cut, and what there is no memory for is lost. */
static void append(struct channel *channel, const char *bytes, size_t n)
{
	if (n > MOST_LINE_BYTES - 1 - channel->len)
		n = MOST_LINE_BYTES - 1 - channel->len;
	if (!n || make_room(channel, channel->len + n + 1))
		return;
	memcpy(channel->line + channel->len, bytes, n);
	channel->len += n;
	channel->line[channel->len] = '\0';
}

static void take_bytes(struct channel *channel, const char *bytes, size_t n)
{
	const char *end = bytes + n, *newline;

	channel->budget.bytes += n;
	while ((newline = memchr(bytes, '\n', end - bytes))) {
		append(channel, bytes, newline - bytes);
		if (channel->len)
			take_line(channel);
		channel->len = 0;
		bytes = newline + 1;
	}
	append(channel, bytes, end - bytes);
	if (channel->len)
		return;
	free(channel->line);
	channel->line = NULL;
	channel->room = 0;
}

static int on_pause_end(sd_event_source *source, uint64_t usec, void *arg)
{
	struct channel *channel = arg;

	(void)source;
	(void)usec;
	sd_event_source_set_enabled(channel->source, SD_EVENT_ON);
	return 0;
}

/* One that sends without end would keep us busy with what is thrown away. */
static void pause_reading(struct channel *channel)
{
	sd_event *loop = sd_event_source_get_event(channel->source);

	channel->pause = sd_event_source_disable_unref(channel->pause);
	if (sd_event_add_time_relative(loop, &channel->pause, CLOCK_MONOTONIC, PAUSE_US, 0,
				       on_pause_end, channel) >= 0)
		sd_event_source_set_enabled(channel->source, SD_EVENT_OFF);
}

/* At most one buffer a turn: a worker that never stops sending must not starve the others. */
static int on_readable(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	static char bytes[MOST_LINE_BYTES];
	struct channel *channel = arg;
	struct received with;
	ssize_t n = receive(fd, bytes, sizeof(bytes), &with);

	(void)events;
	begin_second(channel);
	if (n > 0)
		take_bytes(channel, bytes, n);
	else if (n != -EAGAIN)
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	received_drop(&with);
	if (n > 0 && budget_is_over(&channel->budget))
		pause_reading(channel);
	return 0;
}

int channel_open(sd_event *loop, int fd,
		 void (*take)(void *arg, const char *line, const json_t *message), void *arg,
		 struct channel **out)
{
	struct channel *channel = calloc(1, sizeof(*channel));
	int err;

	if (!channel)
		return -ENOMEM;
	channel->fd = fd;
	channel->take = take;
	channel->arg = arg;
	err = sd_event_add_io(loop, &channel->source, fd, EPOLLIN, on_readable, channel);
	if (err < 0) {
		free(channel);
		return err;
	}
	*out = channel;
	return 0;
}

void channel_close(struct channel *channel)
{
	if (!channel)
		return;
	sd_event_source_disable_unref(channel->source);
	sd_event_source_disable_unref(channel->pause);
	/* what the worker sent and nobody read may hold descriptors */
	task_drop_fd(&channel->fd);
	free(channel->line);
	free(channel);
}

int channel_send(struct channel *channel, const char *line)
{
	struct iovec parts[] = {
		{ .iov_base = (void *)line, .iov_len = strlen(line) },
		{ .iov_base = (char[]){ "\n" }, .iov_len = 1 },
	};
	const struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t n;

	if (!channel || channel->fd < 0)
		return -ENOTCONN;
	n = sendmsg(channel->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	/* half a line would spoil the next one, so there is no next one */
	if ((size_t)n != parts[0].iov_len + 1) {
		channel->source = sd_event_source_disable_unref(channel->source);
		channel->pause = sd_event_source_disable_unref(channel->pause);
		task_drop_fd(&channel->fd);
		return -EMSGSIZE;
	}
	return 0;
}
