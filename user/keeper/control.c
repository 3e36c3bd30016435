// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See control.h. */
#include "keeper/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "base/text_json.h"
#include "base/trouble.h"
#include "keeper/control_client.h"
#include "keeper/receive.h"
#include "keeper/task.h"
#include "lb_abi.h"
#include "lib/packet.h"

#define MOST_GROUPS 256 /* of a client that are looked at */
#define PAUSE_US 100000

struct client {
	struct control *control;
	struct client *next;
	uint64_t id;
	int fd;
	pid_t pid;
	enum admission admission;
	json_int_t next_seq; /* of the event that it is sent next; 0 = it does not follow them */
	bool awaits_end;     /* asked for the stop; the answer comes when all is gone */
	sd_event_source *source;
};

struct control {
	struct control_config config;
	sd_event *loop;
	int fd;
	sd_event_source *source, *pause;
	struct client *clients;
	uint64_t last_id;
	char obstacle[160];
};

static void client_free(struct client *client)
{
	struct client **at = &client->control->clients;

	while (*at && *at != client)
		at = &(*at)->next;
	if (*at)
		*at = client->next;
	sd_event_source_disable_unref(client->source);
	task_hang_up(&client->fd);
	free(client);
}

/* --- answers --- */

/*
 * Sends a packet, with a descriptor unless `passed` is -1, and never waits. Who asked gets one
 * whatever happens. 0 or -errno.
 */
static int send_packet(int fd, const json_t *value, int passed)
{
	static const char no_memory[] = "{\"status\":1,\"text\":\"out of memory\"}";
	_cleanup_free_ char *made = value ? json_dumps(value, JSON_COMPACT) : NULL;
	const char *text = made ? made : no_memory;

	return lbctl_packet_send(fd, text, strlen(text), passed);
}

void control_reply_with(struct client *client, json_t *value, int passed)
{
	send_packet(client->fd, value, passed);
	json_decref(value);
}

void control_reply(struct client *client, int status, const char *text)
{
	control_reply_with(client, text_pack("{s:i, s:s}", "status", status, "text", text), -1);
}

/*
 * Sends what it has not been sent yet, as far as it reads: the rest when it does. Of what is not
 * among the last events any more, the numbers tell that it was missed.
 */
