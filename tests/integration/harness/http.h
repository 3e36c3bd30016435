/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `lbctl export`, and a client of HTTP that may send anything. */
#ifndef HARNESS_HTTP_H
#define HARNESS_HTTP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define EXPORT_PORT 9190
#define EXPORT_SOCKET "/run/test/export.sock"

struct export
{
	pid_t pid, web; /* the one with the rights, and the one that answers */
};

/* `lbctl export ARG... NULL`; returns once it answers on 127.0.0.1 or EXPORT_SOCKET. */
void export_start(struct export *export, ...) __attribute__((sentinel));
/* By SIGTERM: it ends with 0, and the other process with it. */
void export_stop(struct export *export);

struct http {
	int status;		 /* 0 = there was no answer */
	char *text;		 /* all of it */
	const char *head, *body; /* in it */
};

#define _cleanup_http_ __attribute__((cleanup(http_free)))
void http_free(struct http *http);

/* A connection, blocking, with a deadline for what is read; -1 with errno if there is none. */
int http_connect(void);
int http_connect_unix(void);
/* Sends the bytes on a connection, reads until it is closed, and closes it. */
void http_send(struct http *http, int fd, const void *bytes, size_t n);
/*
 * Asks for METHOD PATH, with a Host: that is right; `headers` are lines that end with \r\n, "" =
 * none, and the body may be NULL.
 */
void http_ask(struct http *http, const char *method, const char *path, const char *headers,
	      const char *body);
/* GET of a path that must answer with 200. */
void http_get(struct http *http, const char *path);

#endif
