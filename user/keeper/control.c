// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The keeper's control socket: SOCK_SEQPACKET, one JSON object a packet, so a message is whole or
 * not there. Who gets as far as here, control_listen.c says. Nothing here waits for a client: one
 * that does not read loses what it would have been told. A descriptor that came with a request is
 * closed before anything else is done, as a duplicate keeps a dead worker's queue from moving.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/trouble.h"
#include "keeper/control.h"
#include "keeper/keeper.h"
#include "lib/packet.h"

#define RECENT_EVENTS 64

struct client {
	struct keeper *keeper;
	struct client *next;
	int fd;
	int passed; /* came with the request that is handled now, -1 = nothing */
	pid_t pid;
	enum admission admission;
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
	close_fd(&client->passed);
	free(client);
}

int control_send(int fd, const json_t *value, int passed)
{
	_cleanup_free_ char *text = json_dumps(value, JSON_COMPACT);

	return text ? lbctl_packet_send(fd, text, strlen(text), passed) : -ENOMEM;
}

static void client_send(struct client *client, const json_t *value)
{
	if (control_send(client->fd, value, -1) == -EAGAIN)
		client->subscribed = false;
}

void control_reply(struct client *client, int status, const char *text)
{
	json_t *reply = json_pack("{s:i, s:s}", "status", status, "text", text);

	client_send(client, reply);
	json_decref(reply);
}

/* So that who begins to follow sees how it came about. */
static void remember(struct keeper *keeper, json_t *event)
{
	if (!keeper->recent)
		keeper->recent = json_array();
	json_array_append(keeper->recent, event);
	if (json_array_size(keeper->recent) > RECENT_EVENTS)
		json_array_remove(keeper->recent, 0);
}

void control_publish(struct keeper *keeper, json_t *event)
{
	remember(keeper, event);
	for (struct client *client = keeper->clients; client; client = client->next) {
		if (client->subscribed)
			client_send(client, event);
	}
}

static bool begin(struct client *client, const char *verb)
{
	struct keeper *keeper = client->keeper;
	char text[96];

	if (keeper_begin_operation(keeper, verb, client))
		return true;
	snprintf(text, sizeof(text), "%s is still going on; wait for it", keeper->operation.verb);
	control_reply(client, EXIT_FAILED, text);
	return false;
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
	const json_t *recent = client->keeper->recent;

	(void)request;
	client->subscribed = true;
	control_reply(client, EXIT_DONE, "subscribed");
	for (size_t i = 0; i < json_array_size(recent); i++)
		client_send(client, json_array_get(recent, i));
}

