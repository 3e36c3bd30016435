// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See frame.h. */
#include "web/frame.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#define PATIENCE_MS 5000 /* with who does not read */

/* Reads up to so many bytes. Returns how many, 0 = none now, -EPIPE or -errno. */
static ssize_t take(int fd, void *to, size_t bytes)
{
	ssize_t n = recv(fd, to, bytes, MSG_DONTWAIT);

	if (n > 0)
		return n;
	if (!n)
		return -EPIPE;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

int frame_read(int fd, struct frame *frame, size_t most)
{
	const size_t head = sizeof(frame->head);
	ssize_t n = 1;

	while (frame->got < head) {
		n = take(fd, (char *)&frame->head + frame->got, head - frame->got);
		if (n <= 0)
			return n;
		frame->got += n;
	}
	if (frame->head.bytes > most || frame->head.kind >= FRAME_KINDS)
		return -EMSGSIZE;
	if (!frame->body)
		frame->body = calloc(1, frame->head.bytes + 1);
	if (!frame->body)
		return -ENOMEM;
	while (frame->got < head + frame->head.bytes) {
		n = take(fd, frame->body + frame->got - head,
			 head + frame->head.bytes - frame->got);
		if (n <= 0)
			return n;
		frame->got += n;
	}
	return 1;
}

void frame_drop(struct frame *frame)
{
	free(frame->body);
	*frame = (struct frame){ 0 };
}

static int put(int fd, const char *at, size_t bytes)
{
	struct pollfd room = { .fd = fd, .events = POLLOUT };
	ssize_t n;

	while (bytes) {
		n = send(fd, at, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			at += n;
			bytes -= n;
		} else if (errno != EAGAIN && errno != EINTR) {
			return -errno;
		} else if (!poll(&room, 1, PATIENCE_MS)) {
			return -ETIMEDOUT;
		}
	}
	return 0;
}

int frame_write(int fd, enum frame_kind kind, uint32_t id, const void *body, size_t bytes)
{
	const struct frame_head head = { .kind = kind, .id = id, .bytes = bytes };
	int err = put(fd, (const char *)&head, sizeof(head));

	return err ? err : put(fd, body, bytes);
}
