// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See kept.h. */
#include "harness/kept.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/obey.h"
#include "harness/world.h"

#define ANSWER_MS 20000

struct kept_sums kept_sums;

static struct {
	int fd; /* -1 = none */
	uint64_t asked_ns;
} kept[KEPT];

static void kept_close(unsigned int i)
{
	close(kept[i].fd);
	kept[i].fd = -1;
}

void kept_ask(unsigned int i, const char *path)
{
	char request[128];
	int len = snprintf(request, sizeof(request), "GET %s HTTP/1.0\r\n\r\n", path);

	if (send(kept[i].fd, request, len, MSG_NOSIGNAL) != len)
		fail_msg("a connection was lost before its request: %s", strerror(errno));
	kept[i].asked_ns = now_ns();
}

static void kept_look(unsigned int i)
{
	char answer[1024] = "";
	ssize_t len = recv(kept[i].fd, answer, sizeof(answer) - 1, MSG_DONTWAIT);
	uint64_t waited_ns = now_ns() - kept[i].asked_ns;

	if (len < 0 && errno == EAGAIN) {
		if (kept[i].asked_ns && waited_ns > scaled_ms(ANSWER_MS) * 1000000)
			fail_msg("a request has no answer");
		return;
	}
	if (!kept[i].asked_ns || !strstr(answer, " 200 "))
		fail_msg("%s: %zd %s: %s", kept[i].asked_ns ? "no answer" : "a connection was lost",
			 len, len < 0 ? strerror(errno) : "", answer);
	if (waited_ns > kept_sums.slowest_ns)
		kept_sums.slowest_ns = waited_ns;
	kept_sums.answered++;
	kept_close(i);
}

void kept_step(void)
{
	const struct linger at_once = { 1, 0 };
	unsigned int i = rand() % KEPT;

	if (kept[i].fd < 0) {
		kept[i].fd = client_socket("127.0.0.1");
		client_wait(kept[i].fd);
		kept[i].asked_ns = 0;
	} else if (!kept[i].asked_ns && rand() % 8) {
		kept_ask(i, "/");
	} else if (!kept[i].asked_ns) {
		if (rand() % 2)
			setsockopt(kept[i].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		kept_close(i);
	}
}

bool kept_is_silent(unsigned int i)
{
	return kept[i].fd >= 0 && !kept[i].asked_ns;
}

void kept_look_at_all(void)
{
	for (unsigned int i = 0; i < KEPT; i++) {
		if (kept[i].fd >= 0)
			kept_look(i);
	}
}

void kept_expect_answers(void)
{
	for (unsigned int i = 0; i < KEPT; i++) {
		while (kept[i].fd >= 0 && kept[i].asked_ns) {
			kept_look(i);
			harness_nap();
		}
	}
}

void kept_begin(void)
{
	kept_sums = (struct kept_sums){ 0 };
	for (unsigned int i = 0; i < KEPT; i++)
		kept[i].fd = -1;
}

void kept_end(void)
{
	for (unsigned int i = 0; i < KEPT; i++) {
		if (kept[i].fd >= 0)
			kept_close(i);
	}
}
