// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a worker writes to its message channel, in pieces: the first byte says of which length, the
 * second how much time is between them. Each message that is taken is a whole line, and one of
 * those that were written; no more are parsed in a second than may be.
 */
#include "fuzz/fuzz.h"
#include "keeper/messages.h"

struct written {
	const char *bytes;
	size_t n;
	struct messages messages;
	uint64_t second_us; /* that is counted now */
	uint32_t parsed;
};

static void take(void *arg, const char *line, const json_t *message)
{
	struct written *written = arg;
	size_t len = strlen(line);

	FUZZ_CHECK(len < MESSAGES_MOST_BYTES && !memchr(line, '\n', len) &&
		   memmem(written->bytes, written->n, line, len));
	if (!message)
		return;
	if (written->second_us != written->messages.budget.since_us)
		written->parsed = 0;
	written->second_us = written->messages.budget.since_us;
	FUZZ_CHECK(++written->parsed <= BUDGET_MOST_MESSAGES);
	FUZZ_CHECK(written->messages.budget.bytes <= BUDGET_MOST_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	const uint8_t *end = bytes + n;
	struct written written = { .messages = { .take = take, .arg = &written } };
	size_t piece, len;
	uint64_t step_us, now_us = 1000000;

	if (n < 2)
		return 0;
	piece = 1 + 16 * (size_t)*bytes++;
	step_us = 10000 * (uint64_t)*bytes++;
	written.bytes = (const char *)bytes;
	written.n = end - bytes;
	for (; bytes < end; bytes += len, now_us += step_us) {
		len = (size_t)(end - bytes) < piece ? (size_t)(end - bytes) : piece;
		char *copy = fuzz_copy(bytes, len);

		messages_add(&written.messages, copy, len, now_us);
		free(copy);
	}
	FUZZ_CHECK(!written.messages.len == !written.messages.line);
	messages_add(&written.messages, "\n", 1, now_us);
	FUZZ_CHECK(!written.messages.line && !written.messages.room);
	messages_free(&written.messages);
	return 0;
}
