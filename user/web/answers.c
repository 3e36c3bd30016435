// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See answers.h. */
#include "web/answers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/text_json.h"
#include "base/trouble.h"
#include "web/conns.h"
#include "web/frame.h"
#include "web/reply.h"
#include "web/route.h"
#include "web/stream.h"

#define SECOND_MS 1000

struct request {
	struct MHD_Connection *connection;
	struct request *next; /* of those who wait for the same */
	struct route route;
	char body[ANSWERS_BODY_BYTES];
	size_t body_bytes;
	bool too_long, waits, asked;
	uint32_t id; /* of what it has asked for itself, and what came of that */
	char *answer;
	size_t answer_bytes;
};

/* What is asked for often, and answered for all at once. */
struct question {
	struct request *waiting;
	bool asked;
	uint64_t answered_ms; /* 0 = not, or not any more */
	char *text;
	size_t bytes;
};

struct answers {
	struct answers_config config;
	struct frame in;
	struct question questions[FRAME_KINDS]; /* from FRAME_PICTURE on `waiting` only */
	json_t *state;				/* as last answered, NULL = not yet */
	json_t *events;				/* the last ones, their text */
	size_t events_bytes;
	struct streams *streams;
	uint32_t last_id;
};

static uint64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

struct answers *answers_new(const struct answers_config *config)
{
	struct answers *answers = calloc(1, sizeof(*answers));

	if (!answers)
		return NULL;
	answers->config = *config;
	answers->streams = streams_new();
	answers->events = json_array();
	if (answers->streams && answers->events)
		return answers;
	json_decref(answers->events);
	free(answers->streams);
	free(answers);
	return NULL;
}

/* --- asking --- */

/* With STATE, whether events are wanted as well. */
static void ask(struct answers *answers, enum frame_kind kind)
{
	struct question *question = &answers->questions[kind];
	const char *body = streams_count(answers->streams) ? "1" : "0";

	if (question->asked)
		return;
	question->asked =
		!frame_write(answers->config.reader_fd, kind, 0, body, kind == FRAME_STATE);
}

static void wait_for(struct question *question, struct request *request)
{
	request->waits = true;
	request->next = question->waiting;
	question->waiting = request;
	conns_set_busy(request->connection, true);
	mhd.suspend_connection(request->connection);
}

static void go_on(struct request *request)
{
	request->waits = false;
	request->next = NULL;
	mhd.resume_connection(request->connection);
}

/* --- what comes back --- */

static void keep_event(struct answers *answers, json_t *event)
{
	_cleanup_free_ char *text = json_dumps(event, JSON_COMPACT);

	if (!text)
		return;
	answers->events_bytes += strlen(text);
	json_array_append_new(answers->events, text_json_exact(text));
	while (json_array_size(answers->events) > ANSWERS_EVENTS ||
	       answers->events_bytes > ANSWERS_EVENTS_BYTES) {
		answers->events_bytes -= json_string_length(json_array_get(answers->events, 0));
		json_array_remove(answers->events, 0);
	}
	streams_send(answers->streams, streams_message("event", text));
}

/* Nobody follows them, and those who do next are told them again. */
static void forget_events(struct answers *answers)
{
	json_array_clear(answers->events);
	answers->events_bytes = 0;
}

/* What those who look on are sent: {"time_ms":N,"services":[...],"unreadable":[...]}. */
static char *state_message(const struct answers *answers)
{
	static const char *const keys[] = { "time_ms", "services", "unreadable" };
	json_t *value = json_object();
	char *text, *message;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		json_object_set(value, keys[i], json_object_get(answers->state, keys[i]));
	text = json_dumps(value, JSON_COMPACT);
	message = text ? streams_message("state", text) : NULL;
	free(text);
	json_decref(value);
	return message;
}

static void take_state(struct answers *answers)
{
	json_t *state = json_loadb(answers->in.body, answers->in.head.bytes, 0, NULL), *event;
	size_t i;

	if (!state)
		return;
	json_decref(answers->state);
	answers->state = state;
	if (!json_is_true(json_object_get(state, "following")))
		forget_events(answers);
	json_array_foreach(json_object_get(state, "events"), i, event) {
		keep_event(answers, event);
	}
	json_object_del(state, "events");
	streams_send(answers->streams, state_message(answers));
}

/* Those who wait for it answer with it now: libmicrohttpd calls them again. */
static void take_answer(struct answers *answers, struct question *question)
{
	struct request *request;

	if (answers->in.head.kind == FRAME_STATE)
		take_state(answers);
	free(question->text);
	question->text = answers->in.body;
	question->bytes = answers->in.head.bytes;
	answers->in.body = NULL;
	question->answered_ms = clock_ms();
	question->asked = false;
	while ((request = question->waiting)) {
		question->waiting = request->next;
		go_on(request);
	}
}

/* What was read before a change is not what is asked for from now on. */
static void take_own(struct answers *answers)
{
	struct request **at = &answers->questions[answers->in.head.kind].waiting, *request;

	for (size_t i = 0; i < FRAME_KINDS && answers->in.head.kind == FRAME_CHANGE; i++)
		answers->questions[i].answered_ms = 0;
	while (*at && (*at)->id != answers->in.head.id)
		at = &(*at)->next;
	request = *at;
	if (!request)
		return;
	*at = request->next;
	request->answer = answers->in.body;
	request->answer_bytes = answers->in.head.bytes;
	answers->in.body = NULL;
	go_on(request);
}

