/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See packet.h. */
#include "packet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int lbctl_packet_send(int fd, const void *bytes, size_t len, int passed)
{
	struct iovec part = { .iov_base = (void *)bytes, .iov_len = len };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	union control control;
	struct cmsghdr *header;
	ssize_t n;

	if (passed >= 0) {
		memset(&control, 0, sizeof(control));
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &passed, sizeof(int));
	}
	do {
		n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static int take_descriptor(struct msghdr *message)
{
	struct cmsghdr *header;
	int fd = -1;

	for (header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
		    header->cmsg_len >= CMSG_LEN(sizeof(int)))
			memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	}
	return fd;
}

ssize_t lbctl_packet_receive(int fd, void *bytes, size_t size, int *passed)
{
	struct iovec part = { .iov_base = bytes, .iov_len = size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	union control control;
	ssize_t n;

	*passed = -1;
	message.msg_control = control.bytes;
	/* not CMSG_SPACE: the padding would be room for a second descriptor */
	message.msg_controllen = CMSG_LEN(sizeof(int));
	do {
		n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	*passed = take_descriptor(&message);
	if (message.msg_flags & MSG_CTRUNC)
		n = -E2BIG;
	else if (message.msg_flags & MSG_TRUNC)
		n = -EMSGSIZE;
	if (n <= 0 && *passed >= 0) {
		close(*passed);
		*passed = -1;
	}
	return n;
}
