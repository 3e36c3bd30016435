// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See answer.h. The line buffer serves the header, then sizes of chunks, or the body's begin. */
#include "answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"

/* Chunks beyond this are not believed. */
#define MAX_CHUNK (1ULL << 40)

static void set_worker(struct answer *answer, const char *name)
{
	size_t len = strcspn(name, " \t\r\n");

	if (!len)
		return;
	if (len > ANSWER_WORKER_MAX)
		len = ANSWER_WORKER_MAX;
	memcpy(answer->worker, name, len);
	answer->worker[len] = '\0';
}

static void parse_status_line(struct answer *answer)
{
	const char *line = answer->line;

	if (strncmp(line, "HTTP/1.", 7) || (line[7] != '0' && line[7] != '1') || line[8] != ' ' ||
	    line[9] < '1' || line[9] > '5' || strspn(line + 9, "0123456789") != 3 ||
	    (line[12] && line[12] != ' ')) {
		answer->state = ANSWER_BAD;
		return;
	}
	answer->status = atoi(line + 9);
	answer->keep_alive = line[7] == '1';
	answer->has_length = answer->chunked = false;
	answer->state = ANSWER_HEADER;
}

/* The value of this field, without blanks at its begin, or NULL. */
static const char *field_value(const char *line, const char *name)
{
	size_t len = strlen(name);

	if (strncasecmp(line, name, len) || line[len] != ':')
		return NULL;
	line += len + 1;
	return line + strspn(line, " \t");
}

static void parse_field(struct answer *answer, const char *worker_header)
{
	const char *value;

	if ((value = field_value(answer->line, "Content-Length"))) {
		if (parse_u64(value, 0, INT64_MAX, &answer->left))
			answer->state = ANSWER_BAD;
		answer->has_length = true;
	} else if ((value = field_value(answer->line, "Transfer-Encoding"))) {
		answer->chunked = strcasestr(value, "chunked");
	} else if ((value = field_value(answer->line, "Connection"))) {
		if (strcasestr(value, "close"))
			answer->keep_alive = false;
		else if (strcasestr(value, "keep-alive"))
			answer->keep_alive = true;
	} else if ((value = field_value(answer->line, worker_header))) {
		set_worker(answer, value);
	}
}

static void begin_body(struct answer *answer)
{
	if (answer->status < 200) { /* 100 Continue and the like: the answer follows */
		answer->state = ANSWER_STATUS_LINE;
	} else if (answer->status == 204 || answer->status == 304) {
		answer->state = ANSWER_DONE;
	} else if (answer->chunked) {
		answer->state = ANSWER_CHUNK_SIZE;
	} else if (answer->has_length) {
		answer->state = answer->left ? ANSWER_LENGTH : ANSWER_DONE;
	} else {
		answer->keep_alive = false;
		answer->state = ANSWER_TO_END;
	}
}

static void parse_chunk_size(struct answer *answer)
{
	size_t digits = strspn(answer->line, "0123456789abcdefABCDEF");
	char *end;

	errno = 0;
	answer->left = strtoull(answer->line, &end, 16);
	/* not what strtoull() takes as well: blanks, a sign, 0x */
	if (errno || !digits || end != answer->line + digits || (*end && !strchr(" \t;", *end)) ||
	    answer->left > MAX_CHUNK)
		answer->state = ANSWER_BAD;
	else
		answer->state = answer->left ? ANSWER_CHUNK : ANSWER_TRAILER;
}

static void parse_line(struct answer *answer, const char *worker_header)
{
	switch (answer->state) {
	case ANSWER_STATUS_LINE:
		parse_status_line(answer);
		break;
	case ANSWER_HEADER:
		if (answer->line[0])
			parse_field(answer, worker_header);
		else
			begin_body(answer);
		break;
	case ANSWER_CHUNK_SIZE:
		parse_chunk_size(answer);
		break;
	case ANSWER_CHUNK_END:
		answer->state = answer->line[0] ? ANSWER_BAD : ANSWER_CHUNK_SIZE;
		break;
	default: /* ANSWER_TRAILER */
		if (!answer->line[0])
			answer->state = ANSWER_DONE;
	}
}

/* Collects bytes up to a newline, then parses the line. Returns how many were used. */
static size_t feed_line(struct answer *answer, const char *text, size_t len,
			const char *worker_header)
{
	const char *newline = memchr(text, '\n', len);
	size_t used = newline ? (size_t)(newline - text) : len;
	size_t room = sizeof(answer->line) - 1 - answer->line_bytes;
	size_t kept = used < room ? used : room;

	memcpy(answer->line + answer->line_bytes, text, kept);
	answer->line_bytes += kept;
	if (!newline)
		return used;
	if (answer->line_bytes && answer->line[answer->line_bytes - 1] == '\r')
		answer->line_bytes--;
	answer->line[answer->line_bytes] = '\0';
	answer->line_bytes = 0;
	parse_line(answer, worker_header);
	return used + 1;
}

/* Only a body that comes in one piece is asked: the header is the way for others. */
static void ask_body(struct answer *answer, const char *text, size_t len)
{
	static const char begin[] = "worker ";
	const size_t skip = sizeof(begin) - 1;
	char name[ANSWER_WORKER_MAX + 2];

	if (answer->body_bytes || answer->worker[0] || len <= skip || memcmp(text, begin, skip))
		return;
	len -= skip;
	if (len >= sizeof(name))
		len = sizeof(name) - 1;
	memcpy(name, text + skip, len);
	name[len] = '\0';
	set_worker(answer, name);
}

static size_t feed_body(struct answer *answer, const char *text, size_t len)
{
	bool counted = answer->state != ANSWER_TO_END;

	if (counted && len > answer->left)
		len = answer->left;
	ask_body(answer, text, len);
	answer->body_bytes += len;
	if (!counted)
		return len;
	answer->left -= len;
	if (!answer->left)
		answer->state = answer->state == ANSWER_CHUNK ? ANSWER_CHUNK_END : ANSWER_DONE;
	return len;
}

size_t answer_feed(struct answer *answer, const char *text, size_t len, const char *worker_header)
{
	size_t used = 0;

	while (used < len && answer->state != ANSWER_DONE && answer->state != ANSWER_BAD) {
		switch (answer->state) {
		case ANSWER_LENGTH:
		case ANSWER_CHUNK:
		case ANSWER_TO_END:
			used += feed_body(answer, text + used, len - used);
			break;
		default:
			used += feed_line(answer, text + used, len - used, worker_header);
		}
	}
	return used;
}

bool answer_end(struct answer *answer)
{
	if (answer->state == ANSWER_TO_END)
		answer->state = ANSWER_DONE;
	return answer->state == ANSWER_DONE;
}

bool answer_begun(const struct answer *answer)
{
	return answer->state != ANSWER_STATUS_LINE || answer->line_bytes || answer->status;
}
