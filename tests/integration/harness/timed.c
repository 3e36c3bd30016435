// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See timed.h. */
#include "harness/timed.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "harness/world.h"

#define DEADLINE_MS 20000
#define AT_ONCE_MAX 64

struct timed_client {
	int fd;
	unsigned int left; /* requests */
	bool counted;
	/* of the clock that the kernel stamps with: before the request was sent, and after */
	uint64_t asking_ns, asked_ns;
};

static uint64_t real_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void ask(struct timed_client *client)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

	client->left--;
	client->asking_ns = real_ns();
	assert_int_equal(send(client->fd, request, sizeof(request) - 1, MSG_NOSIGNAL),
			 sizeof(request) - 1);
	client->asked_ns = real_ns();
}

static void begin(struct timed_client *client, const struct timed_plan *plan)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
					.sin_port = htons(plan->port ? plan->port : 8080),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int on = 1;

	*client = (struct timed_client){ .left = plan->requests };
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)), 0);
	assert_int_equal(connect(client->fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	ask(client);
}

/* An answer is so short that it comes whole. Returns who gave it. */
static int take_answer(struct timed_client *client, uint64_t *came_ns)
{
	char text[2048] = "", control[128];
	struct iovec part = { text, sizeof(text) - 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *stamp;
	struct timespec came;
	const char *header;

	assert_true(recvmsg(client->fd, &message, 0) > 0);
	header = strstr(text, "X-Worker: ");
	assert_non_null(header);
	/* the first ones may have none: the kernel begins to stamp a moment later */
	*came_ns = real_ns();
	stamp = CMSG_FIRSTHDR(&message);
	if (stamp && stamp->cmsg_type == SCM_TIMESTAMPNS) {
		memcpy(&came, CMSG_DATA(stamp), sizeof(came));
		*came_ns = (uint64_t)came.tv_sec * 1000000000 + came.tv_nsec;
	}
	return atoi(header + strlen("X-Worker: "));
}

static void note_answer(struct timed *timed, struct timed_client *client)
{
	uint64_t came_ns;
	int worker = take_answer(client, &came_ns);

	assert_in_range(worker, 0, TIMED_WORKERS - 1);
	assert_true(timed->answers[worker] < TIMED_MAX);
	timed->most_ns[worker][timed->answers[worker]] = came_ns - client->asking_ns;
	/* it may have come while the test had lost the CPU */
	timed->least_ns[worker][timed->answers[worker]++] =
		came_ns > client->asked_ns ? came_ns - client->asked_ns : 0;
	timed->connections[worker] += !client->counted;
	client->counted = true;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

void timed_run(struct timed *timed, struct timed_plan plan)
{
	struct timed_client clients[AT_ONCE_MAX];
	struct pollfd polled[AT_ONCE_MAX];
	unsigned int begun = 0, open = 0;

	assert_true(plan.at_once <= AT_ONCE_MAX && plan.at_once <= plan.connections);
	for (; begun < plan.at_once; begun++, open++) {
		begin(&clients[begun], &plan);
		polled[begun] = (struct pollfd){ clients[begun].fd, POLLIN, 0 };
	}
	while (open) {
		if (poll(polled, plan.at_once, scaled_ms(DEADLINE_MS)) <= 0)
			fail_msg("%u clients have no answer", open);
		for (unsigned int i = 0; i < plan.at_once; i++) {
			if (!polled[i].revents)
				continue;
			note_answer(timed, &clients[i]);
			if (clients[i].left) {
				ask(&clients[i]);
				continue;
			}
			close(clients[i].fd);
			polled[i].fd = -1;
			open--;
			if (begun >= plan.connections)
				continue;
			begin(&clients[i], &plan);
			polled[i].fd = clients[i].fd;
			begun++;
			open++;
		}
	}
	for (int worker = 0; worker < TIMED_WORKERS; worker++) {
		if (!timed->answers[worker])
			continue;
		qsort(timed->least_ns[worker], timed->answers[worker], sizeof(uint64_t), compare);
		qsort(timed->most_ns[worker], timed->answers[worker], sizeof(uint64_t), compare);
	}
}

uint64_t timed_quantile(const uint64_t *sorted_ns, size_t n, unsigned int percent)
{
	size_t rank = (n * percent + 99) / 100;

	assert_true(rank > 0);
	return sorted_ns[rank - 1];
}
