/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Why something could not be done, for the person who asked: the exit status and the rest of the
 * sentence that begins with "lbctl: VERB OBJECT: ". Cause first, then the next step.
 */
#ifndef TROUBLE_H
#define TROUBLE_H

enum exit_status {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_FOUND = 3, /* no such service or worker */
	EXIT_NOT_ABLE = 4,  /* not permitted, or this kernel can't */
};

struct trouble {
	int status; /* EXIT_DONE: none */
	char text[512];
};

/* Writes the trouble down and returns its status. */
int trouble_set(struct trouble *trouble, enum exit_status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
