// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See log_tail.h. */
#include "cmd/log_tail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BLOCK 65536
#define LEAST_LOOK (4ULL << 20) /* so far back a line may begin, however few are wanted */

static void end_line(struct log_tail *tail, struct log_part *part)
{
	tail->line(tail->arg, tail->worker, part->line, part->len);
	part->len = 0;
}

static void take(struct log_tail *tail, struct log_part *part, const char *bytes, size_t n)
{
	if (!part->line)
		part->line = malloc(LOG_LINE_MOST);
	if (!part->line)
		return;
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == '\n' || part->len == LOG_LINE_MOST)
			end_line(tail, part);
		if (bytes[i] != '\n')
			part->line[part->len++] = bytes[i];
	}
}

static void part_read(struct log_tail *tail, struct log_part *part)
{
	char block[BLOCK];
	ssize_t n;

	while (part->fd >= 0 && (n = pread(part->fd, block, sizeof(block), part->at)) > 0) {
		part->at += n;
		take(tail, part, block, n);
	}
}

static void part_close(struct log_tail *tail, struct log_part *part)
{
	if (part->len)
		end_line(tail, part);
	close_fd(&part->fd);
	free(part->line);
	*part = (struct log_part){ .fd = -1 };
}

static int open_plain(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	return S_ISREG(st.st_mode) ? fd_steal(&fd) : -EINVAL;
}

int log_tail_open(struct log_tail *tail, const char *path, uint32_t worker, log_line_fn line,
		  void *arg)
{
	*tail = (struct log_tail){
		.worker = worker,
		.path = strdup(path),
		.line = line,
		.arg = arg,
		.now = { .fd = open_plain(path) },
		.before = { .fd = -1 },
	};
	return tail->path ? 0 : -ENOMEM;
}

int log_tail_error(const struct log_tail *tail)
{
	return tail->now.fd < 0 ? tail->now.fd : 0;
}

/*
 * Where the last `lines` lines of the file begin; what follows the last end of a line is one. Not
 * much further from the end than those can be long: a worker can make its file as long as it likes,
 * with nothing in it.
 */
static off_t find_last(int fd, off_t size, uint64_t lines)
{
	uint64_t most = lines * (LOG_LINE_MOST + 1) + LEAST_LOOK;
	off_t first = (uint64_t)size > most ? size - (off_t)most : 0, at = size;
	char block[BLOCK];

	while (lines && at > first) {
		size_t want = at - first < BLOCK ? at - first : BLOCK;
		ssize_t n = pread(fd, block, want, at - want);

		if (n <= 0)
			return at;
		at -= want;
		for (ssize_t i = n; i > 0; i--) {
			if (block[i - 1] == '\n' && at + i != size && !--lines)
				return at + i;
		}
	}
	return at;
}

void log_tail_last(struct log_tail *tail, uint64_t lines)
{
	struct stat st;

	if (tail->now.fd < 0 || fstat(tail->now.fd, &st))
		return;
	tail->now.at = find_last(tail->now.fd, st.st_size, lines);
	part_read(tail, &tail->now);
}

/* Is another file at the path now? None is no other one. */
static bool was_renamed(const struct log_tail *tail)
{
	struct stat ours, there;

	if (stat(tail->path, &there))
		return false;
	return tail->now.fd < 0 || fstat(tail->now.fd, &ours) || ours.st_ino != there.st_ino ||
	       ours.st_dev != there.st_dev;
}

/* One that was copied and truncated begins anew. */
static void look_for_truncation(struct log_tail *tail)
{
	struct stat st;

	if (tail->now.fd < 0 || fstat(tail->now.fd, &st) || st.st_size >= tail->now.at)
		return;
	if (tail->now.len)
		end_line(tail, &tail->now);
	tail->now.at = 0;
}

void log_tail_follow(struct log_tail *tail)
{
	int fd;

	look_for_truncation(tail);
	part_read(tail, &tail->before);
	part_read(tail, &tail->now);
	if (!was_renamed(tail))
		return;
	fd = open_plain(tail->path);
	if (fd < 0)
		return;
	part_close(tail, &tail->before);
	tail->before = tail->now;
	tail->now = (struct log_part){ .fd = fd };
	part_read(tail, &tail->now);
}

void log_tail_close(struct log_tail *tail)
{
	part_close(tail, &tail->before);
	part_close(tail, &tail->now);
	free(tail->path);
	tail->path = NULL;
}
