// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What workers send to NOTIFY_SOCKET: what a NUL ends in the input is a datagram. Lines are whole,
 * their sender is known, and each descriptor that came is dropped.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "keeper/task.h"
#include "keeper/worker_notify.h"

#define SENDER 4711
#define FIRST_FD 1000 /* there are none: nobody may use one */

static const uint8_t *at, *end;
static sd_event_io_handler_t on_message;
static void *on_message_arg;
static size_t dropped, descriptors;

/* In place of libsystemd's: there is one socket. */
int sd_event_add_io(sd_event *event, sd_event_source **source, int fd, uint32_t events,
		    sd_event_io_handler_t callback, void *arg)
{
	(void)event, (void)source, (void)fd, (void)events;
	on_message = callback;
	on_message_arg = arg;
	return 0;
}

/* In place of those of task.c, of which each is a child, or two. */
void task_drop_fds(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		FUZZ_CHECK(fds[i] == FIRST_FD + (int)i);
	dropped += n;
}

void task_drop_fd(int *fd)
{
	(void)fd;
}

static void put_part(struct msghdr *message, int type, const void *bytes, size_t n)
{
	struct cmsghdr *part = (void *)((char *)message->msg_control + message->msg_controllen);

	*part = (struct cmsghdr){ CMSG_LEN(n), SOL_SOCKET, type };
	memcpy(CMSG_DATA(part), bytes, n);
	message->msg_controllen += CMSG_SPACE(n);
}

/*
 * In place of the kernel's: of some lengths one comes with descriptors, from a process that has no
 * number here, or with more of them than there is room for.
 */
ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	const uint8_t *stop = at < end ? memchr(at, '\0', end - at) ?: end : at;
	const struct ucred sender = { .pid = stop - at == 9 ? 0 : SENDER };
	size_t len = stop - at, room = message->msg_iov->iov_len;
	const int fds[] = { FIRST_FD, FIRST_FD + 1, FIRST_FD + 2 };

	(void)fd, (void)flags;
	errno = at == end ? EAGAIN : 0;
	if (at == end)
		return -1;
	message->msg_controllen = 0;
	message->msg_flags = (len > room ? MSG_TRUNC : 0) | (len == 8 ? MSG_CTRUNC : 0);
	put_part(message, SCM_CREDENTIALS, &sender, sizeof(sender));
	if (len % 7 == 0) {
		put_part(message, SCM_RIGHTS, fds, (1 + len % 3) * sizeof(*fds));
		descriptors += 1 + len % 3;
	}
	len = len < room ? len : room;
	memcpy(message->msg_iov->iov_base, at, len);
	at = stop < end ? stop + 1 : end;
	return len;
}

static void take(void *arg, pid_t pid, const char *line)
{
	(void)arg;
	FUZZ_CHECK(pid == SENDER && !strchr(line, '\n') && strlen(line) < 1024);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct worker_notify *notify;
	char path[64];

	(void)argc, (void)argv;
	snprintf(path, sizeof(path), "/tmp/fuzz-notify-%d", getpid());
	FUZZ_CHECK(!worker_notify_open(NULL, path, -1, take, NULL, &notify));
	return unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	at = bytes;
	end = bytes + n;
	dropped = descriptors = 0;
	while (at < end)
		on_message(NULL, -1, 0, on_message_arg);
	FUZZ_CHECK(dropped == descriptors);
	return 0;
}
