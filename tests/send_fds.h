/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A packet with any number of descriptors, which lbctl itself never sends. */
#ifndef SEND_FDS_H
#define SEND_FDS_H

#include <string.h>
#include <sys/socket.h>

#define SEND_MOST_FDS 64

/* Never waits. Returns as sendmsg(). */
static inline ssize_t send_fds(int fd, const void *bytes, size_t len, const int *fds, size_t n)
{
	struct iovec part = { .iov_base = (void *)bytes, .iov_len = len };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(SEND_MOST_FDS * sizeof(int))];
	} ancillary = { { 0 } };

	if (n) {
		message.msg_control = &ancillary;
		message.msg_controllen = CMSG_SPACE(n * sizeof(int));
		ancillary.header.cmsg_level = SOL_SOCKET;
		ancillary.header.cmsg_type = SCM_RIGHTS;
		ancillary.header.cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(&ancillary.header), fds, n * sizeof(int));
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

#endif
