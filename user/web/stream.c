// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See stream.h. */
#include "web/stream.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 4096

struct message {
	struct message *next;
	uint64_t number;
	char *text;
	size_t bytes;
};

struct reader {
	struct streams *streams;
	struct reader *next;
	struct MHD_Connection *connection;
	char *hello; /* NULL once it has it */
	uint64_t at; /* the number of the message that it is sent */
	size_t offset;
	bool waits; /* suspended, until there is one */
};

struct streams {
	struct message *first, *last;
	uint64_t next_number;
	size_t kept_bytes;
	struct reader *readers;
};

struct streams *streams_new(void)
{
	return calloc(1, sizeof(struct streams));
}

size_t streams_count(const struct streams *streams)
{
	size_t n = 0;

	for (const struct reader *reader = streams->readers; reader; reader = reader->next)
		n++;
	return n;
}

/* Copies what is left of a text from the reader's offset on. Returns how much; *done: all of it. */
static ssize_t copy(struct reader *reader, const char *text, size_t bytes, char *to, size_t most,
		    bool *done)
{
	size_t n = bytes - reader->offset;

	if (n > most)
		n = most;
	memcpy(to, text + reader->offset, n);
	reader->offset += n;
	*done = reader->offset == bytes;
	if (*done)
		reader->offset = 0;
	return n;
}

static ssize_t on_room(void *arg, uint64_t position, char *to, size_t most)
{
	struct reader *reader = arg;
	const struct message *message = reader->streams->first;
	ssize_t n;
	bool done;

	(void)position;
	if (reader->hello) {
		n = copy(reader, reader->hello, strlen(reader->hello), to, most, &done);
		if (done) {
			free(reader->hello);
			reader->hello = NULL;
		}
		return n;
	}
	while (message && message->number < reader->at)
		message = message->next;
	if (!message && reader->at == reader->streams->next_number) {
		reader->waits = true;
		mhd.suspend_connection(reader->connection);
		return 0;
	}
	if (!message || message->number != reader->at)
		return MHD_CONTENT_READER_END_OF_STREAM;
	n = copy(reader, message->text, message->bytes, to, most, &done);
	reader->at += done;
	return n;
}

static void on_end(void *arg)
{
	struct reader *reader = arg, **at = &reader->streams->readers;

	while (*at && *at != reader)
		at = &(*at)->next;
	if (*at)
		*at = reader->next;
	free(reader->hello);
	free(reader);
}

struct MHD_Response *streams_join(struct streams *streams, struct MHD_Connection *connection,
				  char *hello)
{
	struct reader *reader = hello && streams_count(streams) < STREAM_MOST_READERS ?
					calloc(1, sizeof(*reader)) :
					NULL;
	struct MHD_Response *response;

	if (!reader) {
		free(hello);
		return NULL;
	}
	*reader = (struct reader){
		.streams = streams,
		.next = streams->readers,
		.connection = connection,
		.hello = hello,
		.at = streams->next_number,
	};
	streams->readers = reader;
	response = mhd.create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_room, reader,
						     on_end);
	if (!response)
		on_end(reader);
	return response;
}

char *streams_message(const char *type, const char *text)
{
	char *message;

	return asprintf(&message, "event: %s\ndata: %s\n\n", type, text) < 0 ? NULL : message;
}

/* The last one stays, however long it is. */
static void forget_old(struct streams *streams)
{
	while (streams->first != streams->last && streams->kept_bytes > STREAM_KEPT_BYTES) {
		struct message *gone = streams->first;

		streams->first = gone->next;
		streams->kept_bytes -= gone->bytes;
		free(gone->text);
		free(gone);
	}
}

void streams_send(struct streams *streams, char *text)
{
	struct message *message = text ? calloc(1, sizeof(*message)) : NULL;

	if (!message) {
		free(text);
		return;
	}
	*message = (struct message){ .number = streams->next_number++, .text = text };
	message->bytes = strlen(text);
	*(streams->last ? &streams->last->next : &streams->first) = message;
	streams->last = message;
	streams->kept_bytes += message->bytes;
	forget_old(streams);
	for (struct reader *reader = streams->readers; reader; reader = reader->next) {
		if (reader->waits)
			mhd.resume_connection(reader->connection);
		reader->waits = false;
	}
}
