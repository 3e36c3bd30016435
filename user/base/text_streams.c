// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Standard output and standard error as text.h has them: streams of our own above them. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

struct guarded {
	int fd;
	char begun[4]; /* of a character, the rest of which comes with the next write */
	size_t nr_begun;
};

static bool write_all(int fd, const char *bytes, size_t n)
{
	while (n) {
		ssize_t done = write(fd, bytes, n);

		if (done < 0 && errno != EINTR)
			return false;
		if (done > 0) {
			bytes += done;
			n -= done;
		}
	}
	return true;
}

/* Can these few become a character, with what comes next? */
static bool is_begun(const char *bytes, size_t n)
{
	char whole[4];

	for (size_t len = n + 1; len <= sizeof(whole); len++) {
		/* the second byte of some has fewer values; 0x90 and 0x80 are what each takes */
		for (int second = 0x80; second <= 0xa0; second += 0x10) {
			memset(whole, 0x80, sizeof(whole));
			whole[1] = second;
			memcpy(whole, bytes, n);
			if (text_utf8_length(whole, len) == len)
				return true;
		}
	}
	return false;
}

/* Writes `n` bytes, but for a character that is only begun. Returns how many, or -1. */
static ssize_t write_text(int fd, const char *bytes, size_t n)
{
	char out[1024], piece[TEXT_PIECE_BYTES];
	size_t at = 0, len = 0;

	while (at < n) {
		if (n - at < 4 && !text_utf8_length(bytes + at, n - at) &&
		    is_begun(bytes + at, n - at))
			break;
		if (bytes[at] == '\n') {
			strcpy(piece, "\n");
			at++;
		} else {
			at += text_piece(bytes + at, n - at, piece);
		}
		memcpy(out + len, piece, strlen(piece));
		len += strlen(piece);
		if (len + TEXT_PIECE_BYTES > sizeof(out)) {
			if (!write_all(fd, out, len))
				return -1;
			len = 0;
		}
	}
	return write_all(fd, out, len) ? (ssize_t)at : -1;
}

static ssize_t on_write(void *cookie, const char *bytes, size_t n)
{
	struct guarded *guarded = cookie;
	size_t taken = 0;
	ssize_t done;

	while (guarded->nr_begun && taken < n) {
		guarded->begun[guarded->nr_begun++] = bytes[taken++];
		done = write_text(guarded->fd, guarded->begun, guarded->nr_begun);
		if (done < 0)
			return 0;
		guarded->nr_begun -= done;
		memmove(guarded->begun, guarded->begun + done, guarded->nr_begun);
	}
	done = write_text(guarded->fd, bytes + taken, n - taken);
	if (done < 0)
		return 0;
	guarded->nr_begun += n - taken - done;
	if (n - taken - done)
		memcpy(guarded->begun, bytes + taken + done, n - taken - done);
	return n;
}

static FILE *guard(struct guarded *guarded, int buffering)
{
	static const cookie_io_functions_t functions = { .write = on_write };
	FILE *stream = fopencookie(guarded, "w", functions);

	if (stream)
		setvbuf(stream, NULL, buffering, BUFSIZ);
	return stream;
}

int text_guard_streams(void)
{
	static struct guarded out = { .fd = STDOUT_FILENO }, err = { .fd = STDERR_FILENO };
	FILE *guarded_out = guard(&out, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF);
	FILE *guarded_err = guard(&err, _IONBF);

	if (!guarded_out || !guarded_err)
		return -ENOMEM;
	stdout = guarded_out;
	stderr = guarded_err;
	return 0;
}
