// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See reply.h. */
#include "web/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/text_json.h"
#include "base/trouble.h"
#include "web/page.h"

static const struct {
	const char *name, *value;
} headers[] = {
	{ "Cache-Control", "no-store" },
	{ "X-Content-Type-Options", "nosniff" },
	{ "Referrer-Policy", "no-referrer" },
	{ "Cross-Origin-Resource-Policy", "same-origin" },
	{ "Cross-Origin-Opener-Policy", "same-origin" },
	{ "X-Frame-Options", "DENY" },
};

static void add_headers(struct MHD_Response *response, const char *type, const char *policy)
{
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		mhd.add_response_header(response, headers[i].name, headers[i].value);
	mhd.add_response_header(response, "Content-Type", type);
	mhd.add_response_header(response, "Content-Security-Policy", policy);
}

#define NOTHING "default-src 'none'; frame-ancestors 'none'"

static enum MHD_Result queue(struct MHD_Connection *connection, unsigned int status,
			     struct MHD_Response *response)
{
	enum MHD_Result result = mhd.queue_response(connection, status, response);

	mhd.destroy_response(response);
	return result;
}

enum MHD_Result reply_text(struct MHD_Connection *connection, unsigned int status, const char *type,
			   const char *text, size_t bytes)
{
	struct MHD_Response *response =
		mhd.create_response_from_buffer(bytes, (void *)text, MHD_RESPMEM_MUST_COPY);

	if (!response)
		return MHD_NO;
	add_headers(response, type, NOTHING);
	return queue(connection, status, response);
}

enum MHD_Result reply_json(struct MHD_Connection *connection, unsigned int status, json_t *value)
{
	_cleanup_free_ char *text = value ? json_dumps(value, JSON_INDENT(1)) : NULL;

	json_decref(value);
	return text ? reply_text(connection, status, REPLY_JSON, text, strlen(text)) : MHD_NO;
}

enum MHD_Result reply_error(struct MHD_Connection *connection, unsigned int status, int exit_status,
			    const char *text, const char *allow)
{
	json_t *value = text_pack("{s:i, s:s}", "status", exit_status, "text", text);
	_cleanup_free_ char *body = value ? json_dumps(value, JSON_COMPACT) : NULL;
	struct MHD_Response *response;

	json_decref(value);
	response =
		body ? mhd.create_response_from_buffer(strlen(body), body, MHD_RESPMEM_MUST_COPY) :
		       NULL;
	if (!response)
		return MHD_NO;
	add_headers(response, REPLY_JSON, NOTHING);
	if (allow)
		mhd.add_response_header(response, "Allow", allow);
	if (status == MHD_HTTP_UNAUTHORIZED)
		mhd.add_response_header(response, "WWW-Authenticate", "Bearer");
	return queue(connection, status, response);
}

static int make_nonce(char nonce[PAGE_NONCE_BYTES])
{
	unsigned char bytes[(PAGE_NONCE_BYTES - 1) / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -1;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(nonce + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

enum MHD_Result reply_page(struct MHD_Connection *connection)
{
	char nonce[PAGE_NONCE_BYTES], policy[PAGE_POLICY_BYTES];
	struct MHD_Response *response;
	size_t bytes;
	char *text = make_nonce(nonce) ? NULL : page_make(nonce, &bytes);

	response = text ? mhd.create_response_from_buffer(bytes, text, MHD_RESPMEM_MUST_FREE) :
			  NULL;
	if (!response) {
		free(text);
		return MHD_NO;
	}
	page_policy(nonce, policy);
	add_headers(response, "text/html; charset=utf-8", policy);
	return queue(connection, MHD_HTTP_OK, response);
}

enum MHD_Result reply_stream(struct MHD_Connection *connection, struct MHD_Response *response)
{
	add_headers(response, "text/event-stream", NOTHING);
	return queue(connection, MHD_HTTP_OK, response);
}

enum MHD_Result reply_about(struct MHD_Connection *connection, bool changes)
{
	json_t *policies = json_array();
	const char *const *names;
	size_t n;

	names = policy_names(&n);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(policies, text_json(names[i]));
	return reply_json(connection, MHD_HTTP_OK,
			  text_pack("{s:i, s:s, s:b, s:o}", "schema", 1, "version", LBCTL_VERSION,
				    "changes", changes, "policies", policies));
}
