// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See server.h. */
#include "web/server.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/caps.h"
#include "web/answers.h"
#include "web/conns.h"
#include "web/mhd.h"

#define TICK_US 1000000
#define ACCURACY_US 1 /* 0 would be the 250 ms of sd_event_add_time(3) */
#define OWN_DESCRIPTORS 32

struct server {
	sd_event *loop;
	struct MHD_Daemon *daemon;
	struct answers *answers;
	struct conns conns;
	sd_event_source *deadline; /* when libmicrohttpd wants to run without an event */
};

/* Lets libmicrohttpd do what is due, and come back in time. */
static void pump(struct server *server)
{
	MHD_UNSIGNED_LONG_LONG ms;

	mhd.run(server->daemon);
	if (mhd.get_timeout(server->daemon, &ms) != MHD_YES) {
		sd_event_source_set_enabled(server->deadline, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time_relative(server->deadline, ms * 1000);
	sd_event_source_set_enabled(server->deadline, SD_EVENT_ONESHOT);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	pump(arg);
	return 0;
}

static int on_traffic(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	(void)source;
	(void)fd;
	(void)events;
	pump(arg);
	return 0;
}

static int on_connect(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct server *server = arg;
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	int connection;

	(void)source;
	(void)events;
	connection = accept4(fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (connection < 0)
		return 0;
	if (!conns_make_room(&server->conns)) {
		close(connection);
		return 0;
	}
	pump(server);
	/* it is closed where there is no memory for it */
	mhd.add_connection(server->daemon, connection, (struct sockaddr *)&from, len);
	pump(server);
	return 0;
}

static int on_answer(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct server *server = arg;
	int err = answers_take(server->answers);

	(void)source;
	(void)fd;
	(void)events;
	if (err)
		return sd_event_exit(server->loop, err == -EPIPE ? 0 : err);
	pump(server);
	return 0;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *arg)
{
	struct server *server = arg;

	answers_tick(server->answers);
	sd_event_source_set_time(source, usec + TICK_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* --- the process --- */

/* No path of ours has a letter that is to be written as %XX, and none is to be a NUL. */
static size_t leave_escaped(void *arg, struct MHD_Connection *connection, char *text)
{
	(void)arg;
	(void)connection;
	return strlen(text);
}

static int start_daemon(struct server *server)
{
	server->daemon = mhd.start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL,
		answers_on_request, server->answers, MHD_OPTION_NOTIFY_COMPLETED, answers_on_end,
		server->answers, MHD_OPTION_NOTIFY_CONNECTION, conns_on_notify, &server->conns,
		MHD_OPTION_CONNECTION_LIMIT, 2u * CONNS_MOST, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)SERVER_HEADER_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned int)SERVER_IDLE_SEC, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL, MHD_OPTION_END);
	return server->daemon ? 0 : -ENOMEM;
}

static int add_sources(struct server *server, const struct server_config *config)
{
	int epoll_fd = mhd.get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, err;

	err = sd_event_add_io(server->loop, NULL, epoll_fd, EPOLLIN, on_traffic, server);
	if (err >= 0)
		err = sd_event_add_io(server->loop, NULL, config->reader_fd, EPOLLIN, on_answer,
				      server);
	for (size_t i = 0; i < config->nr_listeners && err >= 0; i++)
		err = sd_event_add_io(server->loop, NULL, config->listeners[i], EPOLLIN, on_connect,
				      server);
	if (err >= 0)
		err = sd_event_add_time_relative(server->loop, &server->deadline, CLOCK_MONOTONIC,
						 0, ACCURACY_US, on_deadline, server);
	if (err >= 0)
		err = sd_event_add_time_relative(server->loop, NULL, CLOCK_MONOTONIC, TICK_US, 0,
						 on_tick, server);
	return err < 0 ? err : 0;
}

static int give_up_rights(const struct server_config *config)
{
	const struct rlimit descriptors = {
		.rlim_cur = 2 * CONNS_MOST + OWN_DESCRIPTORS,
		.rlim_max = 2 * CONNS_MOST + OWN_DESCRIPTORS,
	};

	if (setrlimit(RLIMIT_NOFILE, &descriptors))
		return -errno;
	if (!geteuid() && (setgroups(0, NULL) || setgid(config->gid) || setuid(config->uid)))
		return -errno;
	return caps_drop_all();
}

int server_run(const struct server_config *config)
{
	const struct answers_config asks = {
		.reader_fd = config->reader_fd,
		.hosts = config->hosts,
		.changes = config->changes,
	};
	struct server server = { 0 };
	int err = give_up_rights(config);

	/* of a terminal it is for the other process, whose end is ours */
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (!err)
		err = sd_event_new(&server.loop);
	if (err < 0)
		return err;
	server.answers = answers_new(&asks);
	err = server.answers ? start_daemon(&server) : -ENOMEM;
	if (!err)
		err = add_sources(&server, config);
	return err ? err : sd_event_loop(server.loop);
}
