/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * HTTP/1.0 and 1.1 requests and responses as text, without sockets. Bodies of requests are
 * skipped by the caller; chunked ones are refused.
 */
#ifndef DEMO_HTTP_H
#define DEMO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_MAX_HEADER 8192  /* bytes of request line and header fields */
#define HTTP_MAX_RESPONSE 512 /* bytes that http_respond() writes at most */

struct http_request {
	int status; /* 200, or the error to answer: then the connection is closed */
	bool head;  /* no body in the response */
	bool keep_alive;
	const char *target; /* points into the text that was parsed */
	size_t target_bytes;
	uint64_t body_bytes; /* to be skipped after the header */
};

/*
 * Parses the request at the start of text. Return: the bytes of its header, 0 when more are
 * needed (if len is HTTP_MAX_HEADER already, answer 431).
 */
size_t http_parse(const char *text, size_t len, struct http_request *request);

struct http_response {
	int status;
	int worker;
	const char *type;
	const char *body; /* at most 256 bytes */
	bool head;
	bool keep_alive;
};

/* Writes at most HTTP_MAX_RESPONSE bytes, no terminating 0. Return: how many. */
size_t http_respond(char *text, const struct http_response *response);

#endif
