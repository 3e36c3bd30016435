// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * See output.h. To write without waiting takes a file description of our own: that of standard
 * output is the workers' as well, and they do not expect it to refuse. A file never makes anybody
 * wait, and there all are to write at one position, or they write over each other's lines.
 */
#include "keeper/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define MOST_BYTES 65536

struct output {
	sd_event *loop;
	int given;	/* the caller's */
	int fd;		/* ours */
	bool is_socket; /* send() knows MSG_DONTWAIT */
	bool may_wait;	/* it could not be opened again: write only what is sure to fit */
	char *bytes;
	size_t len;
	unsigned long dropped;
	sd_event_source *source;
};

static void open_own(struct output *output)
{
	bool is_file;
	char path[32];
	struct stat st;

	if (fstat(output->given, &st))
		st.st_mode = 0;
	is_file = S_ISREG(st.st_mode);
	output->is_socket = S_ISSOCK(st.st_mode);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", output->given);
	output->fd = output->is_socket || is_file ?
			     -1 :
			     open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	output->may_wait = output->fd < 0 && !output->is_socket && !is_file;
	if (output->fd < 0)
		output->fd = fcntl(output->given, F_DUPFD_CLOEXEC, 0);
}

/* Of a pipe that is ready, so much goes in at once; whoever else writes there may come first. */
static ssize_t write_if_ready(int fd, const char *bytes, size_t len)
{
	struct pollfd ready = { .fd = fd, .events = POLLOUT };

	if (poll(&ready, 1, 0) != 1) {
		errno = EAGAIN;
		return -1;
	}
	return write(fd, bytes, len < 512 ? len : 512);
}

static ssize_t write_some(const struct output *output)
{
	if (output->is_socket)
		return send(output->fd, output->bytes, output->len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (output->may_wait)
		return write_if_ready(output->fd, output->bytes, output->len);
	return write(output->fd, output->bytes, output->len);
}

static void append(struct output *output, const char *line)
{
	size_t len = strlen(line);

	memcpy(output->bytes + output->len, line, len);
	output->bytes[output->len + len] = '\n';
	output->len += len + 1;
}

static void tell_dropped(struct output *output)
{
	char line[96];

	if (!output->dropped || output->len + sizeof(line) > MOST_BYTES / 2)
		return;
	snprintf(line, sizeof(line), "%lu line%s dropped here: nobody read %s", output->dropped,
		 output->dropped == 1 ? " was" : "s were", output->dropped == 1 ? "it" : "them");
	output->dropped = 0;
	append(output, line);
}

static int on_ready(sd_event_source *source, int fd, uint32_t events, void *arg);

/* What can't be written now is, when there is room; what can't be written at all is dropped. */
static void flush_lines(struct output *output)
{
	ssize_t n;

	while (output->len) {
		n = write_some(output);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			output->len = 0;
		if (n < 0)
			break;
		memmove(output->bytes, output->bytes + n, output->len - n);
		output->len -= n;
		tell_dropped(output);
	}
	if (output->len && !output->source)
		sd_event_add_io(output->loop, &output->source, output->fd, EPOLLOUT, on_ready,
				output);
	if (!output->len)
		output->source = sd_event_source_disable_unref(output->source);
}

static int on_ready(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	(void)source;
	(void)fd;
	(void)events;
	flush_lines(arg);
	return 0;
}

struct output *output_open(sd_event *loop, int fd)
{
	struct output *output = calloc(1, sizeof(*output));

	if (!output)
		return NULL;
	*output = (struct output){ .loop = loop, .given = fd, .bytes = malloc(MOST_BYTES) };
	if (!output->bytes) {
		free(output);
		return NULL;
	}
	open_own(output);
	return output;
}

void output_close(struct output *output)
{
	if (!output)
		return;
	flush_lines(output);
	sd_event_source_disable_unref(output->source);
	close_fd(&output->fd);
	free(output->bytes);
	free(output);
}

void output_line(struct output *output, const char *line)
{
	if (!output)
		return;
	if (output->len + strlen(line) + 1 > MOST_BYTES) {
		output->dropped++;
		return;
	}
	append(output, line);
	/* while something waits, its turn is when there is room */
	if (!output->source)
		flush_lines(output);
}

void output_reopen(struct output *output)
{
	if (!output)
		return;
	output->source = sd_event_source_disable_unref(output->source);
	close_fd(&output->fd);
	open_own(output);
	flush_lines(output);
}
