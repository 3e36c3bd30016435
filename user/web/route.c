// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See route.h. */
#include "web/route.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define GET "GET, HEAD"

/* Of a path, * is the name of a service and # a worker. */
static const struct {
	const char *allow, *path;
	enum route_page page;
	enum change_verb verb;
} routes[] = {
	{ GET, "/", ROUTE_PAGE, 0 },
	{ GET, "/metrics", ROUTE_METRICS, 0 },
	{ GET, "/api/about", ROUTE_ABOUT, 0 },
	{ GET, "/api/services", ROUTE_SERVICES, 0 },
	{ GET, "/api/services/*", ROUTE_SERVICE, 0 },
	{ GET, "/api/services/*/plot.svg", ROUTE_PICTURE, 0 },
	{ "GET", "/api/events", ROUTE_EVENTS, 0 },
	{ "POST", "/api/services/*/policy", ROUTE_CHANGE, CHANGE_POLICY },
	{ "POST", "/api/services/*/reload", ROUTE_CHANGE, CHANGE_RELOAD },
	{ "POST", "/api/services/*/workers/#/weight", ROUTE_CHANGE, CHANGE_WEIGHT },
	{ "POST", "/api/services/*/workers/#/drain", ROUTE_CHANGE, CHANGE_DRAIN },
	{ "POST", "/api/services/*/workers/#/resume", ROUTE_CHANGE, CHANGE_RESUME },
};

/* Takes one part of a path, up to the next slash. Returns its length, 0 = it is not that. */
static size_t take_part(const char *path, char kind, struct change *change)
{
	size_t len = strcspn(path, "/");
	char part[LB_NAME_MAX + 1];

	if (!len || len > LB_NAME_MAX)
		return 0;
	memcpy(part, path, len);
	part[len] = '\0';
	if (kind == '*' ? parse_name(part) : parse_worker(part, &change->worker))
		return 0;
	if (kind == '*')
		memcpy(change->service, part, len + 1);
	return len;
}

static bool matches(const char *pattern, const char *path, struct change *change)
{
	size_t len;

	*change = (struct change){ 0 };
	for (; *pattern; pattern++, path += len) {
		if (*pattern == '*' || *pattern == '#')
			len = take_part(path, *pattern, change);
		else
			len = *path == *pattern;
		if (!len)
			return false;
	}
	return !*path;
}

static bool allows(const char *allow, const char *method)
{
	const char *at = strstr(allow, method);

	return *method && at && (at == allow || at[-1] == ' ') && strchr(",", at[strlen(method)]);
}

int route_parse(const char *method, const char *path, struct route *route, const char **allow)
{
	*allow = NULL;
	*route = (struct route){ 0 };
	if (strlen(path) > ROUTE_MOST_BYTES)
		return 404;
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (!matches(routes[i].path, path, &route->change))
			continue;
		route->page = routes[i].page;
		route->change.verb = routes[i].verb;
		*allow = routes[i].allow;
		return allows(*allow, method) ? 0 : 405;
	}
	*route = (struct route){ 0 };
	return 404;
}

/* The length of the host in "host:port", "[::1]:port" or without a port; 0 = it is neither. */
static size_t host_length(const char *host)
{
	size_t len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	const char *port;

	if (!len || len > strlen(host))
		return 0;
	port = host + len;
	if (!*port)
		return len;
	return *port == ':' && port[1 + strspn(port + 1, "0123456789")] == '\0' ? len : 0;
}

/* 127.1.2.3: a name as 127.0.0.1.example is none. */
static bool is_loopback(const char *host, size_t len)
{
	unsigned int dots = 0;

	if (strncmp(host, "127.", 4))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (host[i] != '.' && !isdigit((unsigned char)host[i]))
			return false;
		dots += host[i] == '.';
	}
	return dots == 3;
}

static bool is_same(const char *host, size_t len, const char *name, size_t name_len)
{
	return len == name_len && len && !strncasecmp(host, name, len);
}

