// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See keepalive.h. */
#include "harness/keepalive.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/world.h"

#define KEPT 16
#define REQUESTS 50 /* of a kept connection, at most */
#define ANSWER_MS 20000

static struct shared {
	struct keepalive sums;
	volatile bool stop;
} * shared;
static pid_t process;

struct connection {
	unsigned int left; /* requests */
	bool first, asked;
	uint64_t asked_ns;
};

static int connect_now(void)
{
	const struct sockaddr_in to = { AF_INET, htons(8080), { htonl(INADDR_LOOPBACK) }, { 0 } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!connect(fd, (const struct sockaddr *)&to, sizeof(to)))
		return fd;
	close(fd);
	return -1;
}

static void client_close(struct pollfd *at)
{
	close(at->fd);
	at->fd = -1;
}

static void client_open(struct pollfd *at, struct connection *connection)
{
	*at = (struct pollfd){ .fd = connect_now(), .events = POLLIN };
	*connection = (struct connection){ .left = 1 + rand() % REQUESTS, .first = true };
	shared->sums.connections++;
	shared->sums.lost += at->fd < 0;
}

static void client_ask(struct pollfd *at, struct connection *connection)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

	connection->asked = true;
	connection->asked_ns = now_ns();
	/* one that was closed shows when it is read */
	(void)!send(at->fd, request, sizeof(request) - 1, MSG_NOSIGNAL);
}

static void client_hear(struct pollfd *at, struct connection *connection)
{
	char answer[2048];
	ssize_t n = recv(at->fd, answer, sizeof(answer) - 1, MSG_DONTWAIT);

	if (n > 0 && connection->asked) {
		answer[n] = '\0';
		shared->sums.answered++;
		shared->sums.lost += !strstr(answer, " 200 ");
		connection->asked = connection->first = false;
		if (!--connection->left || strcasestr(answer, "connection: close"))
			client_close(at);
		return;
	}
	shared->sums.lost += connection->first;
	shared->sums.again += !connection->first && connection->asked;
	client_close(at);
}

static void client_run(void)
{
	struct connection connections[KEPT];
	struct pollfd at[KEPT];

	for (int i = 0; i < KEPT; i++)
		at[i].fd = -1;
	while (!shared->stop) {
		for (int i = 0; i < KEPT; i++) {
			if (at[i].fd < 0)
				client_open(&at[i], &connections[i]);
			if (at[i].fd >= 0 && !connections[i].asked &&
			    (connections[i].first || rand() % 4 == 0))
				client_ask(&at[i], &connections[i]);
		}
		poll(at, KEPT, 2);
		for (int i = 0; i < KEPT; i++) {
			if (at[i].fd >= 0 && at[i].revents)
				client_hear(&at[i], &connections[i]);
			else if (at[i].fd >= 0 && connections[i].asked &&
				 now_ns() - connections[i].asked_ns > ANSWER_MS * 1000000ULL) {
				shared->sums.lost++;
				client_close(&at[i]);
			}
		}
		usleep(1000);
	}
}

void keepalive_start(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	assert_ptr_not_equal(shared, MAP_FAILED);
	process = fork();
	assert_true(process >= 0);
	if (process)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	client_run();
	_exit(0);
}

void keepalive_stop(struct keepalive *sums)
{
	shared->stop = true;
	assert_int_equal(waitpid(process, NULL, 0), process);
	*sums = shared->sums;
	munmap(shared, sizeof(*shared));
}
