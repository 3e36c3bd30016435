/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One client connection: reads requests, works, answers them in order, closes without a reset. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"
#include "lbctl.h"
#include "server.h"

#define LINGER_NS (1000 * NS_PER_MS)
#define DRAIN_IDLE_NS (100 * NS_PER_MS) /* a client between two requests gets this long */
#define MAX_SLOW_MS 3600000
#define SLOW "/slow?ms="
#define BUSY "/busy?us="

static void set_deadline(struct server *server, struct connection *connection, uint64_t deadline_ns)
{
	connection->deadline_ns = deadline_ns;
	if (deadline_ns < server->wake_ns)
		server->wake_ns = deadline_ns;
}

static int watch(struct server *server, struct connection *connection, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = connection };

	if (connection->events == events)
		return 0;
	connection->events = events;
	return epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
}

static void link_connection(struct connection **head, struct connection *connection)
{
	connection->next = *head;
	connection->link = head;
	if (*head)
		(*head)->link = &connection->next;
	*head = connection;
}

/* Events of this round may still name it, so it is freed later. */
void connection_close(struct server *server, struct connection *connection)
{
	if (connection->fd < 0)
		return;
	close(connection->fd);
	connection->fd = -1;
	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	link_connection(&server->closed, connection);
	server->open--;
	if (server->counting)
		lbctl_connection_closed(server->report);
	/* there may be a descriptor for the next one now */
	if (server->rearm_ns != NO_TIME)
		server->rearm_ns = 0;
}

void connection_accept(struct server *server, int fd)
{
	struct connection *connection = malloc(sizeof(*connection));
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };

	if (!connection) {
		close(fd);
		return;
	}
	/* not the buffers: pages that are never used cost nothing */
	memset(connection, 0, offsetof(struct connection, in));
	connection->source = SOURCE_CONNECTION;
	connection->fd = fd;
	connection->events = EPOLLIN;
	connection->number = server->accepted;
	connection->active_ns = server_now_ns();
	connection->deadline_ns = NO_TIME;
	link_connection(&server->connections, connection);
	server->open++;
	if (server->counting)
		lbctl_connection_opened(server->report);
	if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event))
		connection_close(server, connection);
}

static uint64_t cpu_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Blocks the whole worker. */
static void sleep_for(uint64_t us)
{
	struct timespec until;

	if (!us)
		return;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += us % 1000000 * 1000;
	until.tv_sec += us / 1000000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		continue;
}

/* The same number of microseconds of CPU whatever else runs. */
static void work(const struct server *server)
{
	uint64_t end = cpu_now_ns() + server->options->work_us * 1000;

	while (server->options->work_us && cpu_now_ns() < end)
		continue;
	sleep_for(server->sleep_us);
}

static void respond(struct server *server, struct connection *connection,
		    const struct http_request *request, const char *type, const char *body)
{
	struct http_response response = {
		.status = request->status,
		.worker = server->worker,
		.type = type,
		.body = body,
		.head = request->head,
		.keep_alive = request->keep_alive && !server->draining,
	};

	connection->out_end += http_respond(connection->out + connection->out_end, &response);
	connection->active_ns = server_now_ns();
	connection->deadline_ns = NO_TIME;
	connection->state = response.keep_alive ? CONNECTION_READING : CONNECTION_CLOSING;
	connection->linger = request->status != 200 || server->draining;
}

static void answer(struct server *server, struct connection *connection,
		   const struct http_request *request)
{
	char body[128];

	work(server);
	snprintf(body, sizeof(body), "worker %d pid %d conn %llu req %llu\n", server->worker,
		 server->pid, (unsigned long long)connection->number,
		 (unsigned long long)connection->requests);
	respond(server, connection, request, "text/plain", body);
}

static void answer_error(struct server *server, struct connection *connection, int status)
{
	struct http_request request = { .status = status };

	respond(server, connection, &request, "text/plain",
		status == 405 ? "only GET and HEAD\n" :
		status == 431 ? "header too large\n" :
				"bad request\n");
}

