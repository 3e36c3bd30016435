// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See events.h. Nothing runs beside the test: whoever waits in the harness takes what has come. */
#include "harness/events.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness/runs.h"
#include "harness/world.h"

#define MOST_BYTES 65536
#define MOST_FOLLOWED 8
#define ANSWER_MS 2000

/* Those of one name. */
struct follower {
	char name[64];
	int fd;			     /* to the keeper; -1 = there is none */
	pid_t keeper;		     /* the last one that we were connected to */
	json_int_t seq;		     /* its last event */
	json_int_t missed;	     /* events that we were not told */
	unsigned int asked, answers; /* requests on this connection */
	json_t *events;
};

static struct follower followers[MOST_FOLLOWED];
static size_t nr_followers;
static pid_t follower_pid; /* a child must not take what the test is to get */

static struct follower *find(const struct run *run)
{
	for (size_t i = 0; i < nr_followers; i++) {
		if (!strcmp(followers[i].name, run->name))
			return &followers[i];
	}
	fail_msg("nobody follows the events of %s", run->name);
	return NULL;
}

/* --- the connection --- */

static void hang_up(struct follower *follower)
{
	close(follower->fd);
	follower->fd = -1;
}

static void ask(struct follower *follower, const char *request)
{
	if (follower->fd >= 0 && send(follower->fd, request, strlen(request), MSG_NOSIGNAL) > 0)
		follower->asked++;
}

static void subscribe(struct follower *follower)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	snprintf(at.sun_path, sizeof(at.sun_path), FILES_DIR "/%s.sock", follower->name);
	follower->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (follower->fd < 0)
		return;
	if (connect(follower->fd, (struct sockaddr *)&at, sizeof(at)) ||
	    getsockopt(follower->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len)) {
		hang_up(follower);
		return;
	}
	if (peer.pid != follower->keeper)
		follower->seq = 0;
	follower->keeper = peer.pid;
	follower->asked = follower->answers = 0;
	ask(follower, "{\"verb\":\"events\"}");
}

/* Takes over the packet's value. */
static void take(struct follower *follower, json_t *packet)
{
	json_int_t seq = json_integer_value(json_object_get(packet, "seq"));

	if (!json_object_get(packet, "event")) {
		follower->answers++;
	} else if (seq > follower->seq) {
		follower->missed += seq - follower->seq - 1;
		follower->seq = seq;
		json_object_set_new(packet, "keeper", json_integer(follower->keeper));
		json_array_append(follower->events, packet);
	}
	json_decref(packet);
}

static void take_all(struct follower *follower)
{
	static char bytes[MOST_BYTES];
	ssize_t n;

	if (follower->fd < 0)
		subscribe(follower);
	if (follower->fd < 0)
		return;
	while ((n = recv(follower->fd, bytes, sizeof(bytes), 0)) > 0)
		take(follower, json_loadb(bytes, n, 0, NULL));
	if (!n || errno != EAGAIN)
		hang_up(follower);
}

void events_take(void)
{
	if (getpid() != follower_pid)
		return;
	for (size_t i = 0; i < nr_followers; i++)
		take_all(&followers[i]);
}

void events_follow(const char *name)
{
	struct follower *follower = followers;

	follower_pid = getpid();
	while (follower < followers + nr_followers && strcmp(follower->name, name))
		follower++;
	assert_true(follower < followers + MOST_FOLLOWED);
	if (follower < followers + nr_followers) {
		json_decref(follower->events);
		if (follower->fd >= 0)
			hang_up(follower);
	} else {
		nr_followers++;
	}
	*follower = (struct follower){ .fd = -1, .events = json_array() };
	snprintf(follower->name, sizeof(follower->name), "%s", name);
}

void events_forget(void)
{
	for (size_t i = 0; i < nr_followers; i++) {
		json_decref(followers[i].events);
		if (followers[i].fd >= 0)
			close(followers[i].fd);
	}
	nr_followers = 0;
}

/*
 * Until a keeper that is not stopped has told all that happened so far. It does not go on telling
 * who did not listen for a while, so it is asked again; what it tells twice comes before "hello".
 */
static void catch_up(struct follower *follower)
{
	uint64_t end_ns = now_ns() + scaled_ms(ANSWER_MS) * 1000000;

	take_all(follower);
	ask(follower, "{\"verb\":\"events\"}");
	ask(follower, "{\"verb\":\"hello\"}");
	while (follower->fd >= 0 && follower->answers < follower->asked && now_ns() < end_ns) {
		struct pollfd ready = { follower->fd, POLLIN, 0 };

		poll(&ready, 1, 10);
		take_all(follower);
	}
}

/* --- what was told --- */

static bool is_like(const json_t *got, const json_t *want);

