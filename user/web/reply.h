/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Responses of HTTP, all with the headers that keep other pages away from ours. */
#ifndef REPLY_H
#define REPLY_H

#include <jansson.h>
#include <stdbool.h>

#include "web/mhd.h"

#define REPLY_JSON "application/json"
#define REPLY_TEXT "text/plain; version=0.0.4; charset=utf-8"
#define REPLY_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define REPLY_SVG "image/svg+xml"

/* A text of that type, which is copied. All of them return what MHD_queue_response() does. */
enum MHD_Result reply_text(struct MHD_Connection *connection, unsigned int status, const char *type,
			   const char *text, size_t bytes);

/* JSON, which is taken over. */
enum MHD_Result reply_json(struct MHD_Connection *connection, unsigned int status, json_t *value);

/* {"status":N,"text":"..."}: an exit status of lbctl and a sentence; `allow` as of 405, or NULL. */
enum MHD_Result reply_error(struct MHD_Connection *connection, unsigned int status, int exit_status,
			    const char *text, const char *allow);

/* The page, with a nonce of its own. */
enum MHD_Result reply_page(struct MHD_Connection *connection);

/* Version, policies, and whether changes are let in. */
enum MHD_Result reply_about(struct MHD_Connection *connection, bool changes);

/* Server-sent events: a response of streams_join(), which is taken over. */
enum MHD_Result reply_stream(struct MHD_Connection *connection, struct MHD_Response *response);

#endif
