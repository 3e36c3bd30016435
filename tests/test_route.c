// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a request of HTTP means, and who may ask: user/web/route.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "web/route.h"

static const struct {
	const char *method, *path;
	int status;
	enum route_page page;
	enum change_verb verb;
	const char *service;
	uint32_t worker;
} routes[] = {
	{ "GET", "/", 0, ROUTE_PAGE, 0, "", 0 },
	{ "HEAD", "/", 0, ROUTE_PAGE, 0, "", 0 },
	{ "GET", "/metrics", 0, ROUTE_METRICS, 0, "", 0 },
	{ "GET", "/api/about", 0, ROUTE_ABOUT, 0, "", 0 },
	{ "GET", "/api/services", 0, ROUTE_SERVICES, 0, "", 0 },
	{ "GET", "/api/services/web", 0, ROUTE_SERVICE, 0, "web", 0 },
	{ "GET", "/api/services/web/plot.svg", 0, ROUTE_PICTURE, 0, "web", 0 },
	{ "GET", "/api/services/web/plot.png", 404, 0, 0, "", 0 },
	{ "POST", "/api/services/web/plot.svg", 405, ROUTE_PICTURE, 0, "web", 0 },
	{ "GET", "/api/events", 0, ROUTE_EVENTS, 0, "", 0 },
	{ "POST", "/api/services/web/policy", 0, ROUTE_CHANGE, CHANGE_POLICY, "web", 0 },
	{ "POST", "/api/services/web/reload", 0, ROUTE_CHANGE, CHANGE_RELOAD, "web", 0 },
	{ "POST", "/api/services/a-b_1/workers/7/weight", 0, ROUTE_CHANGE, CHANGE_WEIGHT, "a-b_1",
	  7 },
	{ "POST", "/api/services/web/workers/all/drain", 0, ROUTE_CHANGE, CHANGE_DRAIN, "web",
	  LB_ALL_WORKERS },
	{ "POST", "/api/services/web/workers/0/resume", 0, ROUTE_CHANGE, CHANGE_RESUME, "web", 0 },
	{ "HEAD", "/api/events", 405, ROUTE_EVENTS, 0, "", 0 },
	{ "POST", "/", 405, ROUTE_PAGE, 0, "", 0 },
	{ "GET", "/api/services/web/reload", 405, ROUTE_CHANGE, CHANGE_RELOAD, "web", 0 },
	{ "PUT", "/metrics", 405, ROUTE_METRICS, 0, "", 0 },
	{ "get", "/", 405, ROUTE_PAGE, 0, "", 0 },
	{ "GE", "/", 405, ROUTE_PAGE, 0, "", 0 },
	{ "ET", "/", 405, ROUTE_PAGE, 0, "", 0 },
	{ "", "/", 405, ROUTE_PAGE, 0, "", 0 },
	{ "GET", "", 404, 0, 0, "", 0 },
	{ "GET", "//", 404, 0, 0, "", 0 },
	{ "GET", "/metrics/", 404, 0, 0, "", 0 },
	{ "GET", "/metricsx", 404, 0, 0, "", 0 },
	{ "GET", "/metric", 404, 0, 0, "", 0 },
	{ "GET", "/api/services/", 404, 0, 0, "", 0 },
	{ "GET", "/api/services/../../etc", 404, 0, 0, "", 0 },
	{ "GET", "/api/services/..", 404, 0, 0, "", 0 },
	{ "GET", "/api/services/we b", 404, 0, 0, "", 0 },
	{ "GET", "/api/services/1web", 404, 0, 0, "", 0 },
	{ "POST", "/api/services/web/workers/-1/drain", 404, 0, 0, "", 0 },
	{ "POST", "/api/services/web/workers/1024/drain", 404, 0, 0, "", 0 },
	{ "POST", "/api/services/web/workers//drain", 404, 0, 0, "", 0 },
	{ "POST", "/api/services/web/workers/0/stop", 404, 0, 0, "", 0 },
	{ "GET",
	  "/api/services/"
	  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	  404, 0, 0, "", 0 },
};

