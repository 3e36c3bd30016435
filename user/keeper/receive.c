// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See receive.h. */
#include "keeper/receive.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "keeper/task.h"

#define MOST_UNREAD 4096 /* messages: more than a socket holds */

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(RECEIVE_MOST_FDS * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

static void take_part(struct received *out, const struct cmsghdr *part)
{
	size_t bytes = part->cmsg_len - CMSG_LEN(0);

	if (part->cmsg_level != SOL_SOCKET)
		return;
	if (part->cmsg_type == SCM_CREDENTIALS)
		out->pid = ((const struct ucred *)CMSG_DATA(part))->pid;
	out->is_one |= part->cmsg_type == SCM_CREDENTIALS;
	if (part->cmsg_type == SCM_RIGHTS && bytes <= sizeof(out->fds)) {
		memcpy(out->fds, CMSG_DATA(part), bytes);
		out->nr_fds = bytes / sizeof(int);
	}
}

ssize_t receive(int fd, void *bytes, size_t size, struct received *out)
{
	struct iovec part = { .iov_base = bytes, .iov_len = size };
	union control control;
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *header;
	ssize_t n;

	out->nr_fds = 0;
	out->pid = 0;
	out->is_one = false;
	out->cut = false;
	out->lacking = false;
	do {
		n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	out->cut = message.msg_flags & MSG_TRUNC;
	out->lacking = message.msg_flags & MSG_CTRUNC;
	for (header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header))
		take_part(out, header);
	return n;
}

void received_drop(struct received *received)
{
	task_drop_fds(received->fds, received->nr_fds);
	received->nr_fds = 0;
}

void receive_hang_up(int *fd)
{
	static char bytes[4096];
	struct received with;
	bool has_fds, goes_on;
	int reads = 0;
	ssize_t n;

	/* from here on nothing more comes, so this has an end */
	shutdown(*fd, SHUT_RDWR);
	do {
		n = receive(*fd, bytes, sizeof(bytes), &with);
		goes_on = n > 0 || n == -ECONNRESET || with.is_one;
		has_fds = with.nr_fds || with.lacking;
		received_drop(&with);
	} while (goes_on && !has_fds && ++reads < MOST_UNREAD);
	/* the rest may hold more of them, and goes at once */
	if (n == 0 && !goes_on)
		close_fd(fd);
	else
		task_drop_fd(fd);
}

void receive_no_fds(int fd)
{
	const int off = 0;

	setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
}
