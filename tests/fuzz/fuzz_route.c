// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a stranger says over HTTP to lbctl export. Whatever it is, what comes of it is one of a few
 * commands, of checked words.
 */
#include "fuzz/fuzz_change.h"
#include "lb_abi.h"
#include "web/route.h"

static void on_route(const char *text)
{
	static const char *const methods[] = { "GET", "HEAD", "POST", "" };
	const char *path = strchr(text, ' ') ? strchr(text, ' ') + 1 : text, *allow, *why;
	struct route route;
	int status;

	for (size_t i = 0; i < 4; i++) {
		status = route_parse(methods[i], path, &route, &allow);
		FUZZ_CHECK(!status || status == 404 || (status == 405 && allow));
		if (status || route.page != ROUTE_CHANGE)
			continue;
		FUZZ_CHECK(i == 2 && !parse_name(route.change.service));
		if (!route_read_body(&route.change, text, path - text, &why))
			fuzz_change_check(&route.change);
	}
}

/* With a body for each verb. */
static void on_body(const char *text)
{
	const char *why;

	for (uint32_t verb = 0; verb < CHANGE_VERBS; verb++) {
		struct change change = { .verb = verb, .service = "web" };
		int err = route_read_body(&change, text, strlen(text), &why);

		FUZZ_CHECK(!err == !why);
		if (!err)
			fuzz_change_check(&change);
	}
}

static void on_host(const char *text)
{
	bool ours = route_host_is_ours(text, NULL);
	char own[64];

	/* what is ours has no letter that would lead elsewhere */
	FUZZ_CHECK(!ours || !text[strspn(text, "localhstLOCALHST0123456789.:[]")]);
	FUZZ_CHECK(!ours || route_host_is_ours(text, "a.example,b.example"));
	snprintf(own, sizeof(own), "http://%.40s", text);
	FUZZ_CHECK(strlen(text) > 40 || !*text || route_origin_is_ours(own, text));
	FUZZ_CHECK(!route_origin_is_ours(text, "elsewhere.example") ||
		   strstr(text, "://") == text + strlen(text) - strlen("://elsewhere.example"));
}

static void on_headers(const char *text)
{
	char token[CHANGE_TOKEN_BYTES];

	FUZZ_CHECK(!route_wants_openmetrics(text) || strcasestr(text, "openmetrics-text"));
	FUZZ_CHECK(!route_is_json(text) || !strncasecmp(text, "application/json", 16));
	route_token(text, token);
	FUZZ_CHECK(memchr(token, '\0', sizeof(token)) && strlen(token) <= strlen(text));
	if (!change_read_token(text, token))
		FUZZ_CHECK(!strncmp(text, token, strlen(token)) &&
			   strlen(token) >= CHANGE_TOKEN_LEAST);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static const fuzz_parser parsers[] = { on_route, on_body, on_host, on_headers };

	fuzz_one_of(parsers, sizeof(parsers) / sizeof(parsers[0]), bytes, n);
	return 0;
}
