// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See client.h. */
#include "client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS 1000000ULL

uint64_t client_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static const struct target *target_of(const struct run *run, const struct client *client)
{
	return &run->plan->targets->all[client->target];
}

static int watch(struct run *run, struct client *client, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = client };
	int op = client->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (client->events == events)
		return 0;
	client->events = events;
	return epoll_ctl(run->epoll_fd, op, client->fd, &event) ? -errno : 0;
}

void client_close(struct run *run, struct client *client)
{
	if (client->fd < 0)
		return;
	close(client->fd);
	client->fd = -1;
	client->events = 0;
	if (client->worker != CLIENT_NO_WORKER)
		run->result->workers[client->worker].open--;
	client->worker = CLIENT_NO_WORKER;
}

static void fail(struct run *run, struct client *client, enum load_failure_kind kind)
{
	struct load_result *result = run->result;
	uint64_t now = client_now_ns();

	result->figures.failed++;
	result->by_kind[kind]++;
	if (result->nr_failures < LOAD_MAX_FAILURES)
		result->failures[result->nr_failures++] = (struct load_failure){
			.at_s = (now - run->begin_ns) / 1e9,
			.kind = kind,
			.status = client->answer.status,
			.target = client->target,
		};
	run->last_ns = now;
	client_close(run, client);
	run_ended(run, client, kind != LOAD_FAILED_STATUS && kind != LOAD_FAILED_TIMEOUT);
}

static void fail_errno(struct run *run, struct client *client, int error)
{
	switch (error) {
	case ECONNREFUSED:
		fail(run, client, LOAD_FAILED_REFUSED);
		break;
	case ETIMEDOUT:
		fail(run, client, LOAD_FAILED_TIMEOUT);
		break;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EADDRNOTAVAIL:
		fail(run, client, LOAD_FAILED_LOCAL);
		break;
	default:
		fail(run, client, LOAD_FAILED_RESET);
	}
}

static int find_worker(struct load_result *result, const char *name)
{
	size_t i;

	for (i = 0; i < result->nr_workers; i++) {
		if (!strcmp(result->workers[i].name, name))
			return i;
	}
	if (i == LOAD_MAX_WORKERS)
		return CLIENT_NO_WORKER;
	snprintf(result->workers[i].name, sizeof(result->workers[i].name), "%s", name);
	result->nr_workers++;
	return i;
}

/* A connection belongs to the worker that answers first on it; requests to who answers them. */
static void count_worker(struct run *run, struct client *client)
{
	int worker = client->answer.worker[0] ? find_worker(run->result, client->answer.worker) :
						CLIENT_NO_WORKER;

	if (worker == CLIENT_NO_WORKER) {
		run->result->unnamed += !client->reused;
		return;
	}
	run->result->workers[worker].requests++;
	if (client->reused)
		return;
	run->result->workers[worker].connections++;
	run->result->workers[worker].open++;
	client->worker = worker;
}

static void succeed(struct run *run, struct client *client)
{
	const struct load_plan *plan = run->plan;
	uint64_t now = client_now_ns();
	uint64_t took = now > client->begin_ns ? now - client->begin_ns : 0;

	count_worker(run, client);
	run->result->figures.bytes += client->answer.body_bytes;
	if (client->answer.status >= 400) {
		fail(run, client, LOAD_FAILED_STATUS);
		return;
	}
	run->last_ns = now;
	run->result->figures.transactions++;
	run->result->figures.response_sum_s += took / 1e9;
	histogram_add(&run->result->latency, took);
	if (!(plan->keep_alive || plan->hold) || !client->answer.keep_alive)
		client_close(run, client);
	run_ended(run, client, false);
}

/* Begins anew on a connection of its own; the request's time goes on. */
static void open_connection(struct run *run, struct client *client);

/*
 * The server has closed a connection that was idle as the request was on its way: a client sends
 * it again (RFC 9112, 9.3.1), once, as that connection is a new one.
 */
static bool begin_again(struct run *run, struct client *client)
{
	if (!client->reused || answer_begun(&client->answer))
		return false;
	run->result->reconnects++;
	client_close(run, client);
	open_connection(run, client);
	return true;
}

