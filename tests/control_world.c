// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See control_world.h. */
#include "control_world.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/trouble.h"
#include "keeper/control_client.h"
#include "lb_abi.h"

sd_event *loop;
struct control *control;
json_t *events;
json_int_t last_seq;
int passed_now;
struct client *waits;
struct admission_rule rule = { .group = LB_NO_GROUP };
static int arg;

static void do_hello(void *with, struct client *client, const json_t *request, int *passed)
{
	assert_ptr_equal(with, &arg);
	assert_non_null(request);
	passed_now = *passed >= 0;
	control_reply(client, EXIT_DONE, "hello");
}

static void do_follow(void *with, struct client *client, const json_t *request, int *passed)
{
	(void)with;
	(void)request;
	(void)passed;
	control_subscribe(client);
}

static void do_wait(void *with, struct client *client, const json_t *request, int *passed)
{
	(void)with;
	(void)request;
	(void)passed;
	waits = client;
	control_await_end(client);
}

static void do_work(void *with, struct client *client, const json_t *request, int *passed)
{
	(void)with;
	(void)request;
	(void)passed;
	control_reply(client, EXIT_DONE, "done");
}

static const struct control_verb verbs[] = {
	{ "hello", true, ADMIT_WORKER, do_hello }, { "events", true, ADMIT_OPERATOR, do_follow },
	{ "stop", true, ADMIT_OPERATOR, do_wait }, { "scale", false, ADMIT_OPERATOR, do_work },
	{ NULL, false, ADMIT_NOBODY, NULL },
};

int control_open_as(bool runs_workers)
{
	const struct control_config config = {
		.name = "web",
		.rule = { .runs_workers = runs_workers,
			  .worker_uid = rule.worker_uid ? rule.worker_uid : getuid(),
			  .group = rule.group },
		.verbs = verbs,
		.events = events = json_array(),
		.arg = &arg,
	};

	last_seq = 0;
	return sd_event_new(&loop) < 0 || control_open(loop, &config, &control);
}

int control_begin(void **state)
{
	(void)state;
	return control_open_as(true);
}

int control_end(void **state)
{
	(void)state;
	control_close(control, EXIT_DONE, "ended");
	loop = sd_event_unref(loop);
	json_decref(events);
	control = NULL;
	return 0;
}

void control_run_all(void)
{
	while (sd_event_run(loop, 0) > 0)
		continue;
}

int control_connect_client(void)
{
	int fd = control_connect("web");

	assert_true(fd >= 0);
	control_run_all();
	return fd;
}

int control_status_of(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	json_t *answer;
	int status;

	control_run_all();
	if (poll(&ready, 1, 0) != 1)
		return -1;
	if (control_receive(fd, &answer))
		return -2;
	status = json_integer_value(json_object_get(answer, "status"));
	json_decref(answer);
	return status;
}

int control_ask(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		return -3;
	return control_status_of(fd);
}