int answers_take(struct answers *answers)
{
	int got;

	while ((got = frame_read(answers->config.reader_fd, &answers->in, ANSWERS_FRAME_BYTES)) >
	       0) {
		if (answers->in.head.kind >= FRAME_PICTURE)
			take_own(answers);
		else
			take_answer(answers, &answers->questions[answers->in.head.kind]);
		frame_drop(&answers->in);
	}
	return got;
}

void answers_tick(struct answers *answers)
{
	if (streams_count(answers->streams))
		ask(answers, FRAME_STATE);
}

/* --- requests --- */

static const char *header(struct MHD_Connection *connection, const char *name)
{
	return mhd.lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* Of HTTP, and 0 for a request that may be answered. */
static unsigned int check_source(const struct answers *answers, struct MHD_Connection *connection,
				 const char **why)
{
	const char *host = header(connection, MHD_HTTP_HEADER_HOST);
	const char *origin = header(connection, MHD_HTTP_HEADER_ORIGIN);

	if (!route_host_is_ours(host, answers->config.hosts)) {
		*why = "the request names a host that is not ours; lbctl export --host NAME lets "
		       "it in";
		return MHD_HTTP_FORBIDDEN;
	}
	if (origin && !route_origin_is_ours(origin, host)) {
		*why = "a page of another site may not ask";
		return MHD_HTTP_FORBIDDEN;
	}
	return 0;
}

static unsigned int check_change(const struct answers *answers, struct MHD_Connection *connection,
				 const char **why)
{
	if (!answers->config.changes) {
		*why = "this is read-only; lbctl export --allow-changes --token-file FILE lets "
		       "changes in";
		return MHD_HTTP_FORBIDDEN;
	}
	if (!route_is_json(header(connection, MHD_HTTP_HEADER_CONTENT_TYPE))) {
		*why = "a change is application/json";
		return MHD_HTTP_UNSUPPORTED_MEDIA_TYPE;
	}
	return 0;
}

static enum MHD_Result begin(struct answers *answers, struct MHD_Connection *connection,
			     const char *url, const char *method, void **context)
{
	struct request *request = calloc(1, sizeof(*request));
	const char *why = NULL, *allow = NULL;
	unsigned int status;

	if (!request)
		return MHD_NO;
	*context = request;
	request->connection = connection;
	conns_set_busy(connection, false);
	status = check_source(answers, connection, &why);
	if (!status) {
		status = route_parse(method, url, &request->route, &allow);
		why = status == MHD_HTTP_NOT_FOUND ? "no such page" : "no such method here";
	}
	if (!status && request->route.page == ROUTE_CHANGE)
		status = check_change(answers, connection, &why);
	return status ? reply_error(connection, status, EXIT_USAGE, why, allow) : MHD_YES;
}

static void add_body(struct request *request, const char *data, size_t bytes)
{
	if (bytes > sizeof(request->body) - request->body_bytes) {
		request->too_long = true;
		return;
	}
	memcpy(request->body + request->body_bytes, data, bytes);
	request->body_bytes += bytes;
}

/* What those who come are sent first: the services, and what has happened. */
static char *make_hello(const struct answers *answers)
{
	_cleanup_free_ char *state = answers->state ? state_message(answers) : NULL;
	char *text = NULL;
	size_t bytes, i;
	FILE *out = open_memstream(&text, &bytes);
	const json_t *event;

	if (!out)
		return NULL;
	fprintf(out, "retry: 2000\n\n%s", state ? state : "");
	json_array_foreach(answers->events, i, event) {
		fprintf(out, "event: event\ndata: %s\n\n", json_string_value(event));
	}
	return fclose(out) ? NULL : text;
}

static enum MHD_Result follow(struct answers *answers, struct request *request)
{
	struct MHD_Response *response =
		streams_join(answers->streams, request->connection, make_hello(answers));

	if (!response)
		return reply_error(request->connection, MHD_HTTP_SERVICE_UNAVAILABLE, EXIT_FAILED,
				   "too many look on; try again later", NULL);
	conns_set_busy(request->connection, true);
	ask(answers, FRAME_STATE);
	return reply_stream(request->connection, response);
}

static enum MHD_Result no_service(const struct request *request)
{
	return reply_error(request->connection, MHD_HTTP_NOT_FOUND, EXIT_NOT_FOUND,
			   "no such service; /api/services has all", NULL);
}

static enum MHD_Result reply_service(const struct answers *answers, const struct request *request)
{
	const char *lists[] = { "services", "unreadable" };
	const char *name, *wanted = request->route.change.service;
	json_t *service;
	size_t i;

	for (size_t list = 0; list < 2; list++) {
		json_array_foreach(json_object_get(answers->state, lists[list]), i, service) {
			name = json_string_value(json_object_get(service, "service"));
			if (name && !strcmp(name, wanted))
				return reply_json(request->connection,
						  list ? MHD_HTTP_INTERNAL_SERVER_ERROR :
							 MHD_HTTP_OK,
						  json_incref(service));
		}
	}
	return no_service(request);
}

/* An answer that is fresh, or is waited for. */
static enum MHD_Result answer_from(struct answers *answers, enum frame_kind kind,
				   struct request *request)
{
	static const char *const types[] = {
		[FRAME_PROMETHEUS] = REPLY_TEXT,
		[FRAME_OPENMETRICS] = REPLY_OPENMETRICS,
	};
	struct question *question = &answers->questions[kind];
	bool fresh = clock_ms() - question->answered_ms < ANSWERS_FRESH_MS;

	if (!(question->answered_ms && fresh) && !request->asked) {
		request->asked = true;
		ask(answers, kind);
		wait_for(question, request);
		return MHD_YES;
	}
	if (kind != FRAME_STATE)
		return reply_text(request->connection, MHD_HTTP_OK, types[kind], question->text,
				  question->bytes);
	if (!answers->state)
		return MHD_NO;
	if (request->route.page == ROUTE_SERVICE)
		return reply_service(answers, request);
	return reply_json(request->connection, MHD_HTTP_OK,
			  json_incref(json_object_get(answers->state, "list")));
}

static enum MHD_Result ask_own(struct answers *answers, struct request *request,
			       enum frame_kind kind, const void *body, size_t bytes)
{
	request->asked = true;
	request->id = ++answers->last_id;
	if (frame_write(answers->config.reader_fd, kind, request->id, body, bytes))
		return MHD_NO;
	wait_for(&answers->questions[kind], request);
	return MHD_YES;
}

static enum MHD_Result picture(struct answers *answers, struct request *request)
{
	if (!request->asked)
		return ask_own(answers, request, FRAME_PICTURE, request->route.change.service,
			       strlen(request->route.change.service));
	if (!request->answer_bytes)
		return no_service(request);
	return reply_text(request->connection, MHD_HTTP_OK, REPLY_SVG, request->answer,
			  request->answer_bytes);
}

static enum MHD_Result ask_change(struct answers *answers, struct request *request)
{
	struct change *change = &request->route.change;
	enum MHD_Result asks;
	const char *why;

	if (request->too_long)
		return reply_error(request->connection, MHD_HTTP_CONTENT_TOO_LARGE, EXIT_USAGE,
				   "the body is too long", NULL);
	if (route_read_body(change, request->body, request->body_bytes, &why))
		return reply_error(request->connection, MHD_HTTP_BAD_REQUEST, EXIT_USAGE, why,
				   NULL);
	route_token(header(request->connection, MHD_HTTP_HEADER_AUTHORIZATION), change->token);
	asks = ask_own(answers, request, FRAME_CHANGE, change, sizeof(*change));
	memset(change->token, 0, sizeof(change->token));
	return asks;
}

static enum MHD_Result reply_change(struct request *request)
{
	const struct change_answer *answer = (const struct change_answer *)request->answer;

	/* the frame has a NUL behind it */
	if (!answer || request->answer_bytes < sizeof(*answer))
		return MHD_NO;
	return reply_error(request->connection, answer->http, answer->status, answer->text, NULL);
}

static enum MHD_Result answer(struct answers *answers, struct request *request)
{
	switch (request->route.page) {
	case ROUTE_PAGE:
		return reply_page(request->connection);
	case ROUTE_ABOUT:
		return reply_about(request->connection, answers->config.changes);
	case ROUTE_EVENTS:
		return follow(answers, request);
	case ROUTE_METRICS:
		return answer_from(answers,
				   route_wants_openmetrics(
					   header(request->connection, MHD_HTTP_HEADER_ACCEPT)) ?
					   FRAME_OPENMETRICS :
					   FRAME_PROMETHEUS,
				   request);
	case ROUTE_PICTURE:
		return picture(answers, request);
	case ROUTE_CHANGE:
		return request->asked ? reply_change(request) : ask_change(answers, request);
	default:
		return answer_from(answers, FRAME_STATE, request);
	}
}

enum MHD_Result answers_on_request(void *arg, struct MHD_Connection *connection, const char *url,
				   const char *method, const char *version, const char *data,
				   size_t *data_bytes, void **context)
{
	struct request *request = *context;

	(void)version;
	if (!request)
		return begin(arg, connection, url, method, context);
	if (*data_bytes) {
		add_body(request, data, *data_bytes);
		*data_bytes = 0;
		return MHD_YES;
	}
	return answer(arg, request);
}

void answers_on_end(void *arg, struct MHD_Connection *connection, void **context,
		    enum MHD_RequestTerminationCode code)
{
	struct request *request = *context;
	struct answers *answers = arg;

	(void)code;
	if (!request)
		return;
	for (size_t i = 0; i < FRAME_KINDS && request->waits; i++) {
		struct request **at = &answers->questions[i].waiting;

		while (*at && *at != request)
			at = &(*at)->next;
		if (*at)
			*at = request->next;
	}
	conns_set_busy(connection, false);
	free(request->answer);
	free(request);
	*context = NULL;
}
