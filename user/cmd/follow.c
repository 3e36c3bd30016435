// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See follow.h. */
#include "cmd/follow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text_json.h"
#include "keeper/control_client.h"

static void drop(struct follow *follow, size_t which)
{
	struct followed *last = &follow->services[follow->count - 1];

	free(follow->services[which].name);
	close_fd(&follow->services[which].fd);
	follow->services[which] = *last;
	follow->count--;
}

void follow_add(struct follow *follow, const char *name)
{
	struct followed *new = &follow->services[follow->count];
	json_t *request;

	for (size_t i = 0; i < follow->count; i++) {
		if (!strcmp(follow->services[i].name, name))
			return;
	}
	if (follow->count == FOLLOW_MOST)
		return;
	new->fd = control_connect_now(name);
	new->name = new->fd < 0 ? NULL : strdup(name);
	if (!new->name) {
		close_fd(&new->fd);
		return;
	}
	follow->count++;
	request = text_pack("{s:s}", "verb", "events");
	if (control_request(new->fd, request))
		drop(follow, follow->count - 1);
	json_decref(request);
}

static void add(struct follow *follow, const char *name, json_t *event)
{
	if (!json_object_get(event, "event"))
		return;
	json_object_set_new(event, "service", text_json(name));
	json_array_append(follow->events, event);
	if (json_array_size(follow->events) > FOLLOW_EVENTS)
		json_array_remove(follow->events, 0);
}

/* Returns 0, or -errno where its keeper is gone. */
static int take_from(struct follow *follow, const struct followed *service)
{
	json_t *event;
	int err;

	while (!(err = control_receive(service->fd, &event))) {
		add(follow, service->name, event);
		json_decref(event);
	}
	return err == -EAGAIN ? 0 : err;
}

json_t *follow_take(struct follow *follow)
{
	json_t *events;

	if (!follow->events)
		follow->events = json_array();
	for (size_t i = 0; i < follow->count;) {
		if (take_from(follow, &follow->services[i]))
			drop(follow, i);
		else
			i++;
	}
	events = follow->events;
	follow->events = NULL;
	return events;
}

void follow_end(struct follow *follow)
{
	while (follow->count)
		drop(follow, follow->count - 1);
	json_decref(follow->events);
	follow->events = NULL;
}
