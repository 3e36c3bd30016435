/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the load generator asks for: URLs as siege's users write them, turned into requests. */
#ifndef BENCH_TARGET_H
#define BENCH_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/trouble.h"

#define TARGET_URL_MAX 2000

struct target {
	char url[TARGET_URL_MAX + 1]; /* as written */
	struct sockaddr_storage addr;
	socklen_t addr_len;
	char *request; /* whole, with its empty line */
	size_t request_bytes;
};

struct targets {
	struct target *all;
	size_t count;
};

/*
 * Adds a URL: http://HOST[:PORT][/PATH], with or without http://; the host is looked up now.
 * keep_alive decides what the request asks of the server. Returns EXIT_DONE or trouble's status.
 */
int targets_add(struct targets *targets, const char *url, bool keep_alive, struct trouble *trouble);

/* Adds each line of a file; empty lines and those that begin with # don't count. */
int targets_read(struct targets *targets, const char *path, bool keep_alive,
		 struct trouble *trouble);

void targets_free(struct targets *targets);

/* Splits a URL without looking anything up; host and port point into text, which is changed. */
struct target_parts {
	char *host;
	const char *port; /* "80" by default */
	const char *path; /* without its leading slash */
	bool bracketed;	  /* an IPv6 address: [::1] */
};
int target_split(char *text, struct target_parts *parts, struct trouble *trouble);

#endif
