// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See channel.h. */
#include "keeper/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "keeper/messages.h"
#include "keeper/receive.h"
#include "keeper/task.h"

#define PAUSE_US 20000 /* between two looks at what a worker says that says too much */

struct channel {
	int fd;
	sd_event_source *source, *pause;
	struct messages messages;
};

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
	static char bytes[MESSAGES_MOST_BYTES];
	struct channel *channel = arg;
	struct received with;
	ssize_t n = receive(fd, bytes, sizeof(bytes), &with);
	uint64_t now_us = 0;

	(void)events;
	sd_event_now(sd_event_source_get_event(source), CLOCK_MONOTONIC, &now_us);
	if (n > 0)
		messages_add(&channel->messages, bytes, n, now_us);
	else if (n != -EAGAIN)
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	received_drop(&with);
	if (n > 0 && budget_is_over(&channel->messages.budget))
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
	channel->messages.take = take;
	channel->messages.arg = arg;
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
	messages_free(&channel->messages);
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
