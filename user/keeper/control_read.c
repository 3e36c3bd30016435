// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See control.h: what is read of a client, how much of it, and who does what it asks for. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/trouble.h"
#include "keeper/control_client.h"
#include "keeper/control_parts.h"
#include "keeper/receive.h"

/* --- how much is read of whom --- */

static void hold(struct client *client, unsigned int why)
{
	client->held |= why;
	sd_event_source_set_enabled(client->source, SD_EVENT_OFF);
}

static void release(struct client *client, unsigned int why)
{
	client->held &= ~why;
	if (client->held)
		return;
	/* it may have sent lines that are here already */
	sd_event_source_set_io_events(client->source, EPOLLIN | EPOLLOUT);
	sd_event_source_set_enabled(client->source, SD_EVENT_ON);
}

void control_hold(struct client *client)
{
	hold(client, HELD_FOR_ANSWER);
}

void control_release(struct client *client)
{
	release(client, HELD_FOR_ANSWER);
}

static int on_more(sd_event_source *source, uint64_t usec, void *arg)
{
	struct control *control = arg;

	(void)source;
	(void)usec;
	control->more = sd_event_source_disable_unref(control->more);
	for (struct client *client = control->clients; client; client = client->next) {
		if (client->held & HELD_BY_BUDGET)
			release(client, HELD_BY_BUDGET);
	}
	return 0;
}

/* By process and not by connection, as a process has as many of those as it likes. */
static struct budget *budget_of(struct client *client)
{
	struct control *control = client->control;
	struct budget *budget = client->peer.pid > 0 ?
					&control->budgets[client->peer.pid % CONTROL_BUDGETS] :
					&client->budget;
	uint64_t now_us = 0;

	sd_event_now(control->loop, CLOCK_MONOTONIC, &now_us);
	budget_begin(budget, now_us);
	return budget;
}

/* May more be read of it now? Else that is done later. */
static bool may_say_more(struct client *client)
{
	struct control *control = client->control;

	if (client->held)
		return false;
	if (client->admission >= ADMIT_OWNER || !budget_is_spent(budget_of(client)))
		return true;
	if (!control->more &&
	    sd_event_add_time_relative(control->loop, &control->more, CLOCK_MONOTONIC,
				       CONTROL_PAUSE_US, 0, on_more, control) < 0)
		return true;
	hold(client, HELD_BY_BUDGET);
	return false;
}

void control_spend(struct client *client, uint32_t messages)
{
	budget_of(client)->messages += messages;
}

/* --- requests --- */

static void run_verb(struct client *client, const struct control_verb *verb, const json_t *request,
		     int *passed)
{
	const struct control_config *config = &client->control->config;

	if (client->admission < verb->takes)
		control_reply(client, EXIT_NOT_ABLE, admission_refusal(client->admission));
	else if (!config->rule.runs_workers && !verb->for_watch)
		control_reply(client, EXIT_FAILED,
			      "lbctl watch did not start these workers; ask their server");
	else if (client->lines && verb->takes > ADMIT_WORKER)
		control_reply(client, EXIT_USAGE,
			      "this socket is for workers; send packets to the one that ends in "
			      ".sock");
	else
		verb->run(config->arg, client, request, passed);
}

/* NULL: there is none. */
static const struct control_verb *find_verb(const struct control_verb *verbs, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "verb"));

	for (; verbs->verb; verbs++) {
		if (name ? !strcmp(name, verbs->verb) :
			   verbs->takes == ADMIT_WORKER && json_object_get(request, verbs->verb))
			return verbs;
	}
	return NULL;
}

void client_handle(struct client *client, const char *bytes, size_t n, int *passed)
{
	json_t *request = json_loadb(bytes, n, 0, NULL);
	const struct control_verb *verb = find_verb(client->control->config.verbs, request);

	control_spend(client, 1);
	budget_of(client)->bytes += n;
	if (verb)
		run_verb(client, verb, request, passed);
	else
		control_reply(client, EXIT_USAGE, "not a request that this keeper knows");
	json_decref(request);
}

/* As receive(), and remembers who sends. */
static ssize_t receive_from(struct client *client, char *bytes, size_t size, struct received *with)
{
	ssize_t n = receive(client->fd, bytes, size, with);

	if (n > 0)
		client->has_others |= with->pid != client->peer.pid;
	return n;
}

static void read_packet(struct client *client)
{
	static char bytes[CONTROL_MOST_BYTES];
	struct received with;
	ssize_t n = receive_from(client, bytes, sizeof(bytes), &with);

	if (n == -EAGAIN)
		return;
	if (n <= 0)
		client_free(client);
	else if (with.nr_fds > 1 || with.lacking)
		control_reply(client, EXIT_USAGE,
			      "one descriptor goes with a request (or the keeper has no room for "
			      "any more)");
	else if (with.cut)
		control_reply(client, EXIT_USAGE, "the request is too long");
	else
		client_handle(client, bytes, n, with.nr_fds ? with.fds : &(int){ -1 });
	received_drop(&with);
}

/* Returns whether the client is still there. */
static bool read_more(struct client *client)
{
	struct received with;
	size_t room;
	char *at = lines_room(client->lines, &room);
	ssize_t n = room ? receive_from(client, at, room, &with) : -EMSGSIZE;

	if (n == -EMSGSIZE)
		control_reply(client, EXIT_USAGE, "the request is too long");
	else
		received_drop(&with);
	if (n > 0)
		lines_add(client->lines, n);
	if (n > 0 || n == -EAGAIN)
		return true;
	client_free(client);
	return false;
}

static void read_lines(struct client *client)
{
	const char *line;
	size_t n;

	if (!lines_has_one(client->lines) && !read_more(client))
		return;
	while (may_say_more(client) && (line = lines_take(client->lines, &n)))
		client_handle(client, line, n, &(int){ -1 });
}

int client_on_event(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct client *client = arg;

	(void)fd;
	if (events & EPOLLOUT && client->next_seq)
		client_catch_up(client);
	else if (events & EPOLLOUT)
		sd_event_source_set_io_events(source, EPOLLIN);
	if (!may_say_more(client))
		return 0;
	if (client->lines)
		read_lines(client);
	else
		read_packet(client);
	return 0;
}
