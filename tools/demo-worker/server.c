/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The worker's loop: events, accepting, deadlines, and the way out. */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lbctl.h"
#include "notify.h"

#define MAX_EVENTS 64
#define DRAIN_BATCH 65536	  /* most that are taken from a queue before it is closed */
#define REARM_NS (50 * NS_PER_MS) /* after accept failed for want of something */
#define TICK_NS (100 * NS_PER_MS) /* between reports */

uint64_t server_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void server_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGUSR1);
}

static int arm(struct server *server, bool armed)
{
	int i, op = armed ? EPOLL_CTL_ADD : EPOLL_CTL_DEL;

	if (server->armed == armed)
		return 0;
	for (i = 0; i < server->nr_listeners; i++) {
		struct epoll_event event = { EPOLLIN, { .ptr = &server->listeners[i] } };

		if (server->options->exclusive)
			event.events |= EPOLLEXCLUSIVE;
		if (epoll_ctl(server->epoll_fd, op, server->listeners[i].fd, &event))
			return -errno;
	}
	server->armed = armed;
	return 0;
}

static uint16_t peer_port(const struct sockaddr_storage *peer)
{
	if (peer->ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)peer)->sin6_port);
	return ntohs(((const struct sockaddr_in *)peer)->sin_port);
}

/* One write per line: several workers append to the same file. */
static void log_connection(const struct server *server, const struct sockaddr_storage *peer)
{
	char line[64];
	int len;

	if (server->log_fd < 0)
		return;
	len = snprintf(line, sizeof(line), "%d %d %u\n", server->worker, server->pid,
		       peer_port(peer));
	if (write(server->log_fd, line, len) != len)
		perror("lbctl-demo-worker: write to --log");
}

/* The listener still has a connection that can't be had: look away instead of spinning. */
static void accept_later(struct server *server)
{
	arm(server, false);
	server->rearm_ns = server_now_ns() + REARM_NS;
}

/* Return: whether there may be more. */
static bool accept_one(struct server *server, int listen_fd)
{
	struct sockaddr_storage peer = { 0 };
	int fd = listener_accept(listen_fd, server->options, &peer);

	if (fd >= 0) {
		server->accepted++;
		log_connection(server, &peer);
		connection_accept(server, fd);
		return true;
	}
	switch (errno) {
	case EAGAIN:
		return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EINVAL: /* somebody shut the listener down */
		accept_later(server);
		return false;
	}
	return true; /* an error of that connection, or EINTR */
}

static void accept_many(struct server *server, int listen_fd, int most)
{
	while (most-- > 0 && accept_one(server, listen_fd))
		continue;
}

/* A bounded number per event, so that requests get their turn. */
static void on_listener(struct server *server, int listen_fd)
{
	uint64_t before = server->accepted;

	accept_many(server, listen_fd, server->options->batch);
	server->idle_wakeups += server->accepted == before;
}

static void tick(struct server *server, uint64_t now)
{
	const struct demo_options *options = server->options;

	if (options->nr_loads)
		lbctl_report_load(server->report,
				  options->loads[server->worker % options->nr_loads]);
	else
		lbctl_heartbeat(server->report);
	server->tick_ns = now + TICK_NS;
}

/* With each listener; the first one's handle reports. Return: 0 or -errno, and says why. */
static int join(struct server *server)
{
	struct lbctl_worker *handle;
	int i, err;

	for (i = 0; i < server->nr_listeners; i++) {
		handle = lbctl_worker_join(NULL, server->listeners[i].fd);
		if (!handle) {
			err = -errno;
			fprintf(stderr, "lbctl-demo-worker: join: %s\n", lbctl_join_error());
			return err;
		}
		if (server->report)
			lbctl_worker_close(handle);
		else
			server->report = handle;
	}
	return 0;
}