static void catch_up(struct client *client)
{
	const json_t *recent = client->control->config.events, *event;
	int err = 0;

	for (size_t i = 0; i < json_array_size(recent) && err != -EAGAIN; i++) {
		event = json_array_get(recent, i);
		if (json_integer_value(json_object_get(event, "seq")) < client->next_seq)
			continue;
		err = send_packet(client->fd, event, -1);
		if (err != -EAGAIN)
			client->next_seq = json_integer_value(json_object_get(event, "seq")) + 1;
	}
	sd_event_source_set_io_events(client->source,
				      err == -EAGAIN ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void control_publish(struct control *control)
{
	for (struct client *client = control->clients; client; client = client->next) {
		if (client->next_seq)
			catch_up(client);
	}
}

void control_subscribe(struct client *client)
{
	client->next_seq = 1;
	catch_up(client);
}

void control_await_end(struct client *client)
{
	client->awaits_end = true;
}

uint64_t control_client_id(const struct client *client)
{
	return client->id;
}

pid_t control_client_pid(const struct client *client)
{
	return client->pid;
}

enum admission control_client_admission(const struct client *client)
{
	return client->admission;
}

struct client *control_find(struct control *control, uint64_t id)
{
	struct client *client = control ? control->clients : NULL;

	while (client && client->id != id)
		client = client->next;
	return client;
}

/* --- requests --- */

/* By what the client may. */
static const char *const refusals[] = {
	[ADMIT_WORKER] = "a worker may join and nothing else; ask as root or the keeper's user",
	[ADMIT_OPERATOR] = "who is in --group may not say what is run; ask as root or its user",
};

static void run_verb(struct client *client, const struct control_verb *verb, const json_t *request,
		     int *passed)
{
	const struct control_config *config = &client->control->config;

	if (client->admission < verb->takes)
		control_reply(client, EXIT_NOT_ABLE, refusals[client->admission]);
	else if (!config->runs_workers && !verb->for_watch)
		control_reply(client, EXIT_FAILED,
			      "lbctl watch did not start these workers; ask their server");
	else
		verb->run(config->arg, client, request, passed);
}

static void handle(struct client *client, const char *bytes, size_t n, int *passed)
{
	json_t *request = json_loadb(bytes, n, 0, NULL);
	const char *name = json_string_value(json_object_get(request, "verb"));
	const struct control_verb *verb = client->control->config.verbs;

	while (name && verb->verb && strcmp(name, verb->verb))
		verb++;
	if (name && verb->verb)
		run_verb(client, verb, request, passed);
	else
		control_reply(client, EXIT_USAGE, "not a request that this keeper knows");
	json_decref(request);
}

static int on_request(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	static char bytes[CONTROL_MOST_BYTES];
	struct client *client = arg;
	struct received with;
	ssize_t n;

	(void)source;
	if (events & EPOLLOUT)
		catch_up(client);
	n = receive(fd, bytes, sizeof(bytes), &with);
	if (n == -EAGAIN)
		return 0;
	if (n <= 0)
		client_free(client);
	else if (with.nr_fds > 1 || with.lacking)
		control_reply(client, EXIT_USAGE,
			      "one descriptor goes with a request (or the keeper has no room for "
			      "any more)");
	else if (with.cut)
		control_reply(client, EXIT_USAGE, "the request is too long");
	else
		handle(client, bytes, n, with.nr_fds ? with.fds : &(int){ -1 });
	received_drop(&with);
	return 0;
}

/* --- who is let in --- */

static bool is_in_group(int fd, gid_t group)
{
	gid_t groups[MOST_GROUPS];
	socklen_t len = sizeof(groups);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len))
		return false;
	for (size_t i = 0; i < len / sizeof(*groups); i++) {
		if (groups[i] == group)
			return true;
	}
	return false;
}

static enum admission admit(const struct control_config *config, int fd, const struct ucred *peer)
{
	if (!peer->uid || peer->uid == getuid())
		return ADMIT_OWNER;
	/* that of a watched service was given to report load, not to control lbctl */
	if (config->group != LB_NO_GROUP &&
	    (peer->gid == config->group || is_in_group(fd, config->group)))
		return config->runs_workers ? ADMIT_OPERATOR : ADMIT_WORKER;
	return peer->uid == config->worker_uid ? ADMIT_WORKER : ADMIT_NOBODY;
}

static size_t count_clients(const struct control *control, enum admission least)
{
	size_t n = 0;

	for (const struct client *client = control->clients; client; client = client->next)
		n += client->admission >= least;
	return n;
}

/* Workers can't take the places of those who may end the service. */
static bool has_room(const struct control *control, enum admission admission)
{
	size_t all = count_clients(control, ADMIT_WORKER);
	size_t operators = count_clients(control, ADMIT_OPERATOR);

	return all < CONTROL_MOST_CLIENTS &&
	       (admission >= ADMIT_OPERATOR || all - operators < CONTROL_MOST_CLIENTS / 2);
}

/* It is told why, and hung up on. */
static void send_away(int fd, int status, bool again, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void send_away(int fd, int status, bool again, const char *format, ...)
{
	json_t *reply;
	char text[256];
	va_list args;

	va_start(args, format);
	text_vformat(text, sizeof(text), format, args);
	va_end(args);
	reply = text_pack("{s:i, s:s, s:b}", "status", status, "text", text, "again", again);
	send_packet(fd, reply, -1);
	json_decref(reply);
	task_hang_up(&fd);
}

static void client_add(struct control *control, int fd, pid_t pid, enum admission admission)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client) {
		task_hang_up(&fd);
		return;
	}
	*client = (struct client){
		.control = control,
		.id = ++control->last_id,
		.fd = fd,
		.pid = pid,
		.admission = admission,
		.next = control->clients,
	};
	control->clients = client;
	if (sd_event_add_io(control->loop, &client->source, fd, EPOLLIN, on_request, client) < 0)
		client_free(client);
}

