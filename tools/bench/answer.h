/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An HTTP/1 response, parsed as it comes in, piece by piece: where it ends, its status, and which
 * worker it is from: by a header (X-Worker), else by a body that begins with "worker NAME".
 */
#ifndef BENCH_ANSWER_H
#define BENCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_WORKER_MAX 31

enum answer_state {
	ANSWER_STATUS_LINE,
	ANSWER_HEADER,
	ANSWER_LENGTH, /* `left` bytes of body */
	ANSWER_CHUNK_SIZE,
	ANSWER_CHUNK, /* `left` bytes of this chunk */
	ANSWER_CHUNK_END,
	ANSWER_TRAILER,
	ANSWER_TO_END, /* the body ends with the connection */
	ANSWER_DONE,
	ANSWER_BAD, /* not HTTP/1 */
};

/* All zero is one that has not begun. */
struct answer {
	enum answer_state state;
	int status;
	bool keep_alive; /* the connection may be used again */
	bool has_length, chunked;
	uint64_t left;
	uint64_t body_bytes;
	char worker[ANSWER_WORKER_MAX + 1]; /* "" = it does not say */
	char line[256];			    /* what is longer is cut: no field that counts is */
	size_t line_bytes;
};

/*
 * Takes the next bytes. worker_header is the name of the field that names the worker. Returns how
 * many were used: all, unless the answer is DONE or BAD.
 */
size_t answer_feed(struct answer *answer, const char *text, size_t len, const char *worker_header);

/* The connection has ended. Returns whether the answer is whole. */
bool answer_end(struct answer *answer);

/* Has any byte of it come? */
bool answer_begun(const struct answer *answer);

#endif