static bool has_fields(const json_t *got, const json_t *want)
{
	const json_t *value, *found;
	const char *key;

	json_object_foreach((json_t *)want, key, value) {
		found = json_object_get(got, key);
		if (!strcmp(key, "text") ?
			    !found || !strstr(json_string_value(found), json_string_value(value)) :
			    !is_like(found, value))
			return false;
	}
	return true;
}

static bool is_like(const json_t *got, const json_t *want)
{
	if (json_is_object(want))
		return json_is_object(got) && has_fields(got, want);
	return json_equal(got, want);
}

/* The n-th, or NULL; `count` is how many there are, up to that one. */
static const json_t *search(const struct follower *follower, const char *type, const json_t *want,
			    size_t n, unsigned int *count)
{
	const json_t *event;
	size_t i;

	*count = 0;
	json_array_foreach(follower->events, i, event) {
		if (strcmp(json_string_value(json_object_get(event, "event")), type) ||
		    !is_like(event, want))
			continue;
		if ((*count)++ == n)
			return event;
	}
	return NULL;
}

static unsigned int count_events(const struct follower *follower, const char *type,
				 const json_t *want)
{
	unsigned int count;

	search(follower, type, want, SIZE_MAX, &count);
	return count;
}

static json_t *pack(const char *fields, va_list args)
{
	json_error_t error;
	json_t *want = fields ? json_vpack_ex(&error, 0, fields, args) : json_object();

	if (!want)
		fail_msg("\"%s\": %s", fields, error.text);
	return want;
}

void run_show_events(const struct run *run)
{
	const json_t *event;
	size_t i;

	fprintf(stderr, "the events of %s:\n", run->name);
	json_array_foreach(find(run)->events, i, event) {
		char *text = json_dumps(event, JSON_COMPACT);

		fprintf(stderr, "%s\n", text);
		free(text);
	}
}

static void fail_with_events(const struct run *run, const char *type, const json_t *want,
			     unsigned int got, unsigned int count)
{
	char *text = json_dumps(want, JSON_COMPACT);

	run_show_events(run);
	run_show_log(run);
	fail_msg("%s: %u events \"%s\" like %s, want %u", run->name, got, type, text, count);
}

/* That nothing was told says something only if all was heard. */
static void expect_all_heard(const struct run *run, const struct follower *follower)
{
	if (follower->keeper && !follower->missed)
		return;
	run_show_events(run);
	fail_msg("%s: %lld events were missed%s", run->name, (long long)follower->missed,
		 follower->keeper ? "" : ": no keeper answered");
}

void run_expect_events(const struct run *run, unsigned int count, const char *type,
		       const char *fields, ...)
{
	uint64_t end_ns = now_ns() + scaled_ms(RUN_MS) * 1000000;
	struct follower *follower = find(run);
	unsigned int got;
	json_t *want;
	va_list args;

	va_start(args, fields);
	want = pack(fields, args);
	va_end(args);
	while (count_events(follower, type, want) < count && now_ns() < end_ns)
		harness_nap();
	catch_up(follower);
	got = count_events(follower, type, want);
	if (got != count)
		fail_with_events(run, type, want, got, count);
	if (!count)
		expect_all_heard(run, follower);
	json_decref(want);
}

unsigned int run_events(const struct run *run, const char *type, const char *fields, ...)
{
	struct follower *follower = find(run);
	unsigned int count;
	json_t *want;
	va_list args;

	va_start(args, fields);
	want = pack(fields, args);
	va_end(args);
	take_all(follower);
	count = count_events(follower, type, want);
	json_decref(want);
	return count;
}

const json_t *run_event(const struct run *run, size_t n, const char *type, const char *fields, ...)
{
	struct follower *follower = find(run);
	const json_t *event;
	unsigned int count;
	json_t *want;
	va_list args;

	va_start(args, fields);
	want = pack(fields, args);
	va_end(args);
	catch_up(follower);
	event = search(follower, type, want, n, &count);
	if (!event)
		fail_with_events(run, type, want, count, n + 1);
	json_decref(want);
	return event;
}

void run_expect_types(const struct run *run, const char *const *types)
{
	struct follower *follower = find(run);
	const json_t *event;
	size_t i;

	catch_up(follower);
	expect_all_heard(run, follower);
	json_array_foreach(follower->events, i, event) {
		const char *type = json_string_value(json_object_get(event, "event"));
		const char *const *at = types;

		while (*at && strcmp(*at, type))
			at++;
		if (*at)
			continue;
		run_show_events(run);
		fail_msg("%s: an event \"%s\"", run->name, type);
	}
}

void run_expect_keeper(const struct run *run)
{
	struct follower *follower = find(run);
	uint64_t end_ns = now_ns() + scaled_ms(RUN_MS) * 1000000;

	while (follower->fd < 0 || follower->keeper != run->pid ||
	       follower->answers < follower->asked) {
		if (now_ns() > end_ns) {
			run_show_log(run);
			fail_msg("%s: the keeper (pid %d) does not answer", run->name, run->pid);
		}
		harness_nap();
	}
}