/* Someone changed the service: tell of it now and not at the next tick. */
static void do_look(struct client *client, const json_t *request)
{
	(void)request;
	keeper_look(client->keeper);
	control_reply(client, EXIT_DONE, "looked");
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

/* Is anybody there? */
static void do_hello(struct client *client, const json_t *request)
{
	(void)request;
	control_reply(client, EXIT_DONE, "lbctl " LBCTL_VERSION);
}

static void reply_place(struct client *client, const struct join_place *place)
{
	char text[128];
	json_t *reply;

	snprintf(text, sizeof(text), "worker %u, listening on %s", place->worker, place->address);
	reply = json_pack("{s:i, s:s, s:i, s:i}", "status", EXIT_DONE, "text", text, "worker",
			  place->worker, "slot", place->slot);
	control_send(client->fd, reply, place->load_fd);
	json_decref(reply);
}

static void do_join(struct client *client, const json_t *request)
{
	const json_t *which = json_object_get(request, "worker");
	json_int_t worker = json_is_integer(which) ? json_integer_value(which) : -1;
	struct keeper *keeper = client->keeper;
	const struct keeper_join join = {
		.fd = client->passed,
		.pid = client->pid,
		.worker = which ? (uint32_t)worker : JOIN_ANY_WORKER,
	};
	struct trouble trouble;
	struct join_place place;
	int status;

	if (client->passed < 0) {
		control_reply(client, EXIT_USAGE,
			      "no socket came with the request; send one (SCM_RIGHTS)");
		return;
	}
	if (which && (worker < 0 || worker >= LB_MAX_WORKERS)) {
		control_reply(client, EXIT_USAGE, "a worker is a number from 0 to 1023");
		return;
	}
	status = keeper_join(keeper, &join, &place, &trouble);
	close_fd(&client->passed);
	if (status)
		control_reply(client, status, trouble.text);
	else
		reply_place(client, &place);
	close_fd(&place.load_fd);
	keeper_step(keeper);
}

static const struct {
	const char *verb;
	bool for_watch; /* makes sense where lbctl did not start the workers */
	enum admission takes;
	void (*run)(struct client *client, const json_t *request);
} verbs[] = {
	{ "scale", false, OPERATOR, do_scale },	    { "reload", false, OPERATOR, do_reload },
	{ "restart", false, OPERATOR, do_restart }, { "stop", true, OPERATOR, do_stop },
	{ "events", true, OPERATOR, do_events },    { "send", false, OPERATOR, do_send },
	{ "hello", true, WORKER, do_hello },	    { "join", true, WORKER, do_join },
	{ "look", true, OPERATOR, do_look },
};

static void handle(struct client *client, const char *bytes, size_t n)
{
	json_t *request = json_loadb(bytes, n, 0, NULL);
	const char *verb = json_string_value(json_object_get(request, "verb"));

	if (!verb || strcmp(verb, "join"))
		close_fd(&client->passed);
	for (size_t i = 0; verb && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verb, verbs[i].verb))
			continue;
		if (client->admission < verbs[i].takes)
			control_reply(client, EXIT_NOT_ABLE,
				      "a worker may join, and nothing else; ask as root or as "
				      "the keeper's user");
		else if (client->keeper->options.argv || verbs[i].for_watch)
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
	static char bytes[CONTROL_MOST_BYTES];
	struct client *client = arg;
	ssize_t n = lbctl_packet_receive(fd, bytes, sizeof(bytes), &client->passed);

	(void)source;
	(void)events;
	if (n == -EAGAIN)
		return 0;
	if (n == -EMSGSIZE)
		control_reply(client, EXIT_USAGE, "the request is too long");
	else if (n == -E2BIG)
		control_reply(client, EXIT_USAGE,
			      "one descriptor goes with a request (or the keeper has no room for "
			      "any more)");
	else if (n > 0)
		handle(client, bytes, n);
	else
		client_free(client);
	if (n > 0)
		close_fd(&client->passed);
	return 0;
}

static size_t count_clients(const struct keeper *keeper, enum admission least)
{
	size_t n = 0;

	for (const struct client *client = keeper->clients; client; client = client->next)
		n += client->admission >= least;
	return n;
}

/* Workers can't take the places of those who may end the service. */
static bool has_room(const struct keeper *keeper, enum admission admission)
{
	size_t all = count_clients(keeper, WORKER), operators = count_clients(keeper, OPERATOR);

	return all < CONTROL_MOST_CLIENTS &&
	       (admission == OPERATOR || all - operators < CONTROL_MOST_CLIENTS / 2);
}

int control_admit(struct keeper *keeper, int fd, const struct ucred *peer, enum admission admission)
{
	struct client *client;

	if (!has_room(keeper, admission))
		return -EUSERS;
	client = calloc(1, sizeof(*client));
	if (!client) {
		close(fd);
		return -ENOMEM;
	}
	*client = (struct client){
		.keeper = keeper,
		.fd = fd,
		.passed = -1,
		.pid = peer->pid,
		.admission = admission,
		.next = keeper->clients,
	};
	keeper->clients = client;
	if (sd_event_add_io(keeper->loop, &client->source, fd, EPOLLIN, on_request, client) < 0)
		client_free(client);
	return 0;
}

void control_close(struct keeper *keeper, int status, const char *text)
{
	while (keeper->clients) {
		if (keeper->clients->awaits_end)
			control_reply(keeper->clients, status, text);
		client_free(keeper->clients);
	}
	json_decref(keeper->recent);
	keeper->recent = NULL;
	close_fd(&keeper->control_fd);
}
