// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The keeper's control socket: SOCK_SEQPACKET, one JSON object a packet, so a message is whole or
 * not there. Who may: root, the keeper's own user, and the service's group. Nothing here waits for
 * a client: one that does not read loses what it would have been told.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "control.h"
#include "keeper.h"
#include "trouble.h"

#define MOST_CLIENTS 64

struct client {
	struct keeper *keeper;
	struct client *next;
	int fd;
	bool subscribed;
	bool awaits_end; /* asked for the stop; the answer comes when all is gone */
	sd_event_source *source;
};

static void client_free(struct client *client)
{
	struct keeper *keeper = client->keeper;
	struct client **at = &keeper->clients;

	while (*at && *at != client)
		at = &(*at)->next;
	if (*at)
		*at = client->next;
	if (keeper->operation.client == client)
		keeper->operation.client = NULL;
	sd_event_source_disable_unref(client->source);
	close_fd(&client->fd);
	free(client);
}

static void client_send(struct client *client, const json_t *value)
{
	_cleanup_free_ char *text = json_dumps(value, JSON_COMPACT);

	if (text && send(client->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
	    errno == EAGAIN)
		client->subscribed = false;
}

void control_reply(struct client *client, int status, const char *text)
{
	json_t *reply = json_pack("{s:i, s:s}", "status", status, "text", text);

	client_send(client, reply);
	json_decref(reply);
}

void control_publish(struct keeper *keeper, const json_t *event)
{
	for (struct client *client = keeper->clients; client; client = client->next) {
		if (client->subscribed)
			client_send(client, event);
	}
}

static bool begin(struct client *client, const char *verb)
{
	struct keeper *keeper = client->keeper;
	char text[96];

	if (keeper->operation.verb) {
		snprintf(text, sizeof(text), "%s is still going on; wait for it",
			 keeper->operation.verb);
		control_reply(client, EXIT_FAILED, text);
		return false;
	}
	keeper->operation = (struct operation){ .verb = verb, .client = client };
	return true;
}

static void do_scale(struct client *client, const json_t *request)
{
	json_int_t workers = json_integer_value(json_object_get(request, "workers"));
	struct keeper *keeper = client->keeper;

	if (workers < 1 || workers > LB_MAX_WORKERS) {
		control_reply(client, EXIT_USAGE, "a service has 1 to 1024 workers");
		return;
	}
	if (!begin(client, "scale"))
		return;
	for (uint32_t i = 0; i < workers; i++) {
		keeper->workers[i].gave_up = false;
		if (i >= keeper->wanted)
			keeper->workers[i].restarts = 0;
	}
	keeper->wanted = workers;
	keeper_step(keeper);
}

static void do_reload(struct client *client, const json_t *request)
{
	(void)request;
	if (begin(client, "reload"))
		keeper_renew_all(client->keeper);
}

static void do_restart(struct client *client, const json_t *request)
{
	const json_t *which = json_object_get(request, "worker");
	json_int_t worker = json_integer_value(which);
	struct keeper *keeper = client->keeper;
	struct keeper_worker *seat;

	if (!json_is_integer(which) || worker < 0 || worker >= keeper->wanted) {
		control_reply(client, EXIT_NOT_FOUND, "no such worker");
		return;
	}
	if (!begin(client, "restart"))
		return;
	seat = &keeper->workers[worker];
	seat->renew = seat->current != NULL;
	seat->gave_up = false;
	seat->failures = 0;
	keeper_step(keeper);
}

static void do_stop(struct client *client, const json_t *request)
{
	(void)request;
	client->awaits_end = true;
	keeper_stop(client->keeper);
}

static void do_events(struct client *client, const json_t *request)
{
	(void)request;
	client->subscribed = true;
	control_reply(client, EXIT_DONE, "subscribed");
}

static void do_send(struct client *client, const json_t *request)
{
	const json_t *which = json_object_get(request, "worker");
	const json_t *message = json_object_get(request, "message");
	_cleanup_free_ char *line = message ? json_dumps(message, JSON_COMPACT | JSON_ENCODE_ANY) :
					      NULL;
	struct keeper *keeper = client->keeper;
	uint32_t sent = 0, failed = 0;
	char text[96];

	if (!line) {
		control_reply(client, EXIT_USAGE, "there is no message to send");
		return;
	}
	for (uint32_t i = 0; i < keeper->wanted; i++) {
		if (json_is_integer(which) && json_integer_value(which) != i)
			continue;
		if (keeper->workers[i].current && !proc_send(keeper->workers[i].current, line))
			sent++;
		else
			failed++;
	}
	snprintf(text, sizeof(text), "sent to %u worker%s%s", sent, plural(sent),
		 failed ? "; others do not read their messages" : "");
	if (sent || failed)
		control_reply(client, failed ? EXIT_FAILED : EXIT_DONE, text);
	else
		control_reply(client, EXIT_NOT_FOUND, "no such worker");
}

static const struct {
	const char *verb;
	bool for_watch; /* makes sense where lbctl did not start the workers */
	void (*run)(struct client *client, const json_t *request);
} verbs[] = {
	{ "scale", false, do_scale },	  { "reload", false, do_reload },
	{ "restart", false, do_restart }, { "stop", true, do_stop },
	{ "events", true, do_events },	  { "send", false, do_send },
};

static void handle(struct client *client, const char *bytes, size_t n)
{
	json_t *request = json_loadb(bytes, n, 0, NULL);
	const char *verb = json_string_value(json_object_get(request, "verb"));

	for (size_t i = 0; verb && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verb, verbs[i].verb))
			continue;
		if (client->keeper->options.argv || verbs[i].for_watch)
			verbs[i].run(client, request);
		else
			control_reply(client, EXIT_FAILED,
				      "lbctl watch did not start these workers; ask their server");
		json_decref(request);
		return;
	}
	control_reply(client, EXIT_USAGE, "not a request that this keeper knows");
	json_decref(request);
}

