// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The kernel's list of sockets, several messages in one piece. What is kept is a socket of a family
 * that we know, and each is there once.
 */
#include <netinet/in.h>

#include "fuzz/fuzz.h"
#include "host/sockdiag.h"

#define SEQUENCE 2

static void check_socket(const struct sockdiag_socket *socket)
{
	FUZZ_CHECK(socket->family == AF_INET || socket->family == AF_INET6);
	FUZZ_CHECK(socket->proto == IPPROTO_TCP);
	FUZZ_CHECK(socket->v6only <= 1 && socket->mptcp <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct sockdiag_reply reply = { .proto = IPPROTO_TCP };
	struct sockdiag_list *list = &reply.list;
	void *copy = fuzz_copy(bytes, n);
	struct sockdiag_socket one;
	int result;

	sockdiag_parse(copy, n, &one);
	result = sockdiag_read(&reply, copy, n, SEQUENCE);
	FUZZ_CHECK(result <= 1);
	sockdiag_sort(list);
	for (size_t i = 0; i < list->count; i++) {
		check_socket(&list->items[i]);
		FUZZ_CHECK(!i || list->items[i].cookie > list->items[i - 1].cookie);
	}
	sockdiag_free(list);
	free(copy);
	return 0;
}