/* Takes what is there. Returns whether to go on reading. */
static bool receive(struct run *run, struct client *client)
{
	ssize_t got = recv(client->fd, run->buffer, sizeof(run->buffer), 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0 && begin_again(run, client))
		return false;
	if (got < 0) {
		fail_errno(run, client, errno);
		return false;
	}
	if (got > 0)
		answer_feed(&client->answer, run->buffer, got, run->plan->worker_header);
	else if (!answer_end(&client->answer))
		client->answer.state = ANSWER_BAD;
	if (client->answer.state == ANSWER_DONE)
		succeed(run, client);
	else if (client->answer.state == ANSWER_BAD)
		fail(run, client, got ? LOAD_FAILED_BAD : LOAD_FAILED_CLOSED);
	else
		return got == sizeof(run->buffer);
	return false;
}

static void send_request(struct run *run, struct client *client)
{
	const struct target *target = target_of(run, client);
	ssize_t sent = send(client->fd, target->request + client->sent,
			    target->request_bytes - client->sent, MSG_NOSIGNAL);
	int err;

	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		if (!begin_again(run, client))
			fail_errno(run, client, errno);
		return;
	}
	if (sent > 0)
		client->sent += sent;
	client->state = client->sent < target->request_bytes ? CLIENT_SENDING : CLIENT_READING;
	err = watch(run, client, client->state == CLIENT_READING ? EPOLLIN : EPOLLOUT);
	if (err)
		fail_errno(run, client, -err);
}

static void connected(struct run *run, struct client *client)
{
	run->result->connections++;
	send_request(run, client);
}

static void open_connection(struct run *run, struct client *client)
{
	const struct target *target = target_of(run, client);
	const int on = 1;
	int err;

	client->reused = false;
	client->sent = 0;
	client->fd = socket(target->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (client->fd < 0) {
		fail_errno(run, client, errno);
		return;
	}
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!connect(client->fd, (const struct sockaddr *)&target->addr, target->addr_len)) {
		connected(run, client);
		return;
	}
	if (errno != EINPROGRESS) {
		fail_errno(run, client, errno);
		return;
	}
	client->state = CLIENT_CONNECTING;
	err = watch(run, client, EPOLLOUT);
	if (err)
		fail_errno(run, client, -err);
}

static bool same_server(const struct target *a, const struct target *b)
{
	return a->addr_len == b->addr_len && !memcmp(&a->addr, &b->addr, a->addr_len);
}

static void pick_target(struct run *run, struct client *client)
{
	const struct targets *targets = run->plan->targets;
	size_t last = client->target, count = targets->count - run->plan->burst;

	if (run->plan->any_order)
		client->target = rng_below(&run->rng, count);
	else if (client->begin_ns)
		client->target = (client->target + 1) % count;
	if (client->fd >= 0 && !same_server(&targets->all[last], target_of(run, client)))
		client_close(run, client);
}

static void begin(struct run *run, struct client *client, uint64_t due_ns)
{
	client->begin_ns = due_ns;
	client->timeout_ns = client_now_ns() + run->plan->timeout_ms * NS_PER_MS;
	client->answer = (struct answer){ 0 };
	client->sent = 0;
	run->result->open++;
	if (client->fd >= 0) {
		client->reused = true;
		send_request(run, client);
	} else {
		open_connection(run, client);
	}
}

void client_begin(struct run *run, struct client *client, uint64_t due_ns)
{
	pick_target(run, client);
	begin(run, client, due_ns);
}

void client_ask(struct run *run, struct client *client, size_t target, uint64_t due_ns)
{
	client->target = target;
	begin(run, client, due_ns);
}

static void finish_connecting(struct run *run, struct client *client)
{
	socklen_t len = sizeof(int);
	int error = 0;

	getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error)
		fail_errno(run, client, error);
	else
		connected(run, client);
}

void client_event(struct run *run, struct client *client, uint32_t events)
{
	switch (client->state) {
	case CLIENT_CONNECTING:
		finish_connecting(run, client);
		break;
	case CLIENT_SENDING:
		send_request(run, client);
		break;
	case CLIENT_READING:
		while (receive(run, client))
			continue;
		break;
	case CLIENT_HELD: /* gone before its time; the time goes on */
	case CLIENT_IDLE:
	case CLIENT_WAITING:
		if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			client_close(run, client);
		break;
	case CLIENT_FINISHED:
		break;
	}
}

void client_timeout(struct run *run, struct client *client)
{
	fail(run, client, LOAD_FAILED_TIMEOUT);
}
