/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a request of HTTP means, and whether it may be asked: by its method, path, headers and body,
 * all of which a stranger chose. Functions of text, which know no socket.
 */
#ifndef ROUTE_H
#define ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "web/change.h"

enum route_page {
	ROUTE_PAGE,
	ROUTE_METRICS,
	ROUTE_ABOUT,
	ROUTE_SERVICES,
	ROUTE_SERVICE,
	ROUTE_PICTURE,
	ROUTE_EVENTS,
	ROUTE_CHANGE,
};

struct route {
	enum route_page page;
	struct change
		change; /* of ROUTE_SERVICE and _PICTURE the service, of ROUTE_CHANGE all but the value */
};

/* The longest path that means something. */
#define ROUTE_MOST_BYTES (LB_NAME_MAX + 48)

/*
 * Which page it is. HEAD is as GET, but not of what has no end. Returns 0, or the status of HTTP
 * that says what is wrong: 404, or 405 with *allow the methods that would do.
 */
int route_parse(const char *method, const char *path, struct route *route, const char **allow);

/*
 * Is this Host: header one of ours? localhost, a loopback address, or one of `others` (a list with
 * commas, NULL = none), each with a port or without: behind a tunnel it is not the port that we
 * listen on. Another one is a page of a stranger that had its name lead here (DNS rebinding).
 */
bool route_host_is_ours(const char *host, const char *others);

/* Is the page that asks, by its Origin: header, one of this host? */
bool route_origin_is_ours(const char *origin, const char *host);

/* Does Accept: (NULL = none) want OpenMetrics as much as the text format? RFC 9110, 12.5.1 */
bool route_wants_openmetrics(const char *accept);

/* The token of "Authorization: Bearer TOKEN"; "" for anything else. */
void route_token(const char *authorization, char token[CHANGE_TOKEN_BYTES]);

/* Is it application/json, with parameters or without? */
bool route_is_json(const char *content_type);

/*
 * Takes the value of a change out of the body: {"policy":"rr"}, {"weight":3}; of the others it is
 * empty or an object. Returns 0, or -EINVAL with *why what is wrong.
 */
int route_read_body(struct change *change, const char *body, size_t bytes, const char **why);

#endif