static int on_request(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	static char bytes[CONTROL_MOST_BYTES + 1];
	struct client *client = arg;
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC);

	(void)source;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		client_free(client);
	else if (n > CONTROL_MOST_BYTES)
		control_reply(client, EXIT_USAGE, "the request is too long");
	else
		handle(client, bytes, n);
	return 0;
}

static bool may_ask(const struct keeper *keeper, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return false;
	return !peer.uid || peer.uid == getuid() ||
	       (keeper->options.group != LB_NO_GROUP && peer.gid == keeper->options.group);
}

static int on_connect(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct keeper *keeper = arg;
	struct client *client, *other;
	int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), n = 0;

	(void)source;
	(void)events;
	if (connection < 0)
		return 0;
	for (other = keeper->clients; other; other = other->next)
		n++;
	client = n < MOST_CLIENTS && may_ask(keeper, connection) ? calloc(1, sizeof(*client)) :
								   NULL;
	if (!client) {
		close(connection);
		return 0;
	}
	*client = (struct client){ .keeper = keeper, .fd = connection, .next = keeper->clients };
	keeper->clients = client;
	if (sd_event_add_io(keeper->loop, &client->source, connection, EPOLLIN, on_request,
			    client) < 0)
		client_free(client);
	return 0;
}

static int control_address(const char *name, struct sockaddr_un *at)
{
	*at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return snprintf(at->sun_path, sizeof(at->sun_path), KEEPER_DIR "/%s.sock", name) >=
			       (int)sizeof(at->sun_path) ?
		       -ENAMETOOLONG :
		       0;
}

int control_open(struct keeper *keeper)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un at;
	int err = fd < 0 ? -errno : control_address(keeper->options.name, &at);

	if (err)
		return err;
	unlink(at.sun_path);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || chmod(at.sun_path, 0660) ||
	    (keeper->options.group != LB_NO_GROUP &&
	     chown(at.sun_path, -1, keeper->options.group)) ||
	    listen(fd, 16))
		return -errno;
	keeper->control_fd = fd_steal(&fd);
	return sd_event_add_io(keeper->loop, NULL, keeper->control_fd, EPOLLIN, on_connect, keeper);
}

void control_close(struct keeper *keeper, int status, const char *text)
{
	while (keeper->clients) {
		if (keeper->clients->awaits_end)
			control_reply(keeper->clients, status, text);
		client_free(keeper->clients);
	}
	close_fd(&keeper->control_fd);
}

int control_connect(const char *name)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un at;
	int err = fd < 0 ? -errno : control_address(name, &at);

	if (!err && connect(fd, (struct sockaddr *)&at, sizeof(at)))
		err = -errno;
	return err ? err : fd_steal(&fd);
}

int control_request(int fd, const json_t *request)
{
	_cleanup_free_ char *text = json_dumps(request, JSON_COMPACT);

	if (!text)
		return -ENOMEM;
	if (strlen(text) > CONTROL_MOST_BYTES)
		return -EMSGSIZE;
	return send(fd, text, strlen(text), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int control_receive(int fd, json_t **value)
{
	static char bytes[CONTROL_MOST_BYTES];
	ssize_t n;

	do {
		n = recv(fd, bytes, sizeof(bytes), 0);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n ? -errno : -EPIPE;
	*value = json_loadb(bytes, n, 0, NULL);
	return *value ? 0 : -EBADMSG;
}

pid_t control_keeper(const char *name)
{
	_cleanup_close_ int fd = control_connect(name);
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return 0;
	return peer.pid;
}