/* Return: 0 or -errno. Without a place to report to it serves all the same. */
static int open_report(struct server *server)
{
	const struct demo_options *options = server->options;
	int err = options->join ? join(server) : 0;

	if (err || (!options->report && !options->nr_loads))
		return err;
	if (!server->report)
		server->report = lbctl_worker_open(NULL, server->listeners[0].fd);
	if (!server->report) {
		perror("lbctl-demo-worker: lbctl_worker_open");
		return 0;
	}
	server->counting = !options->nr_loads;
	/* an idle worker's load is 0, which is not the same as unknown */
	lbctl_report_load(server->report, 0);
	tick(server, server_now_ns());
	return 0;
}

static void take_queue_and_close(struct server *server)
{
	int i;

	for (i = 0; i < server->nr_listeners && server->accepting; i++)
		accept_many(server, server->listeners[i].fd, DRAIN_BATCH);
	/* closing alone does not take an inherited socket, held by others too, off the epoll */
	arm(server, false);
	for (i = 0; i < server->nr_listeners; i++)
		close(server->listeners[i].fd);
	server->nr_listeners = 0;
	server->rearm_ns = NO_TIME;
	lbctl_worker_close(server->report);
	server->report = NULL;
	server->tick_ns = NO_TIME;
}

/*
 * The graceful end. What waits in the queue is taken first: without lbctl it would be reset. From
 * the close on new connections go to the other workers.
 */
static void drain(struct server *server)
{
	struct connection *connection;

	notify_send("STOPPING=1");
	take_queue_and_close(server);
	server->draining = true;
	server->grace_ns = server_now_ns() + server->options->grace_ms * NS_PER_MS;
	for (connection = server->connections; connection; connection = connection->next)
		connection_drain(server, connection);
}

static void toggle_accepting(struct server *server)
{
	server->accepting = !server->accepting;
	server->rearm_ns = NO_TIME;
	arm(server, server->accepting);
}

