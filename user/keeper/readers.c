// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See readers.h. */
#include "keeper/readers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define OUTPUTS 2 /* standard output and error */

struct readers {
	sd_event *loop;
	void (*gone)(void *arg);
	void *arg;
	sd_event_source *watched[OUTPUTS]; /* the end to write to: who reads is gone */
	sd_event_source *read[OUTPUTS];	   /* our own end to read from */
};

static int on_bytes(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	char bytes[65536];
	ssize_t n = read(fd, bytes, sizeof(bytes));

	(void)events;
	(void)arg;
	/* nobody has it any more */
	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return 0;
}

/* A pipe that nobody reads can be opened again, to read. */
static void read_on(struct readers *readers, int fd)
{
	sd_event_source **source = &readers->read[fd - STDOUT_FILENO];
	char path[32];
	int ours;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ours = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (ours < 0)
		return;
	if (sd_event_add_io(readers->loop, source, ours, EPOLLIN, on_bytes, NULL) < 0)
		close(ours);
	else
		sd_event_source_set_io_fd_own(*source, true);
}

static bool is_same(int fd, int other)
{
	struct stat its, others;

	return !fstat(fd, &its) && !fstat(other, &others) && its.st_dev == others.st_dev &&
	       its.st_ino == others.st_ino;
}

static void leave(struct readers *readers, int fd, int null)
{
	sd_event_source **source = &readers->watched[fd - STDOUT_FILENO];

	*source = sd_event_source_disable_unref(*source);
	dup2(null, fd);
}

static int on_gone(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int other = fd == STDOUT_FILENO ? STDERR_FILENO : STDOUT_FILENO;
	struct readers *readers = arg;

	(void)source;
	(void)events;
	read_on(readers, fd);
	if (is_same(fd, other))
		leave(readers, other, null);
	leave(readers, fd, null);
	readers->gone(readers->arg);
	return 0;
}

struct readers *readers_watch(sd_event *loop, void (*gone)(void *arg), void *arg)
{
	struct readers *readers = calloc(1, sizeof(*readers));
	struct stat st;

	if (!readers)
		return NULL;
	*readers = (struct readers){ .loop = loop, .gone = gone, .arg = arg };
	for (int i = 0; i < OUTPUTS; i++) {
		int fd = STDOUT_FILENO + i;

		/* EPOLLERR is told without being asked for */
		if (!fstat(fd, &st) && S_ISFIFO(st.st_mode))
			sd_event_add_io(loop, &readers->watched[i], fd, 0, on_gone, readers);
	}
	return readers;
}

void readers_close(struct readers *readers)
{
	for (int i = 0; readers && i < OUTPUTS; i++) {
		sd_event_source_disable_unref(readers->watched[i]);
		sd_event_source_disable_unref(readers->read[i]);
	}
	free(readers);
}
