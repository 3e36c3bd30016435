// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a worker writes to its message channel, in pieces: the first byte says of which length. Each
 * message that is taken is a whole line, and one of those that were written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fuzz/fuzz.h"
#include "keeper/channel.h"

static const uint8_t *written;
static size_t nr_written;
static sd_event *loop;
static int worker;

/* In place of libsystemd's: each read is in a second of its own, so that its budget is whole. */
int sd_event_now(sd_event *event, clockid_t clock, uint64_t *usec)
{
	static uint64_t now_us;

	(void)event, (void)clock;
	*usec = now_us += 1000000;
	return 0;
}

/* No pause after a read that was over it: what follows is not waited for. */
int sd_event_add_time_relative(sd_event *event, sd_event_source **source, clockid_t clock,
			       uint64_t usec, uint64_t accuracy, sd_event_time_handler_t callback,
			       void *arg)
{
	(void)event, (void)source, (void)clock, (void)usec, (void)accuracy, (void)callback,
		(void)arg;
	return -ENOMEM;
}

/* A message is NULL where it is over the budget. */
static void take(void *arg, const char *line, const json_t *message)
{
	size_t len = strlen(line);

	(void)arg;
	(void)message;
	if (strchr(line, '\n') || !memmem(written, nr_written, line, len))
		abort();
}

/* One channel for all inputs, each of which ends its last line: to close one takes two forks. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	int ends[2];
	struct channel *channel;

	(void)argc;
	(void)argv;
	if (sd_event_new(&loop) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) ||
	    channel_open(loop, ends[0], take, NULL, &channel))
		abort();
	worker = ends[1];
	return 0;
}

static void say(const uint8_t *bytes, size_t n)
{
	if (send(worker, bytes, n, MSG_NOSIGNAL) != (ssize_t)n)
		abort();
	while (sd_event_run(loop, 0) > 0)
		continue;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	const uint8_t *end = bytes + n;
	size_t piece = n ? 1 + 16 * (size_t)*bytes++ : 1;

	written = bytes;
	nr_written = end - bytes;
	while (bytes < end) {
		size_t len = (size_t)(end - bytes) < piece ? (size_t)(end - bytes) : piece;

		say(bytes, len);
		bytes += len;
	}
	say((const uint8_t *)"\n", 1);
	return 0;
}
