// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See clients.h. */
#include "harness/clients.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/maps.h"
#include "harness/world.h"

#define REQUEST "GET / HTTP/1.0\r\n\r\n"
#define ANSWER_BYTES 1024

struct client {
	int fd; /* -1 = done */
	bool sent;
	unsigned int index; /* of the connection */
	uint64_t begun_ns;
	size_t len;
	char answer[ANSWER_BYTES];
};

static socklen_t make_address(const char *host, uint16_t port, struct sockaddr_storage *out)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	struct sockaddr_in *in4 = (struct sockaddr_in *)out;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, host, &in4->sin_addr) == 1) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons(port);
		return sizeof(*in4);
	}
	assert_int_equal(inet_pton(AF_INET6, host, &in6->sin6_addr), 1);
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	return sizeof(*in6);
}

/* The client's work is over, well or not. */
static void client_end(struct clients *clients, struct client *client, bool ok)
{
	const char *header = ok ? strstr(client->answer, "X-Worker: ") : NULL;
	uint64_t took_ns = now_ns() - client->begun_ns;

	if (header) {
		if (took_ns > clients->longest_ns)
			clients->longest_ns = took_ns;
		clients->answered++;
		clients->worker[client->index] = atoi(header + strlen("X-Worker: "));
	} else {
		clients->failed++;
	}
	clients->waiting--;
	close(client->fd);
	client->fd = -1;
}

static void client_connect(struct clients *clients, struct client *client)
{
	const struct client_plan *plan = &clients->plan;
	struct epoll_event event = { EPOLLOUT, { .ptr = client } };
	struct sockaddr_storage address;
	socklen_t len;

	client->index = clients->started++;
	client->begun_ns = now_ns();
	client->sent = false;
	client->len = 0;
	memset(client->answer, 0, sizeof(client->answer));
	clients->worker[client->index] = -1;
	clients->waiting++;
	len = make_address(plan->to, plan->port, &address);
	client->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(client->fd >= 0);
	if (plan->from) {
		struct sockaddr_storage from;
		socklen_t from_len = make_address(plan->from, 0, &from);

		assert_int_equal(bind(client->fd, (struct sockaddr *)&from, from_len), 0);
	}
	if (connect(client->fd, (struct sockaddr *)&address, len) && errno != EINPROGRESS)
		client_end(clients, client, false);
	else
		assert_int_equal(epoll_ctl(clients->epoll, EPOLL_CTL_ADD, client->fd, &event), 0);
}

static void client_send(struct clients *clients, struct client *client)
{
	struct epoll_event event = { EPOLLIN, { .ptr = client } };

	if (send(client->fd, REQUEST, strlen(REQUEST), MSG_NOSIGNAL) != strlen(REQUEST)) {
		client_end(clients, client, false);
		return;
	}
	client->sent = true;
	epoll_ctl(clients->epoll, EPOLL_CTL_MOD, client->fd, &event);
}

static void client_receive(struct clients *clients, struct client *client)
{
	ssize_t got = recv(client->fd, client->answer + client->len,
			   sizeof(client->answer) - 1 - client->len, 0);

	if (got > 0)
		client->len += got;
	else if (got == 0 || errno != EAGAIN)
		client_end(clients, client, got == 0);
}

/* One turn: events of at most 50 ms, then new connections while there is room and work. */
static void clients_turn(struct clients *clients)
{
	struct epoll_event events[64];
	int n = epoll_wait(clients->epoll, events, ARRAY_SIZE(events), 50);

	for (int i = 0; i < n; i++) {
		struct client *client = events[i].data.ptr;

		if (client->sent)
			client_receive(clients, client);
		else
			client_send(clients, client);
		if (client->fd < 0 && clients->started < clients->plan.connections)
			client_connect(clients, client);
	}
}

static bool all_are_sent(const struct clients *clients)
{
	for (unsigned int i = 0; i < clients->plan.at_once; i++) {
		if (clients->open[i].fd >= 0 && !clients->open[i].sent)
			return false;
	}
	return true;
}

static uint64_t clients_deadline(const struct clients *clients)
{
	return now_ns() + scaled_ms(clients->plan.deadline_ms) * 1000000;
}

void clients_begin(struct clients *clients, struct client_plan plan)
{
	uint64_t deadline;

	stalls_forgive();
	memset(clients, 0, offsetof(struct clients, worker));
	plan.to = plan.to ? plan.to : "127.0.0.1";
	plan.port = plan.port ? plan.port : 8080;
	plan.at_once = plan.at_once ? plan.at_once : 1;
	plan.deadline_ms = plan.deadline_ms ? plan.deadline_ms : 10000;
	assert_true(plan.connections <= CLIENTS_MAX);
	clients->plan = plan;
	clients->longest_ns = 0;
	clients->started = 0;
	clients->open = calloc(plan.at_once, sizeof(*clients->open));
	clients->epoll = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned int i = 0; i < plan.at_once; i++) {
		clients->open[i].fd = -1;
		if (clients->started < plan.connections)
			client_connect(clients, &clients->open[i]);
	}
	deadline = clients_deadline(clients);
	while (!all_are_sent(clients) && now_ns() < deadline)
		clients_turn(clients);
}

void clients_collect(struct clients *clients, unsigned int waiting)
{
	uint64_t deadline = clients_deadline(clients);

	while (clients->waiting > waiting || clients->started < clients->plan.connections) {
		if (now_ns() > deadline)
			fail_msg("%u connections wait for an answer, want %u (%u not begun)",
				 clients->waiting, waiting,
				 clients->plan.connections - clients->started);
		clients_turn(clients);
	}
}

void clients_abandon(struct clients *clients)
{
	for (unsigned int i = 0; i < clients->plan.at_once; i++) {
		if (clients->open[i].fd >= 0)
			client_end(clients, &clients->open[i], false);
	}
	free(clients->open);
	clients->open = NULL;
	close(clients->epoll);
	clients->epoll = -1;
}

void clients_finish(struct clients *clients)
{
	uint64_t deadline = clients_deadline(clients);

	while ((clients->waiting || clients->started < clients->plan.connections) &&
	       now_ns() < deadline)
		clients_turn(clients);
	clients_abandon(clients);
}

void clients_run(struct clients *clients, struct client_plan plan)
{
	clients_begin(clients, plan);
	clients_finish(clients);
	if (clients->answered != plan.connections)
		fail_msg("%u of %u connections answered, %u failed", clients->answered,
			 plan.connections, clients->failed);
}

unsigned int clients_of(const struct clients *clients, int worker)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < clients->started; i++)
		n += clients->worker[i] == worker;
	return n;
}

void clients_expect(const struct clients *clients, size_t n, const unsigned int *want)
{
	bool bad = false;

	for (size_t i = 0; i < n; i++) {
		unsigned int got = clients_of(clients, i);

		if (got != want[i]) {
			print_error("worker %zu answered %u connections, want %u\n", i, got,
				    want[i]);
			bad = true;
		}
	}
	if (bad)
		fail_msg("answers are not spread as expected");
}
