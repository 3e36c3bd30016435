// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What workers send to NOTIFY_SOCKET: what a NUL ends in the input is a datagram, once more with a
 * descriptor. Lines are whole, and their sender is known.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "keeper/worker_notify.h"
#include "send_fds.h"

static void take(void *arg, pid_t pid, const char *line)
{
	(void)arg;
	if (pid != getpid() || strchr(line, '\n') || strlen(line) >= 1024)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const uint8_t *end = bytes + n;
	struct worker_notify *notify;
	sd_event *loop;

	snprintf(at.sun_path, sizeof(at.sun_path), "/tmp/fuzz-notify-%d", getpid());
	if (sd_event_new(&loop) < 0 ||
	    worker_notify_open(loop, at.sun_path, -1, take, NULL, &notify) ||
	    connect(fd, (struct sockaddr *)&at, sizeof(at)))
		abort();
	while (bytes < end) {
		const uint8_t *stop = memchr(bytes, '\0', end - bytes);
		size_t len = (stop ? stop : end) - bytes;

		send_fds(fd, bytes, len, NULL, 0);
		send_fds(fd, bytes, len, (int[]){ fd }, 1);
		while (sd_event_run(loop, 0) > 0)
			continue;
		bytes += len + 1;
	}
	close(fd);
	worker_notify_close(notify);
	sd_event_unref(loop);
	unlink(at.sun_path);
	return 0;
}