static void answer_stats(struct server *server, struct connection *connection,
			 const struct http_request *request)
{
	char body[256];

	snprintf(body, sizeof(body),
		 "{\"worker\":%d,\"pid\":%d,\"accepted\":%llu,\"requests\":%llu,\"open\":%llu,"
		 "\"idle_wakeups\":%llu}\n",
		 server->worker, server->pid, (unsigned long long)server->accepted,
		 (unsigned long long)server->requests, (unsigned long long)server->open,
		 (unsigned long long)server->idle_wakeups);
	respond(server, connection, request, "application/json", body);
}

static bool target_begins(const struct http_request *request, const char *text)
{
	size_t len = strlen(text);

	return request->target_bytes >= len && !memcmp(request->target, text, len);
}

/* What follows prefix in the target. Returns as parse_u64(). */
static int target_number(const struct http_request *request, const char *prefix, uint64_t max,
			 uint64_t *number)
{
	size_t skip = strlen(prefix);
	size_t len = request->target_bytes - skip;
	char text[16];

	if (len >= sizeof(text))
		return -EINVAL;
	memcpy(text, request->target + skip, len);
	text[len] = '\0';
	return parse_u64(text, 0, max, number);
}

static void answer_busy(struct server *server, struct connection *connection,
			const struct http_request *request)
{
	uint64_t us;

	if (target_number(request, BUSY, MAX_SLOW_MS * 1000ULL, &us)) {
		answer_error(server, connection, 400);
		return;
	}
	sleep_for(us);
	answer(server, connection, request);
}

static void answer_slow(struct server *server, struct connection *connection,
			const struct http_request *request)
{
	uint64_t ms;

	if (target_number(request, SLOW, MAX_SLOW_MS, &ms)) {
		answer_error(server, connection, 400);
		return;
	}
	connection->delayed = *request;
	connection->state = CONNECTION_WAITING;
	set_deadline(server, connection, server_now_ns() + ms * NS_PER_MS);
}

static void handle(struct server *server, struct connection *connection,
		   const struct http_request *request)
{
	server->requests++;
	connection->requests++;
	connection->body_bytes = request->body_bytes;
	if (request->status != 200)
		answer_error(server, connection, request->status);
	else if (target_begins(request, SLOW))
		answer_slow(server, connection, request);
	else if (target_begins(request, BUSY))
		answer_busy(server, connection, request);
	else if (target_begins(request, "/stats"))
		answer_stats(server, connection, request);
	else
		answer(server, connection, request);
}

static void skip_body(struct connection *connection)
{
	uint64_t have = connection->in_end - connection->in_start;
	uint64_t skip = have < connection->body_bytes ? have : connection->body_bytes;

	connection->in_start += skip;
	connection->body_bytes -= skip;
}

/* Return: whether a request was there. */
static bool handle_next(struct server *server, struct connection *connection)
{
	struct http_request request;
	size_t have, used;

	skip_body(connection);
	have = connection->in_end - connection->in_start;
	used = http_parse(connection->in + connection->in_start, have, &request);
	if (used) {
		connection->in_start += used;
		handle(server, connection, &request);
		return true;
	}
	if (have == HTTP_MAX_HEADER) {
		answer_error(server, connection, 431);
		return true;
	}
	return false;
}

/* Answers what is there, as far as answers have room. Return: whether there may be more. */
static bool handle_all(struct server *server, struct connection *connection)
{
	while (connection->state == CONNECTION_READING) {
		if (sizeof(connection->out) - connection->out_end < HTTP_MAX_RESPONSE)
			return true;
		if (!handle_next(server, connection))
			return false;
	}
	return false;
}

