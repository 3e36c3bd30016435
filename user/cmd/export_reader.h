/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The process of lbctl export that has the rights to look, and to change something where that is
 * allowed. It answers the one that speaks HTTP (web/server.h), which it takes for a stranger.
 */
#ifndef EXPORT_READER_H
#define EXPORT_READER_H

#include <stdbool.h>

#define READER_MOST_CHANGES 8 /* at a time */

struct reader_config {
	int web_fd;	   /* a socket pair's end */
	const char *token; /* of who may change something; NULL = nobody */
};

/*
 * Answers until SIGTERM or SIGINT comes (0), or the other process is gone (-EPIPE). Tells the
 * service manager that it is ready.
 */
int reader_run(const struct reader_config *config);

#endif