bool route_host_is_ours(const char *host, const char *others)
{
	size_t len = host ? host_length(host) : 0, other;

	if (!len)
		return false;
	if (is_same(host, len, "localhost", strlen("localhost")) ||
	    is_same(host, len, "[::1]", strlen("[::1]")) || is_loopback(host, len))
		return true;
	for (; others; others = others[other] ? others + other + 1 : NULL) {
		other = strcspn(others, ",");
		if (is_same(host, len, others, other))
			return true;
	}
	return false;
}

bool route_origin_is_ours(const char *origin, const char *host)
{
	static const char *const schemes[] = { "http://", "https://" };

	for (size_t i = 0; i < 2; i++) {
		size_t len = strlen(schemes[i]);

		if (!strncasecmp(origin, schemes[i], len))
			return *host && !strcasecmp(origin + len, host);
	}
	return false;
}

static const char *skip_blanks(const char *at)
{
	return at + strspn(at, " \t");
}

/* Is this media range that type, whatever its parameters? */
static bool is_type(const char *range, size_t len, const char *type)
{
	size_t bare = strcspn(range, "; \t,");

	return bare <= len && bare == strlen(type) && !strncasecmp(range, type, bare);
}

/* A quality of "0.75" in thousandths; what is none is 1000. */
static unsigned int read_quality(const char *at)
{
	unsigned int value = 0, worth = 100;

	if (*at == '1')
		return 1000;
	if (*at != '0' || (at[1] != '.' && isdigit((unsigned char)at[1])))
		return 1000;
	for (at += at[1] == '.' ? 2 : 1; isdigit((unsigned char)*at) && worth; at++, worth /= 10)
		value += (*at - '0') * worth;
	return value;
}

static unsigned int quality_of(const char *range, size_t len)
{
	const char *end = range + len;

	for (const char *at = range; at < end; at++) {
		if (*at != ';')
			continue;
		at = skip_blanks(at + 1);
		if (at < end && !strncasecmp(at, "q=", 2))
			return read_quality(at + 2);
		at--;
	}
	return 1000;
}

bool route_wants_openmetrics(const char *accept)
{
	unsigned int open = 0, text = 0, quality;
	size_t len;

	for (; accept && *accept; accept += accept[len] ? len + 1 : len) {
		accept = skip_blanks(accept);
		len = strcspn(accept, ",");
		quality = quality_of(accept, len);
		if (is_type(accept, len, "application/openmetrics-text") && quality > open)
			open = quality;
		if (is_type(accept, len, "text/plain") && quality > text)
			text = quality;
	}
	return open && open >= text;
}

void route_token(const char *authorization, char token[CHANGE_TOKEN_BYTES])
{
	static const char scheme[] = "Bearer ";
	size_t len;

	memset(token, 0, CHANGE_TOKEN_BYTES);
	if (!authorization || strncasecmp(authorization, scheme, sizeof(scheme) - 1))
		return;
	authorization = skip_blanks(authorization + sizeof(scheme) - 1);
	len = strlen(authorization);
	if (len < CHANGE_TOKEN_BYTES)
		memcpy(token, authorization, len);
}

bool route_is_json(const char *content_type)
{
	return content_type && is_type(content_type, strlen(content_type), "application/json");
}

static int read_value(struct change *change, const json_t *body, const char **why)
{
	const json_t *weight = json_object_get(body, "weight");
	const char *policy = json_string_value(json_object_get(body, "policy"));
	json_int_t number = json_integer_value(weight);

	if (change->verb == CHANGE_POLICY && (!policy || parse_policy(policy, &change->value))) {
		*why = "\"policy\" is to be the name of a policy; /api/about has all";
		return -EINVAL;
	}
	if (change->verb != CHANGE_WEIGHT)
		return 0;
	if (!json_is_integer(weight) || number < 1 || number > UINT32_MAX) {
		*why = "\"weight\" is to be a number from 1 to 256";
		return -EINVAL;
	}
	change->value = number;
	return 0;
}

int route_read_body(struct change *change, const char *body, size_t bytes, const char **why)
{
	json_t *json = bytes ? json_loadb(body, bytes, 0, NULL) : json_object();
	int err = 0;

	*why = NULL;
	if (!json_is_object(json)) {
		*why = "the body is to be one object of JSON";
		err = -EINVAL;
	}
	if (!err)
		err = read_value(change, json, why);
	json_decref(json);
	return err;
}
