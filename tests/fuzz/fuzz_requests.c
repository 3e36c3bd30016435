// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What clients ask the keeper for: each line of the input is a packet, or comes out of a stream.
 * The keeper behind it has a plan and no processes. It answers each request, or the end of what was
 * begun does, and its plan stays one that can be.
 */
#include "fuzz/fuzz_keeper.h"
#include "lib/packet.h"

static size_t answers;

/* In place of the socket. */
int lbctl_packet_send(int fd, const void *bytes, size_t len, int passed)
{
	json_t *answer = json_loadb(bytes, len, 0, NULL);

	(void)fd;
	FUZZ_CHECK(json_is_object(answer) && passed == -1);
	answers += json_is_integer(json_object_get(answer, "status"));
	json_decref(answer);
	return 0;
}

/* That takes a child, which would be a fuzzer too. */
void join_request(struct keeper *of, struct client *client, const struct join_ask *ask)
{
	(void)of;
	FUZZ_CHECK((ask->number >= 0) == (ask->fd < 0) &&
		   (ask->worker == JOIN_ANY_WORKER || ask->worker < LB_MAX_WORKERS));
	control_hold(client);
	control_set_joined(client, 1, ask->number);
	control_reply(client, EXIT_DONE, "joined");
	control_release(client);
}

static void ask(struct client *client, const char *bytes, size_t n)
{
	answers = 0;
	client_handle(client, bytes, n, &(int){ client->next_seq ? 7 : -1 });
	FUZZ_CHECK(answers || client->awaits_end ||
		   fuzz_keeper.plan.operation.client == client->id);
	FUZZ_CHECK(fuzz_keeper.plan.wanted - 1 < LB_MAX_WORKERS &&
		   fuzz_keeper.plan.used <= LB_MAX_WORKERS);
}

/* As much at once as `piece` says. */
static void stream(struct client *client, const uint8_t *bytes, size_t n, size_t piece)
{
	const char *line;
	size_t room, len;
	char *to;

	while (n && (to = lines_room(client->lines, &room), room)) {
		len = room < piece ? room : piece;
		len = n < len ? n : len;
		memcpy(to, bytes, len);
		lines_add(client->lines, len);
		for (bytes += len, n -= len; (line = lines_take(client->lines, &len));)
			ask(client, line, len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	const uint8_t *end = bytes + n, *stop;
	struct client *client;

	if (n < 2)
		return 0;
	client = fuzz_keeper_begin(bytes[0]);
	if (client->lines)
		stream(client, bytes + 2, n - 2, 1 + bytes[1]);
	for (bytes += 2; !client->lines && bytes < end; bytes = stop + 1) {
		stop = memchr(bytes, '\n', end - bytes) ?: end;
		ask(client, (const char *)bytes, stop - bytes);
	}
	return 0;
}