static void on_signal(struct server *server)
{
	struct signalfd_siginfo info;

	if (read(server->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	/*
	 * A second SIGTERM is often the same one, sent to a whole group and passed on by the
	 * parent; a second Ctrl-C means now.
	 */
	if (server->draining && info.ssi_code == SI_KERNEL)
		server->grace_ns = 0;
	else if (!server->draining && info.ssi_signo == SIGUSR1)
		toggle_accepting(server);
	else if (!server->draining)
		drain(server);
}

static void on_event(struct server *server, const struct epoll_event *event)
{
	enum source *source = event->data.ptr;

	switch (*source) {
	case SOURCE_SIGNAL:
		on_signal(server);
		break;
	case SOURCE_LISTENER:
		/* another event of this round may have stopped it */
		if (server->armed)
			on_listener(server, ((struct server_listener *)source)->fd);
		break;
	case SOURCE_CONNECTION:
		connection_event(server, (struct connection *)source, event->events);
		break;
	}
}

static void wake_connections(struct server *server, uint64_t now)
{
	struct connection *connection, *next;

	server->wake_ns = NO_TIME;
	for (connection = server->connections; connection; connection = next) {
		next = connection->next;
		if (connection->deadline_ns <= now)
			connection_timeout(server, connection);
		/* one that was answered or closed just now is counted with what it has set */
		else if (connection->deadline_ns < server->wake_ns)
			server->wake_ns = connection->deadline_ns;
	}
}

static void on_time(struct server *server)
{
	uint64_t now = server_now_ns();

	if (now >= server->tick_ns)
		tick(server, now);
	if (now >= server->rearm_ns) {
		server->rearm_ns = NO_TIME;
		arm(server, server->accepting);
	}
	if (now >= server->wake_ns)
		wake_connections(server, now);
}

static void free_closed(struct server *server)
{
	while (server->closed) {
		struct connection *connection = server->closed;

		server->closed = connection->next;
		free(connection);
	}
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Rounded up: waking before the deadline would spin. */
static int timeout_ms(const struct server *server)
{
	uint64_t until = earlier(earlier(server->tick_ns, server->rearm_ns),
				 earlier(server->wake_ns, server->grace_ns));
	uint64_t now;

	if (until == NO_TIME)
		return -1;
	now = server_now_ns();
	if (until <= now)
		return 0;
	return earlier((until - now + NS_PER_MS - 1) / NS_PER_MS, INT32_MAX);
}

static bool is_done(const struct server *server)
{
	return server->draining && (!server->open || server_now_ns() >= server->grace_ns);
}

static int loop(struct server *server)
{
	struct epoll_event events[MAX_EVENTS];
	int i, nr;

	while (!is_done(server)) {
		nr = epoll_wait(server->epoll_fd, events, MAX_EVENTS, timeout_ms(server));
		if (nr < 0 && errno != EINTR) {
			perror("lbctl-demo-worker: epoll_wait");
			return 1;
		}
		for (i = 0; i < nr; i++)
			on_event(server, &events[i]);
		on_time(server);
		free_closed(server);
	}
	return 0;
}

static int watch_signals(struct server *server)
{
	struct epoll_event event = { EPOLLIN, { .ptr = &server->signal_source } };
	sigset_t signals;

	server_signals(&signals);
	server->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	if (server->signal_fd < 0)
		return -errno;
	server->signal_source = SOURCE_SIGNAL;
	if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, server->signal_fd, &event))
		return -errno;
	return 0;
}

static int server_open(struct server *server, const struct server_setup *setup)
{
	int i, err;

	*server = (struct server){
		.options = setup->options,
		.worker = setup->worker,
		.pid = getpid(),
		.sleep_us = options_sleep_us(setup->options, setup->worker),
		.epoll_fd = -1,
		.signal_fd = -1,
		.log_fd = setup->log_fd,
		.accepting = setup->options->accept,
		.rearm_ns = NO_TIME,
		.tick_ns = NO_TIME,
		.wake_ns = NO_TIME,
		.grace_ns = NO_TIME,
	};
	server->nr_listeners = setup->listeners.nr;
	for (i = 0; i < server->nr_listeners; i++)
		server->listeners[i] =
			(struct server_listener){ SOURCE_LISTENER, setup->listeners.fds[i] };
	server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (server->epoll_fd < 0)
		return -errno;
	err = watch_signals(server);
	return err ? err : arm(server, server->accepting);
}

static void server_close(struct server *server)
{
	int i;

	while (server->connections)
		connection_close(server, server->connections);
	free_closed(server);
	for (i = 0; i < server->nr_listeners; i++)
		close(server->listeners[i].fd);
	lbctl_worker_close(server->report);
	if (server->signal_fd >= 0)
		close(server->signal_fd);
	if (server->epoll_fd >= 0)
		close(server->epoll_fd);
}

static void say_where(const struct server *server)
{
	char name[80];
	int i;

	for (i = 0; i < server->nr_listeners && !server->options->quiet; i++) {
		listener_name(server->listeners[i].fd, name, sizeof(name));
		fprintf(stderr, "worker %d pid %d listens on %s\n", server->worker, server->pid,
			name);
	}
}

/* The parent waits for as many bytes as it has children, and for nobody to hold the pipe. */
static void say_ready(int ready_fd)
{
	if (ready_fd < 0) {
		notify_send("READY=1");
		return;
	}
	if (write(ready_fd, "", 1) != 1)
		perror("lbctl-demo-worker: tell the parent");
	close(ready_fd);
}

int server_run(const struct server_setup *setup)
{
	struct server server;
	int err = server_open(&server, setup), status = 1;

	if (err) {
		fprintf(stderr, "lbctl-demo-worker: event loop: %s\n", strerror(-err));
	} else if (!open_report(&server)) {
		say_where(&server);
		say_ready(setup->ready_fd);
		status = loop(&server);
	}
	server_close(&server);
	return status;
}
