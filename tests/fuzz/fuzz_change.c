// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the process of lbctl export that answers HTTP, and may be a stranger's, says to the one with
 * the rights: frames, in pieces of a length that the first byte says, and changes in them.
 */
#include <errno.h>
#include <sys/socket.h>

#include "fuzz/fuzz_change.h"
#include "web/frame.h"

static const uint8_t *at, *end;
static size_t piece;

/* In place of the socket's. */
ssize_t recv(int fd, void *to, size_t bytes, int flags)
{
	size_t n = (size_t)(end - at) < piece ? (size_t)(end - at) : piece;

	(void)fd, (void)flags;
	if (n > bytes)
		n = bytes;
	if (n)
		memcpy(to, at, n);
	at += n;
	return n;
}

static void check_frame(const struct frame *frame)
{
	struct change change;

	FUZZ_CHECK(frame->head.kind < FRAME_KINDS && frame->head.bytes <= sizeof(change));
	FUZZ_CHECK(!frame->body[frame->head.bytes]);
	if (frame->head.bytes != sizeof(change))
		return;
	memcpy(&change, frame->body, sizeof(change));
	fuzz_change_check(&change);
	FUZZ_CHECK(change_token_differs(&change, ""));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct frame frame = { 0 };
	int got;

	if (!n)
		return 0;
	piece = 1 + *bytes;
	at = bytes + 1;
	end = bytes + n;
	while ((got = frame_read(-1, &frame, sizeof(struct change))) == 1) {
		check_frame(&frame);
		frame_drop(&frame);
	}
	FUZZ_CHECK(got == -EPIPE || got == -EMSGSIZE);
	frame_drop(&frame);
	return 0;
}