/* Return: 0 all sent, -EAGAIN, or another -errno. */
static int flush(struct connection *connection)
{
	while (connection->out_start < connection->out_end) {
		ssize_t sent = send(connection->fd, connection->out + connection->out_start,
				    connection->out_end - connection->out_start, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -errno;
		connection->out_start += sent;
	}
	connection->out_start = connection->out_end = 0;
	return 0;
}

/* All is sent. What the client had sent on top would make a plain close reset the answer. */
static void finish(struct server *server, struct connection *connection)
{
	bool unread = connection->in_start < connection->in_end || connection->body_bytes;

	if (connection->eof || !(connection->linger || unread) ||
	    shutdown(connection->fd, SHUT_WR) || watch(server, connection, EPOLLIN)) {
		connection_close(server, connection);
		return;
	}
	connection->state = CONNECTION_LINGERING;
	set_deadline(server, connection, server_now_ns() + LINGER_NS);
}

/*
 * While draining, a client between two requests is not waited for as long as one in a request. One
 * that has connected and sent nothing yet is owed an answer, but might never ask: half the grace.
 */
static void set_idle_deadline(struct server *server, struct connection *connection)
{
	bool partial = connection->in_start < connection->in_end || connection->body_bytes;

	if (!server->draining || partial)
		connection->deadline_ns = NO_TIME;
	else if (connection->requests)
		set_deadline(server, connection, connection->active_ns + DRAIN_IDLE_NS);
	else
		set_deadline(server, connection,
			     server_now_ns() + server->options->grace_ms * NS_PER_MS / 2);
}

static int wait_for_more(struct server *server, struct connection *connection)
{
	if (connection->eof)
		return -EPIPE;
	set_idle_deadline(server, connection);
	return watch(server, connection, EPOLLIN);
}

/* Goes on as far as it can without blocking. */
static void proceed(struct server *server, struct connection *connection)
{
	bool more;
	int err;

	do {
		more = handle_all(server, connection);
		err = flush(connection);
	} while (!err && more);

	if (err == -EAGAIN)
		err = watch(server, connection, EPOLLOUT);
	else if (!err && connection->state == CONNECTION_CLOSING)
		finish(server, connection);
	else if (!err && connection->state == CONNECTION_WAITING)
		err = watch(server, connection, 0);
	else if (!err)
		err = wait_for_more(server, connection);
	if (err)
		connection_close(server, connection);
}

/* Return: 0, or -errno when the connection is broken. */
static int fill(struct connection *connection)
{
	size_t have = connection->in_end - connection->in_start;
	ssize_t got;

	memmove(connection->in, connection->in + connection->in_start, have);
	connection->in_start = 0;
	connection->in_end = have;
	got = recv(connection->fd, connection->in + have, sizeof(connection->in) - have, 0);
	if (got > 0)
		connection->in_end += got;
	else if (!got)
		connection->eof = true;
	else if (errno != EAGAIN && errno != EINTR)
		return -errno;
	return 0;
}

static void linger_on(struct server *server, struct connection *connection)
{
	connection->in_start = connection->in_end = 0;
	if (fill(connection) || connection->eof)
		connection_close(server, connection);
}

void connection_event(struct server *server, struct connection *connection, uint32_t events)
{
	if (connection->fd < 0)
		return;
	if (events & EPOLLERR) {
		connection_close(server, connection);
		return;
	}
	if (connection->state == CONNECTION_LINGERING) {
		linger_on(server, connection);
		return;
	}
	/* both directions are closed and there is nothing to send to */
	if (events & EPOLLHUP && connection->state == CONNECTION_WAITING) {
		connection_close(server, connection);
		return;
	}
	if (connection->events & EPOLLIN && fill(connection))
		connection_close(server, connection);
	else
		proceed(server, connection);
}

void connection_timeout(struct server *server, struct connection *connection)
{
	connection->deadline_ns = NO_TIME;
	if (connection->state != CONNECTION_WAITING) {
		connection_close(server, connection);
		return;
	}
	answer(server, connection, &connection->delayed);
	proceed(server, connection);
}

void connection_drain(struct server *server, struct connection *connection)
{
	if (connection->state == CONNECTION_READING && connection->events & EPOLLIN)
		set_idle_deadline(server, connection);
}
