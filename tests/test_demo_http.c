/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The demo worker's HTTP: what is answered how, and that any split of the input reads the same. */
#include <stdlib.h>
#include <string.h>

/* a tool is one program and no library */
#include "check.h"
#include "../tools/demo-worker/http.c"

#define H "Host: a\r\n"

static const struct {
	const char *text;
	int status; /* 0 = incomplete */
	bool keep_alive;
	uint64_t body_bytes;
} rows[] = {
	{ "GET / HTTP/1.1\r\n" H "\r\n", 200, true, 0 },
	{ "HEAD /x?y=z HTTP/1.1\r\n" H "\r\n", 200, true, 0 },
	{ "GET / HTTP/1.1\n"
	  "host:a\n\n",
	  200, true, 0 },
	{ "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", 200, true, 0 },
	{ "GET / HTTP/1.0\r\n\r\n", 200, false, 0 },
	{ "GET / HTTP/1.0\r\nConnection: x, Keep-Alive\r\n\r\n", 200, true, 0 },
	{ "GET / HTTP/1.1\r\n" H "Connection: \t close \r\n\r\n", 200, false, 0 },
	{ "GET / HTTP/1.1\r\n" H "Content-Length: 12\r\n\r\n", 200, true, 12 },
	{ "GET / HTTP/1.1\r\n" H "Content-Length: 5\r\ncontent-length: 5\r\n\r\n", 200, true, 5 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\n", 405, false, 3 },
	{ "get / HTTP/1.1\r\n" H "\r\n", 405, false, 0 },
	{ "", 0, false, 0 },
	{ "\r\n", 0, false, 0 },
	{ "GET / HTTP/1.1\r\n" H, 0, false, 0 },
	{ "GET / HTTP/1.1\r\n\r\n", 400, false, 0 },
	{ "GET / HTTP/1.1\r\n" H H "\r\n", 400, false, 0 },
	{ "GET / HTTP/1.2\r\n" H "\r\n", 400, false, 0 },
	{ "GET / HTTP/1.10\r\n" H "\r\n", 400, false, 0 },
	{ "GET  / HTTP/1.1\r\n" H "\r\n", 400, false, 0 },
	{ "GET /a b HTTP/1.1\r\n" H "\r\n", 400, false, 0 },
	{ "GET /\r\n\r\n", 400, false, 0 },
	{ " GET / HTTP/1.1\r\n" H "\r\n", 400, false, 0 },
	{ "G(T / HTTP/1.1\r\n" H "\r\n", 400, false, 0 },
	{ "GET / HTTP/1.1\r\n" H "no colon\r\n\r\n", 400, false, 0 },
	{ "GET / HTTP/1.1\r\n" H " folded: x\r\n\r\n", 400, false, 0 },
	{ "GET / HTTP/1.1\r\n" H "X : blank\r\n\r\n", 400, false, 0 },
	{ "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n", 400, false, 0 },
	{ "GET / HTTP/1.1\r\n" H ": empty\r\n\r\n", 400, false, 0 },
	{ "GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n", 400, false, 0 },
	{ "GET / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, false, 0 },
	{ "GET / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n", 400, false, 0 },
	{ "GET / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\n", 400, false, 0 },
	{ "GET / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", 400, false, 0 },
};

/* An exact copy on the heap, so that ASan sees a read past the end. */
static size_t parse_copy(const char *text, size_t len, struct http_request *request)
{
	char *copy = malloc(len ? len : 1);
	size_t used;

	assert_non_null(copy);
	memcpy(copy, text, len);
	used = http_parse(copy, len, request);
	free(copy);
	return used;
}

static void test_requests(void **state)
{
	struct http_request request;
	size_t i, len, used;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		len = strlen(rows[i].text);
		used = parse_copy(rows[i].text, len, &request);
		if (request.status != rows[i].status || used != (rows[i].status ? len : 0) ||
		    request.keep_alive != rows[i].keep_alive ||
		    (request.status && request.status != 400 &&
		     request.body_bytes != rows[i].body_bytes))
			fail_msg("%s: got %d after %zu bytes, want %d", rows[i].text,
				 request.status, used, rows[i].status);
	}
}

static void test_a_part_of_a_request_asks_for_more(void **state)
{
	struct http_request request;
	size_t i, len;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		for (len = 0; len + 1 < strlen(rows[i].text); len++)
			assert_int_equal(parse_copy(rows[i].text, len, &request), 0);
	}
}

static void test_pipelined_requests_are_taken_one_by_one(void **state)
{
	static const char text[] = "GET /1 HTTP/1.1\r\n" H "\r\nGET /2 HTTP/1.1\r\n" H "\r\n";
	struct http_request request;
	size_t used;

	(void)state;
	used = http_parse(text, strlen(text), &request);
	assert_int_equal(used, strlen(text) / 2);
	assert_memory_equal(request.target, "/1", request.target_bytes);
	used = http_parse(text + used, strlen(text) - used, &request);
	assert_int_equal(used, strlen(text) / 2);
	assert_memory_equal(request.target, "/2", request.target_bytes);
}

static void test_responses(void **state)
{
	struct http_response response = {
		.status = 200,
		.worker = 3,
		.type = "text/plain",
		.body = "hi\n",
		.keep_alive = true,
	};
	static const char want[] = "HTTP/1.1 200 OK\r\nX-Worker: 3\r\nContent-Type: text/plain\r\n"
				   "Content-Length: 3\r\nConnection: keep-alive\r\n\r\nhi\n";
	char text[HTTP_MAX_RESPONSE];
	char body[257];

	(void)state;
	assert_int_equal(http_respond(text, &response), strlen(want));
	assert_memory_equal(text, want, strlen(want));
	response.head = true;
	assert_int_equal(http_respond(text, &response), strlen(want) - 3);
	/* the longest */
	memset(body, 'x', 256);
	body[256] = '\0';
	response = (struct http_response){
		.status = 405,
		.worker = INT32_MAX,
		.type = "application/json",
		.body = body,
	};
	assert_true(http_respond(text, &response) < HTTP_MAX_RESPONSE);
}

/* An answer without a body is for HEAD, and methods are case-sensitive. */
static void test_head_alone_has_no_body(void **state)
{
	static const struct {
		const char *text;
		bool want;
	} lines[] = {
		{ "HEAD / HTTP/1.1\r\n" H "\r\n", true },
		{ "GET / HTTP/1.1\r\n" H "\r\n", false },
		{ "head / HTTP/1.1\r\n" H "\r\n", false },
		{ "HEADS / HTTP/1.1\r\n" H "\r\n", false },
	};
	struct http_request request;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		parse_copy(lines[i].text, strlen(lines[i].text), &request);
		check("head", lines[i].text, request.head, lines[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_a_part_of_a_request_asks_for_more),
		cmocka_unit_test(test_pipelined_requests_are_taken_one_by_one),
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_head_alone_has_no_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
