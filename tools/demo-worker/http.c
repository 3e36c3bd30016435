/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* As RFC 9112 has it: what could be read in two ways is refused. */
#include "http.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct span {
	const char *at;
	size_t len;
};

struct fields {
	int hosts;
	bool close, keep_alive, chunked, has_length;
	uint64_t length;
};

static bool is_token(struct span span)
{
	static const char others[] = "!#$%&'*+-.^_`|~";
	size_t i;

	for (i = 0; i < span.len; i++) {
		char c = span.at[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		      (c && strchr(others, c))))
			return false;
	}
	return span.len > 0;
}

static bool span_is(struct span span, const char *text)
{
	return span.len == strlen(text) && !strncasecmp(span.at, text, span.len);
}

static struct span trim(struct span span)
{
	while (span.len && (*span.at == ' ' || *span.at == '\t')) {
		span.at++;
		span.len--;
	}
	while (span.len && (span.at[span.len - 1] == ' ' || span.at[span.len - 1] == '\t'))
		span.len--;
	return span;
}

/* Takes what stands before the separator off rest; all of it if there is none. */
static struct span cut(struct span *rest, char separator)
{
	const char *found = memchr(rest->at, separator, rest->len);
	struct span head = { rest->at, found ? (size_t)(found - rest->at) : rest->len };
	size_t taken = head.len + (found != NULL);

	rest->at += taken;
	rest->len -= taken;
	return head;
}

/* A line without its LF or CRLF. */
static struct span cut_line(struct span *rest)
{
	struct span line = cut(rest, '\n');

	if (line.len && line.at[line.len - 1] == '\r')
		line.len--;
	return line;
}

static bool parse_length(struct span value, struct fields *fields)
{
	uint64_t length = 0;
	size_t i;

	if (!value.len || value.len > 18)
		return false;
	for (i = 0; i < value.len; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return false;
		length = length * 10 + (value.at[i] - '0');
	}
	if (fields->has_length && fields->length != length)
		return false;
	fields->has_length = true;
	fields->length = length;
	return true;
}

static void parse_connection(struct span value, struct fields *fields)
{
	while (value.len) {
		struct span option = trim(cut(&value, ','));

		if (span_is(option, "close"))
			fields->close = true;
		else if (span_is(option, "keep-alive"))
			fields->keep_alive = true;
	}
}

static bool parse_field(struct span line, struct fields *fields)
{
	struct span rest = line;
	struct span name = cut(&rest, ':');
	struct span value = trim(rest);

	/* no colon, a folded line, or a blank before the colon: none of these is a token */
	if (name.len == line.len || !is_token(name) || memchr(value.at, '\r', value.len) ||
	    memchr(value.at, '\0', value.len))
		return false;
	if (span_is(name, "host"))
		fields->hosts++;
	else if (span_is(name, "connection"))
		parse_connection(value, fields);
	else if (span_is(name, "transfer-encoding"))
		fields->chunked = true;
	else if (span_is(name, "content-length"))
		return parse_length(value, fields);
	return true;
}

static bool is_target(struct span target)
{
	size_t i;

	for (i = 0; i < target.len; i++) {
		if (target.at[i] <= ' ' || target.at[i] == 0x7f)
			return false;
	}
	return target.len > 0;
}

/* Return: the minor version, 0 or 1, or -1 for a bad line. */
static int parse_request_line(struct span line, struct span *method, struct http_request *request)
{
	struct span target;

	*method = cut(&line, ' ');
	target = cut(&line, ' ');
	request->target = target.at;
	request->target_bytes = target.len;
	/* methods are case-sensitive */
	request->head = method->len == 4 && !memcmp(method->at, "HEAD", 4);
	if (!is_token(*method) || !is_target(target) || line.len != 8 ||
	    memcmp(line.at, "HTTP/1.", 7))
		return -1;
	return line.at[7] == '0' || line.at[7] == '1' ? line.at[7] - '0' : -1;
}

static int parse_header(struct span header, struct http_request *request)
{
	struct fields fields = { 0 };
	struct span method;
	int minor = parse_request_line(cut_line(&header), &method, request);

	if (minor < 0)
		return 400;
	while (header.len) {
		struct span line = cut_line(&header);

		if (line.len && !parse_field(line, &fields))
			return 400;
	}
	if (fields.chunked || fields.hosts > 1 || (minor && !fields.hosts))
		return 400;
	request->body_bytes = fields.length;
	request->keep_alive = !fields.close && (minor || fields.keep_alive);
	return request->head || (method.len == 3 && !memcmp(method.at, "GET", 3)) ? 200 : 405;
}

/* Bytes up to and with the first empty line, or 0. */
static size_t header_end(const char *text, size_t from, size_t len)
{
	const char *line = text + from, *end;

	while ((end = memchr(line, '\n', text + len - line))) {
		if (end == line || (end == line + 1 && *line == '\r'))
			return end + 1 - text;
		line = end + 1;
	}
	return 0;
}

size_t http_parse(const char *text, size_t len, struct http_request *request)
{
	size_t from = 0, end;

	memset(request, 0, sizeof(*request));
	/* empty lines before a request line are to be ignored (RFC 9112, 2.2) */
	while (from < len && (text[from] == '\r' || text[from] == '\n'))
		from++;
	end = header_end(text, from, len);
	if (!end)
		return 0;
	request->status = parse_header((struct span){ text + from, end - from }, request);
	if (request->status != 200)
		request->keep_alive = false;
	return end;
}

static const char *reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 405:
		return "Method Not Allowed";
	case 431:
		return "Request Header Fields Too Large";
	}
	return "Bad Request";
}

size_t http_respond(char *text, const struct http_response *response)
{
	char whole[HTTP_MAX_RESPONSE + 1];
	int len = snprintf(whole, sizeof(whole),
			   "HTTP/1.1 %d %s\r\nX-Worker: %d\r\nContent-Type: %s\r\n"
			   "Content-Length: %zu\r\n%sConnection: %s\r\n\r\n%s",
			   response->status, reason(response->status), response->worker,
			   response->type, strlen(response->body),
			   response->status == 405 ? "Allow: GET, HEAD\r\n" : "",
			   response->keep_alive ? "keep-alive" : "close",
			   response->head ? "" : response->body);

	if (len > HTTP_MAX_RESPONSE)
		len = HTTP_MAX_RESPONSE;
	memcpy(text, whole, len);
	return len;
}
