// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What workers send to NOTIFY_SOCKET: what a NUL ends in the input is a datagram, now and then one
 * with a descriptor. Lines are whole, and their sender is known.
 */
#include <sys/un.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "keeper/worker_notify.h"
#include "send_fds.h"

static sd_event *loop;
static pid_t self;
static int worker;

static void take(void *arg, pid_t pid, const char *line)
{
	(void)arg;
	FUZZ_CHECK(pid == self && !strchr(line, '\n') && strlen(line) < 1024);
}

/* One socket for all inputs, without a name once it is connected to. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct worker_notify *notify;

	(void)argc, (void)argv;
	self = getpid();
	worker = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(at.sun_path, sizeof(at.sun_path), "/tmp/fuzz-notify-%d", self);
	FUZZ_CHECK(sd_event_new(&loop) >= 0 &&
		   !worker_notify_open(loop, at.sun_path, -1, take, NULL, &notify) &&
		   !connect(worker, (struct sockaddr *)&at, sizeof(at)));
	return unlink(at.sun_path);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	const uint8_t *end = bytes + n, *stop;

	for (; bytes < end; bytes = stop + 1) {
		stop = memchr(bytes, '\0', end - bytes);
		stop = stop ? stop : end;
		/* to close one takes two forks: those of receive.c are in fuzz_packet, too */
		send_fds(worker, bytes, stop - bytes, &worker, stop - bytes == 7);
		while (sd_event_run(loop, 0) > 0)
			continue;
	}
	return 0;
}