static int on_pause_end(sd_event_source *source, uint64_t usec, void *arg)
{
	struct control *control = arg;

	(void)source;
	(void)usec;
	sd_event_source_set_enabled(control->source, SD_EVENT_ON);
	return 0;
}

/*
 * There is no descriptor or no memory for who comes. It stays in the queue, where it would wake us
 * at once again, without end.
 */
static void pause_listening(struct control *control)
{
	sd_event_source_disable_unref(control->pause);
	control->pause = NULL;
	if (sd_event_add_time_relative(control->loop, &control->pause, CLOCK_MONOTONIC, PAUSE_US, 0,
				       on_pause_end, control) >= 0)
		sd_event_source_set_enabled(control->source, SD_EVENT_OFF);
}

static int on_connect(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct control *control = arg;
	int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	enum admission admission = ADMIT_NOBODY;
	struct ucred peer = { .uid = -1 };
	socklen_t len = sizeof(peer);

	(void)source;
	(void)events;
	if (connection < 0) {
		if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
			pause_listening(control);
		return 0;
	}
	if (!getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		admission = admit(&control->config, connection, &peer);
	if (admission == ADMIT_NOBODY)
		send_away(connection, EXIT_NOT_ABLE, false,
			  "user %u is not admitted by the keeper of %s, but root, its own user and "
			  "--group are",
			  peer.uid, control->config.name);
	else if (!has_room(control, admission))
		send_away(connection, EXIT_FAILED, true,
			  "too many clients are connected; try again");
	else
		client_add(control, connection, peer.pid, admission);
	return 0;
}

/* --- the socket --- */

_Static_assert(LB_NO_GROUP == (gid_t)-1, "chown() leaves the group as it is");

/* Lets those connect who may ask for something. A keeper without CAP_CHOWN keeps its service. */
static void let_in(struct control *control, const char *path)
{
	const struct control_config *config = &control->config;

	if (chown(path, config->worker_uid == getuid() ? (uid_t)-1 : config->worker_uid,
		  config->group))
		snprintf(control->obstacle, sizeof(control->obstacle),
			 "only root and user %u can connect to %.60s: to let --group and the user "
			 "of --user in takes CAP_CHOWN",
			 getuid(), path);
}

int control_open(sd_event *loop, const struct control_config *config, struct control **out)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct control *control;
	struct sockaddr_un at;
	int err = fd < 0 ? -errno : control_address(config->name, &at);

	if (err)
		return err;
	unlink(at.sun_path);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || chmod(at.sun_path, 0660) ||
	    listen(fd, 16))
		return -errno;
	control = calloc(1, sizeof(*control));
	if (!control)
		return -ENOMEM;
	control->config = *config;
	control->loop = loop;
	let_in(control, at.sun_path);
	control->fd = fd_steal(&fd);
	err = sd_event_add_io(loop, &control->source, control->fd, EPOLLIN, on_connect, control);
	if (err < 0) {
		control_close(control, EXIT_FAILED, "");
		return err;
	}
	*out = control;
	return 0;
}

const char *control_obstacle(const struct control *control)
{
	return *control->obstacle ? control->obstacle : NULL;
}

void control_close(struct control *control, int status, const char *text)
{
	if (!control)
		return;
	while (control->clients) {
		if (control->clients->awaits_end)
			control_reply(control->clients, status, text);
		client_free(control->clients);
	}
	sd_event_source_disable_unref(control->source);
	sd_event_source_disable_unref(control->pause);
	/* who waits there may have sent something with its request */
	task_drop_fd(&control->fd);
	free(control);
}
