// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See control.h: who comes and goes, and what each is answered. */
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
#include "keeper/control_parts.h"
#include "keeper/receive.h"
#include "keeper/task.h"
#include "lb_abi.h"
#include "lib/packet.h"

void client_free(struct client *client)
{
	struct client **at = &client->control->clients;

	while (*at && *at != client)
		at = &(*at)->next;
	if (*at)
		*at = client->next;
	sd_event_source_disable_unref(client->source);
	receive_hang_up(&client->fd);
	free(client->lines);
	free(client);
}

/* --- answers --- */

/*
 * Sends a packet, with a descriptor unless `passed` is -1, and never waits. Who asked gets one
 * whatever happens. 0 or -errno.
 */
static int send_packet(int fd, bool is_line, const json_t *value, int passed)
{
	static const char no_memory[] = "{\"status\":1,\"text\":\"out of memory\"}";
	_cleanup_free_ char *made = value ? json_dumps(value, JSON_COMPACT) : NULL;
	_cleanup_free_ char *line = NULL;
	const char *text = made ? made : no_memory;

	if (is_line && asprintf(&line, "%s\n", text) >= 0)
		text = line;
	return lbctl_packet_send(fd, text, strlen(text), passed);
}

void control_reply_with(struct client *client, json_t *value, int passed)
{
	/* who reads lines does not expect one */
	send_packet(client->fd, client->lines, value, client->lines ? -1 : passed);
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
void client_catch_up(struct client *client)
{
	const json_t *recent = client->control->config.events, *event;
	int err = 0;

	for (size_t i = 0; i < json_array_size(recent) && err != -EAGAIN; i++) {
		event = json_array_get(recent, i);
		if (json_integer_value(json_object_get(event, "seq")) < client->next_seq)
			continue;
		err = send_packet(client->fd, client->lines, event, -1);
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
			client_catch_up(client);
	}
}

void control_subscribe(struct client *client)
{
	client->next_seq = 1;
	client_catch_up(client);
}

void control_await_end(struct client *client)
{
	client->awaits_end = true;
}

uint64_t control_client_id(const struct client *client)
{
	return client->id;
}

enum admission control_client_admission(const struct client *client)
{
	return client->admission;
}

const struct peer *control_client_peer(const struct client *client)
{
	return &client->peer;
}

int control_client_connection(const struct client *client)
{
	return client->has_others ? -1 : client->fd;
}

uint64_t control_client_joined(const struct client *client)
{
	return client->joined;
}

void control_set_joined(struct client *client, uint64_t cookie, uint32_t slot)
{
	for (struct client *other = client->control->clients; other; other = other->next) {
		if (other->slot == slot)
			other->joined = 0;
	}
	client->joined = cookie;
	client->slot = slot;
}

struct client *control_find(struct control *control, uint64_t id)
{
	struct client *client = control ? control->clients : NULL;

	while (client && client->id != id)
		client = client->next;
	return client;
}

/* --- who is let in --- */

static const size_t most_clients[] = {
	[ADMIT_WORKER] = CONTROL_MOST_WORKERS,
	[ADMIT_OPERATOR] = CONTROL_MOST_OPERATORS,
	[ADMIT_OWNER] = CONTROL_MOST_CLIENTS,
};

/* Who has joined is counted by its slot. */
static size_t count_clients(const struct control *control, enum admission admission)
{
	size_t n = 0;

	for (const struct client *client = control->clients; client; client = client->next)
		n += client->admission == admission && !client->joined;
	return n;
}

static uint64_t now_us(const struct control *control)
{
	uint64_t now = 0;

	sd_event_now(control->loop, CLOCK_MONOTONIC, &now);
	return now;
}

/* One that has just come may be about to ask, or has and was not read yet. */
static bool is_idle(const struct client *client)
{
	char byte;

	return client->admission == ADMIT_WORKER && !client->joined &&
	       !(client->held & HELD_FOR_ANSWER) &&
	       now_us(client->control) - client->since_us >= CONTROL_IDLE_US &&
	       recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

/* The first that came of those that may be workers. */
static struct client *idlest_worker(const struct control *control)
{
	struct client *first = NULL;

	for (struct client *client = control->clients; client; client = client->next) {
		if (is_idle(client))
			first = client;
	}
	return first;
}

/* Nobody takes the places of those who may do more, and who is idle keeps no worker out. */
static bool make_room(struct control *control, enum admission admission)
{
	struct client *idle;

	if (count_clients(control, admission) < most_clients[admission])
		return true;
	idle = admission == ADMIT_WORKER ? idlest_worker(control) : NULL;
	if (idle)
		client_free(idle);
	return idle;
}

/* It is told why, and hung up on. */
static void send_away(const struct door *door, int fd, int status, bool again, const char *format,
		      ...) __attribute__((format(printf, 5, 6)));

static void send_away(const struct door *door, int fd, int status, bool again, const char *format,
		      ...)
{
	json_t *reply;
	char text[256];
	va_list args;

	va_start(args, format);
	text_vformat(text, sizeof(text), format, args);
	va_end(args);
	reply = text_pack("{s:i, s:s, s:b}", "status", status, "text", text, "again", again);
	send_packet(fd, door->takes_lines, reply, -1);
	json_decref(reply);
	receive_hang_up(&fd);
}

static void client_add(const struct door *door, int fd, const struct peer *peer,
		       enum admission admission)
{
	struct client *client = calloc(1, sizeof(*client));
	struct lines *lines = door->takes_lines ? calloc(1, sizeof(*lines)) : NULL;
	struct control *control = door->control;

	if (!client || (door->takes_lines && !lines)) {
		free(client);
		free(lines);
		receive_hang_up(&fd);
		return;
	}
	*client = (struct client){
		.control = control,
		.id = ++control->last_id,
		.fd = fd,
		.since_us = now_us(control),
		.peer = *peer,
		.admission = admission,
		.lines = lines,
		.next = control->clients,
	};
	control->clients = client;
	if (sd_event_add_io(control->loop, &client->source, fd, EPOLLIN, client_on_event, client) <
	    0)
		client_free(client);
}

static void set_listening(struct control *control, int enabled)
{
	sd_event_source_set_enabled(control->packets.source, enabled);
	sd_event_source_set_enabled(control->lines.source, enabled);
}

static int on_pause_end(sd_event_source *source, uint64_t usec, void *arg)
{
	struct control *control = arg;

	(void)source;
	(void)usec;
	set_listening(control, SD_EVENT_ON);
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
	if (sd_event_add_time_relative(control->loop, &control->pause, CLOCK_MONOTONIC,
				       CONTROL_PAUSE_US, 0, on_pause_end, control) >= 0)
		set_listening(control, SD_EVENT_OFF);
}

static int on_connect(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	const struct door *door = arg;
	const struct control_config *config = &door->control->config;
	int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	enum admission admission = ADMIT_NOBODY;
	struct peer peer = { .uid = -1 };

	(void)source;
	(void)events;
	if (connection < 0) {
		if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
			pause_listening(door->control);
		return 0;
	}
	if (!peer_read(connection, &peer))
		admission = admission_of(&config->rule, connection, &peer);
	if (admission == ADMIT_NOBODY)
		send_away(door, connection, EXIT_NOT_ABLE, false,
			  "user %u is not admitted by the keeper of %s, but root, its own user and "
			  "--group are",
			  peer.uid, config->name);
	else if (!make_room(door->control, admission))
		send_away(door, connection, EXIT_FAILED, true,
			  "too many clients are connected; try again");
	else
		client_add(door, connection, &peer, admission);
	return 0;
}

/* --- the socket --- */

_Static_assert(LB_NO_GROUP == (gid_t)-1, "chown() leaves the group as it is");

/* Lets those connect who may ask for something. A keeper without CAP_CHOWN keeps its service. */
static void let_in(struct control *control, const char *path)
{
	const struct admission_rule *rule = &control->config.rule;

	if (chown(path, rule->worker_uid == getuid() ? (uid_t)-1 : rule->worker_uid, rule->group))
		snprintf(control->obstacle, sizeof(control->obstacle),
			 "only root and user %u can connect to %.60s: to let --group and the user "
			 "of --user in takes CAP_CHOWN",
			 getuid(), path);
}

static int open_door(struct control *control, struct door *door, const char *ending)
{
	const int type = door->takes_lines ? SOCK_STREAM : SOCK_SEQPACKET, on = 1;
	_cleanup_close_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un at;
	int err = fd < 0 ? -errno : control_address(control->config.name, ending, &at);

	if (err)
		return err;
	unlink(at.sun_path);
	if (door->takes_lines)
		receive_no_fds(fd);
	/* which process sends is told from the first message on: connections have it from here */
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) || chmod(at.sun_path, 0660) ||
	    listen(fd, 16))
		return -errno;
	let_in(control, at.sun_path);
	door->control = control;
	door->fd = fd_steal(&fd);
	err = sd_event_add_io(control->loop, &door->source, door->fd, EPOLLIN, on_connect, door);
	return err < 0 ? err : 0;
}

int control_open(sd_event *loop, const struct control_config *config, struct control **out)
{
	struct control *control = calloc(1, sizeof(*control));
	int err;

	if (!control)
		return -ENOMEM;
	control->config = *config;
	control->loop = loop;
	control->packets = (struct door){ .fd = -1 };
	control->lines = (struct door){ .fd = -1, .takes_lines = true };
	err = open_door(control, &control->lines, CONTROL_LINES);
	/* who finds the packets' finds both */
	if (!err)
		err = open_door(control, &control->packets, CONTROL_PACKETS);
	if (err) {
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

static void close_door(struct door *door)
{
	sd_event_source_disable_unref(door->source);
	/* who waits there may have sent something with its request */
	task_drop_fd(&door->fd);
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
	sd_event_source_disable_unref(control->pause);
	sd_event_source_disable_unref(control->more);
	close_door(&control->packets);
	close_door(&control->lines);
	free(control);
}