static void test_routes(void **state)
{
	struct route route;
	const char *allow;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		int status = route_parse(routes[i].method, routes[i].path, &route, &allow);

		check(routes[i].method, routes[i].path, status, routes[i].status);
		check("allow", routes[i].path, allow != NULL, status != 404);
		check("page", routes[i].path, route.page, routes[i].page);
		if (status == 404)
			continue;
		check("verb", routes[i].path, route.change.verb, routes[i].verb);
		check("worker", routes[i].path, route.change.worker, routes[i].worker);
		assert_string_equal(route.change.service, routes[i].service);
	}
}

static void test_hosts(void **state)
{
	static const struct {
		const char *host, *others;
		bool ours;
	} rows[] = {
		{ "localhost", NULL, true },
		{ "LocalHost:9190", NULL, true },
		{ "127.0.0.1", NULL, true },
		{ "127.0.0.1:80", NULL, true },
		{ "127.1.2.3:9190", NULL, true },
		{ "[::1]", NULL, true },
		{ "[::1]:9190", NULL, true },
		{ "lb.example", "lb.example", true },
		{ "lb.example:443", "a.example,LB.example", true },
		{ NULL, NULL, false },
		{ "", "", false },
		{ "", NULL, false },
		{ ":80", NULL, false },
		{ "evil.example", NULL, false },
		{ "localhost.evil.example", NULL, false },
		{ "127.0.0.1.evil.example", NULL, false },
		{ "127.0.0.evil", NULL, false },
		{ "127.0.1", NULL, false },
		{ "evil127.0.0.1", NULL, false },
		{ "localhost:80:80", NULL, false },
		{ "localhost:80@evil.example", NULL, false },
		{ "localhost:x", NULL, false },
		{ "user@localhost", NULL, false },
		{ "[::1", NULL, false },
		{ "[::1]evil.example", NULL, false },
		{ "[::1]x:80", NULL, false },
		{ "[::2]", NULL, false },
		{ "10.0.0.1", NULL, false },
		{ "example", "lb.example", false },
		{ "lb.example", "lb.exampl,b.example", false },
		{ "a.example,lb.example", "a.example,lb.example", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("host", rows[i].host ? rows[i].host : "none",
		      route_host_is_ours(rows[i].host, rows[i].others), rows[i].ours);
}

static void test_origins(void **state)
{
	static const struct {
		const char *origin, *host;
		bool ours;
	} rows[] = {
		{ "http://localhost:9190", "localhost:9190", true },
		{ "HTTP://LOCALHOST:9190", "localhost:9190", true },
		{ "https://lb.example", "lb.example", true },
		{ "null", "localhost:9190", false },
		{ "", "localhost:9190", false },
		{ "http://localhost", "localhost:9190", false },
		{ "http://localhost:91900", "localhost:9190", false },
		{ "http://localhost:9191", "localhost:9190", false },
		{ "http://evil.example", "localhost:9190", false },
		{ "http://localhost:9190.evil.example", "localhost:9190", false },
		{ "http://", "", false },
		{ "file://localhost:9190", "localhost:9190", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("origin", rows[i].origin, route_origin_is_ours(rows[i].origin, rows[i].host),
		      rows[i].ours);
}

static void test_accept(void **state)
{
	static const struct {
		const char *accept;
		bool open;
	} rows[] = {
		{ NULL, false },
		{ "", false },
		{ "*/*", false },
		{ "text/plain", false },
		{ "application/openmetrics-text", true },
		{ "Application/OpenMetrics-Text; version=1.0.0; charset=utf-8", true },
		/* as Prometheus 2.42 and 3.0 ask */
		{ "application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
		  "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
		  true },
		{ "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
		  "text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
		  true },
		{ "text/plain;q=0.5, application/openmetrics-text;q=0.25", false },
		{ "text/plain;q=0.25 , application/openmetrics-text ; q=0.5", true },
		{ "application/openmetrics-text;q=0", false },
		{ "application/openmetrics-text;q=0.000,text/plain", false },
		{ "application/openmetrics-textual", false },
		{ "x/application/openmetrics-text", false },
		{ ",,;;,q=", false },
		{ "application/openmetrics-text;", true },
		{ "application/openmetrics-text;q=", true },
		{ "application/openmetrics-text;q=0.9999999999999999999", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check("accept", rows[i].accept ? rows[i].accept : "none",
		      route_wants_openmetrics(rows[i].accept), rows[i].open);
}

static void test_token(void **state)
{
	char token[CHANGE_TOKEN_BYTES], longest[CHANGE_TOKEN_BYTES + 16] = "Bearer ";

	(void)state;
	route_token("Bearer abc", token);
	assert_string_equal(token, "abc");
	route_token("bearer   abc", token);
	assert_string_equal(token, "abc");
	route_token("Basic abc", token);
	assert_string_equal(token, "");
	route_token("Bearerabc", token);
	assert_string_equal(token, "");
	route_token(NULL, token);
	assert_string_equal(token, "");
	memset(longest + 7, 'x', CHANGE_TOKEN_BYTES - 1);
	route_token(longest, token);
	assert_int_equal(strlen(token), CHANGE_TOKEN_BYTES - 1);
	longest[7 + CHANGE_TOKEN_BYTES - 1] = 'x';
	route_token(longest, token);
	assert_string_equal(token, "");
}

static void test_content_type(void **state)
{
	(void)state;
	assert_true(route_is_json("application/json"));
	assert_true(route_is_json("Application/JSON; charset=utf-8"));
	assert_false(route_is_json(NULL));
	assert_false(route_is_json(""));
	assert_false(route_is_json("text/plain"));
	assert_false(route_is_json("application/jsonp"));
	assert_false(route_is_json("text/plain;application/json"));
}

static void test_bodies(void **state)
{
	static const struct {
		enum change_verb verb;
		const char *body;
		int err;
		const char *value; /* a number, or a policy's name */
	} rows[] = {
		{ CHANGE_POLICY, "{\"policy\":\"rr\"}", 0, "rr" },
		{ CHANGE_POLICY, "{\"policy\":\"least-conn\",\"x\":1}", 0, "least-conn" },
		{ CHANGE_WEIGHT, "{\"weight\":3}", 0, "3" },
		{ CHANGE_WEIGHT, "{\"weight\":4294967295}", 0, "4294967295" },
		{ CHANGE_DRAIN, "", 0, NULL },
		{ CHANGE_DRAIN, "{}", 0, NULL },
		{ CHANGE_RELOAD, "{\"any\":[1]}", 0, NULL },
		{ CHANGE_POLICY, "", -EINVAL, NULL },
		{ CHANGE_POLICY, "{}", -EINVAL, NULL },
		{ CHANGE_POLICY, "{\"policy\":\"RR\"}", -EINVAL, NULL },
		{ CHANGE_POLICY, "{\"policy\":\"--help\"}", -EINVAL, NULL },
		{ CHANGE_POLICY, "{\"policy\":1}", -EINVAL, NULL },
		{ CHANGE_WEIGHT, "{\"weight\":0}", -EINVAL, NULL },
		{ CHANGE_WEIGHT, "{\"weight\":-1}", -EINVAL, NULL },
		{ CHANGE_WEIGHT, "{\"weight\":1.5}", -EINVAL, NULL },
		{ CHANGE_WEIGHT, "{\"weight\":\"3\"}", -EINVAL, NULL },
		{ CHANGE_WEIGHT, "{\"weight\":4294967297}", -EINVAL, NULL },
		{ CHANGE_DRAIN, "null", -EINVAL, NULL },
		{ CHANGE_DRAIN, "[]", -EINVAL, NULL },
		{ CHANGE_DRAIN, "{", -EINVAL, NULL },
		{ CHANGE_DRAIN, "{}{}", -EINVAL, NULL },
	};
	struct change change;
	char number[12];
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		change = (struct change){ .verb = rows[i].verb };
		check("body", rows[i].body,
		      route_read_body(&change, rows[i].body, strlen(rows[i].body), &why),
		      rows[i].err);
		check("why", rows[i].body, why != NULL, rows[i].err != 0);
		if (!rows[i].value)
			continue;
		snprintf(number, sizeof(number), "%u", change.value);
		assert_string_equal(rows[i].verb == CHANGE_POLICY ? policy_name(change.value) :
								    number,
				    rows[i].value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),	cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_origins), cmocka_unit_test(test_accept),
		cmocka_unit_test(test_token),	cmocka_unit_test(test_content_type),
		cmocka_unit_test(test_bodies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
