/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the two processes of lbctl export say to each other over a socket pair: the one that answers
 * HTTP and has no rights asks, the one that has them answers, each with a head and bytes.
 */
#ifndef FRAME_H
#define FRAME_H

#include <stddef.h>
#include <stdint.h>

enum frame_kind {
	FRAME_STATE, /* of all services; the body "1" if events are wanted, too */
	FRAME_PROMETHEUS,
	FRAME_OPENMETRICS,
	/* those that are one request's own, and have its id */
	FRAME_PICTURE, /* of the service that the body names: SVG, or nothing where there is none */
	FRAME_CHANGE,  /* a struct change, and what became of it: an exit status and a line */
	FRAME_KINDS,
};

struct frame_head {
	uint32_t kind;
	uint32_t id; /* the answer has that of the question */
	uint64_t bytes;
};

/* A frame that comes in, in parts. */
struct frame {
	struct frame_head head;
	size_t got; /* bytes of both */
	char *body; /* with a NUL behind it */
};

/*
 * Takes what has come of a frame, whose body has at most so many bytes. Returns 1 once it is whole
 * (then frame_drop() it before the next), 0 = there is more to come, -EPIPE or -errno.
 */
int frame_read(int fd, struct frame *frame, size_t most);
void frame_drop(struct frame *frame);

/* Writes one whole, and waits while there is no room. Returns 0 or -errno. */
int frame_write(int fd, enum frame_kind kind, uint32_t id, const void *body, size_t bytes);

#endif
