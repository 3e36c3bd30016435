/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The worker's side of joining through a keeper's control socket: one question, one answer. The
 * keeper's side is user/keeper/join.c.
 */
#ifndef LBCTL_LIB_JOIN_H
#define LBCTL_LIB_JOIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lb_abi.h"

#define LBCTL_WHY_BYTES 640
#define LBCTL_ANSWER_BYTES 4096

/* What a keeper answers, a JSON object of numbers, texts and booleans; -1 and "" = not said. */
struct lbctl_answer {
	long status; /* 0 = done, else as lbctl's exit status */
	long slot;
	long worker;
	bool again; /* refused for now only */
	char text[512];
};

/*
 * Reads an answer; keys that are not known are passed over. Return: 0, or -EBADMSG: not such an
 * object, without a status, or with a number outside of 0 .. 2^31 - 1.
 */
int lbctl_answer_parse(const char *bytes, size_t len, struct lbctl_answer *answer);

struct lbctl_joining {
	const char *service;
	const char *path; /* of the keeper's control socket */
	long worker;	  /* the number that it asks for, -1 = any */
	int listen_fd;
	unsigned int patience_ms; /* for all of it together */
};

struct lbctl_joined {
	int load_fd; /* the caller's to close */
	uint32_t slot;
	uint32_t worker;
};

/*
 * Return: 0, or -errno as lbctl_worker_join() says in errno; then `why` is a sentence without full
 * stop. The keeper is asked whether it listens before it gets the socket: one that is stopped must
 * not be sent a duplicate, which would keep the queue of this worker from moving should it die.
 */
int lbctl_join(const struct lbctl_joining *joining, struct lbctl_joined *joined,
	       char why[LBCTL_WHY_BYTES]);

#endif
