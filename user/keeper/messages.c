// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See messages.h. */
#include "keeper/messages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_ROOM_BYTES 256

static void take_line(struct messages *messages)
{
	const char *internal;
	json_t *message;

	messages->budget.messages++;
	if (budget_is_over(&messages->budget)) {
		messages->take(messages->arg, messages->line, NULL);
		return;
	}
	message = json_loads(messages->line, JSON_DECODE_ANY, NULL);
	internal = json_string_value(json_object_get(message, "cmd"));
	if (message && !(internal && !strncmp(internal, "NODE_", 5)))
		messages->take(messages->arg, messages->line, message);
	json_decref(message);
}

/* Twice as much each time; 0 or -ENOMEM. */
static int make_room(struct messages *messages, size_t wanted)
{
	size_t room = messages->room ? messages->room : LEAST_ROOM_BYTES;
	char *grown;

	while (room < wanted)
		room *= 2;
	if (room == messages->room)
		return 0;
	grown = realloc(messages->line, room);
	if (!grown)
		return -ENOMEM;
	messages->line = grown;
	messages->room = room;
	return 0;
}

/* What is longer than a line may be is cut, and what there is no memory for is lost. */
static void append(struct messages *messages, const char *bytes, size_t n)
{
	if (n > MESSAGES_MOST_BYTES - 1 - messages->len)
		n = MESSAGES_MOST_BYTES - 1 - messages->len;
	if (!n || make_room(messages, messages->len + n + 1))
		return;
	memcpy(messages->line + messages->len, bytes, n);
	messages->len += n;
	messages->line[messages->len] = '\0';
}

void messages_add(struct messages *messages, const char *bytes, size_t n, uint64_t now_us)
{
	const char *end = bytes + n, *newline;

	budget_begin(&messages->budget, now_us);
	messages->budget.bytes += n;
	while ((newline = memchr(bytes, '\n', end - bytes))) {
		append(messages, bytes, newline - bytes);
		if (messages->len)
			take_line(messages);
		messages->len = 0;
		bytes = newline + 1;
	}
	append(messages, bytes, end - bytes);
	if (!messages->len)
		messages_free(messages);
}

void messages_free(struct messages *messages)
{
	free(messages->line);
	messages->line = NULL;
	messages->len = 0;
	messages->room = 0;
}
