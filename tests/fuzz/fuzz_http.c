// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A request, as the demo worker reads it. Any beginning of it is incomplete, and what follows it
 * changes nothing.
 */
#include "fuzz/fuzz.h"

/* a tool is one program and no library */
#include "../tools/demo-worker/http.c"

/* A copy of its own of the first `len` bytes. */
static size_t parse(const uint8_t *bytes, size_t len, struct http_request *request)
{
	char *copy = fuzz_copy(bytes, len);
	size_t used = http_parse(copy, len, request);

	FUZZ_CHECK(used <= len);
	if (request->status == 200)
		FUZZ_CHECK(request->target > copy &&
			   request->target + request->target_bytes < copy + used);
	/* a response without a body is for HEAD alone: another client would wait for it */
	FUZZ_CHECK(request->status != 405 || !request->head);
	free(copy);
	return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct http_request request, again;
	size_t used = n <= HTTP_MAX_HEADER ? parse(bytes, n, &request) : 0;
	char text[HTTP_MAX_RESPONSE];

	if (!used)
		return 0;
	FUZZ_CHECK(request.status == 200 || request.status == 400 || request.status == 405);
	FUZZ_CHECK(request.status == 200 || !request.keep_alive);
	FUZZ_CHECK(parse(bytes, used, &again) == used && again.status == request.status &&
		   again.body_bytes == request.body_bytes &&
		   again.keep_alive == request.keep_alive);
	for (size_t len = used > 40 ? used - 40 : 0; len < used; len++)
		FUZZ_CHECK(!parse(bytes, len, &again));
	FUZZ_CHECK(http_respond(text, &(struct http_response){ .status = request.status,
							       .worker = bytes[0],
							       .type = "text/plain",
							       .body = "body",
							       .head = request.head }) <=
		   sizeof(text));
	return 0;
}
