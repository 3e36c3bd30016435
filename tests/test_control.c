// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Both ends of the control socket, in a /run of their own: who follows the events and is slow, who
 * asks for what is no request, who comes when there is no room.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/trouble.h"
#include "check.h"
#include "keeper/control.h"
#include "keeper/control_client.h"
#include "keeper/run_files.h"
#include "lb_abi.h"
#include "own_run.h"
#include "send_fds.h"

#define RECENT 256

static sd_event *loop;
static struct control *control;
static json_t *events;
static json_int_t last_seq;
static int passed_now, arg;
static struct client *waits;
static struct admission_rule rule = { .group = LB_NO_GROUP };

/* --- a world --- */

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

static int open_as(bool runs_workers)
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

static int begin(void **state)
{
	(void)state;
	return open_as(true);
}

static int end(void **state)
{
	(void)state;
	control_close(control, EXIT_DONE, "ended");
	loop = sd_event_unref(loop);
	json_decref(events);
	control = NULL;
	return 0;
}

static void run_all(void)
{
	while (sd_event_run(loop, 0) > 0)
		continue;
}

static int connect_client(void)
{
	int fd = control_connect("web");

	assert_true(fd >= 0);
	run_all();
	return fd;
}

/* The status of what has come, -1 = nothing, -2 = the connection is closed. */
static int status_of(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	json_t *answer;
	int status;

	run_all();
	if (poll(&ready, 1, 0) != 1)
		return -1;
	if (control_receive(fd, &answer))
		return -2;
	status = json_integer_value(json_object_get(answer, "status"));
	json_decref(answer);
	return status;
}

static int ask(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		return -3;
	return status_of(fd);
}

/* --- requests --- */

static const struct {
	const char *text;
	int status;
} requests[] = {
	{ "{\"verb\":\"hello\"}", EXIT_DONE },
	{ "{\"verb\":\"scale\"}", EXIT_DONE },
	{ "{\"verb\":\"sca\"}", EXIT_USAGE },
	{ "{\"verb\":\"\"}", EXIT_USAGE },
	{ "{\"verb\":null}", EXIT_USAGE },
	{ "{\"verb\":[\"hello\"]}", EXIT_USAGE },
	{ "[\"verb\",\"hello\"]", EXIT_USAGE },
	{ "\"hello\"", EXIT_USAGE },
	{ "{\"verb\":\"hello\"", EXIT_USAGE },
	{ "{\"verb\":\"hello\"} and more", EXIT_USAGE },
	/* what a worker asks for may be a key, and nothing else */
	{ "{\"hello\":true}", EXIT_DONE },
	{ "{\"scale\":4}", EXIT_USAGE },
	{ "{\"stop\":true}", EXIT_USAGE },
	{ "\xff\xfe", EXIT_USAGE },
};

static void test_requests(void **state)
{
	int fd = connect_client();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		check("status", requests[i].text, ask(fd, requests[i].text), requests[i].status);
	close(fd);
}

/* --- the socket of lines --- */

static int connect_lines(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un at;

	assert_int_equal(control_address("web", CONTROL_LINES, &at), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	run_all();
	return fd;
}

/* What it has answered, up to "closed"; static until the next call. */
static const char *answers_of(int fd)
{
	static char text[4096];
	size_t len = 0;
	ssize_t n;

	run_all();
	do {
		n = recv(fd, text + len, sizeof(text) - len - 10, MSG_DONTWAIT);
		len += n > 0 ? n : 0;
	} while (n > 0);
	strcpy(text + len, n ? "" : "closed");
	return text;
}

#define HELLO "{\"status\":0,\"text\":\"hello\"}\n"

/* Whole lines are requests, in whatever pieces they come; only what a worker may is taken there. */
static void test_lines(void **state)
{
	static char long_line[2 * 4096];
	int fd = connect_lines();

	(void)state;
	assert_int_equal(send(fd, "{\"verb\":", 8, 0), 8);
	assert_string_equal(answers_of(fd), "");
	assert_int_equal(send(fd, "\"hello\"}\n{\"hello\":1}\n{", 22, 0), 22);
	assert_string_equal(answers_of(fd), HELLO HELLO);
	assert_int_equal(send(fd, "\"verb\":\"scale\"}\n", 17, 0), 17);
	assert_non_null(strstr(answers_of(fd), "{\"status\":2,"));
	memset(long_line, 'x', sizeof(long_line));
	assert_int_equal(send(fd, long_line, sizeof(long_line), 0), sizeof(long_line));
	assert_non_null(strstr(answers_of(fd), "too long"));
	assert_string_equal(answers_of(fd), "closed");
	close(fd);
}

/* --- others --- */

/* Of a watched service lbctl has not started the workers. */
static void test_requests_to_a_watch(void **state)
{
	int fd;

	end(state);
	assert_int_equal(open_as(false), 0);
	fd = connect_client();
	check("status", "scale", ask(fd, "{\"verb\":\"scale\"}"), EXIT_FAILED);
	check("status", "hello", ask(fd, "{\"verb\":\"hello\"}"), EXIT_DONE);
	close(fd);
}

static void test_descriptors(void **state)
{
	static const char hello[] = "{\"verb\":\"hello\"}";
	int fd = connect_client(), fds[2] = { STDERR_FILENO, STDERR_FILENO };

	(void)state;
	for (size_t n = 0; n <= 2; n++) {
		assert_int_equal(send_fds(fd, hello, strlen(hello), fds, n), strlen(hello));
		check("status", "with descriptors", status_of(fd), n == 2 ? EXIT_USAGE : EXIT_DONE);
		check("passed", "a descriptor", passed_now, n > 0);
	}
	close(fd);
}

static void test_client_is_found_again(void **state)
{
	int fd = connect_client();
	uint64_t id;

	(void)state;
	assert_int_equal(ask(fd, "{\"verb\":\"stop\"}"), -1);
	id = control_client_id(waits);
	assert_true(id);
	assert_ptr_equal(control_find(control, id), waits);
	assert_int_equal(control_client_peer(waits)->pid, getpid());
	assert_int_equal(control_keeper("web"), getpid());
	close(fd);
	run_all();
	assert_null(control_find(control, id));
	assert_null(control_find(NULL, id));
}

static void test_end_is_told(void **state)
{
	int fd = connect_client(), other = connect_client();

	(void)state;
	assert_int_equal(ask(fd, "{\"verb\":\"stop\"}"), -1);
	control_close(control, 5, "it went badly");
	control = NULL;
	assert_int_equal(status_of(fd), 5);
	assert_int_equal(status_of(fd), -2);
	assert_int_equal(status_of(other), -2);
	close(fd);
	close(other);
}

/* Who is too much is told so, and to try again; when one goes there is room. */
static void test_room(void **state)
{
	int fds[CONTROL_MOST_CLIENTS], more;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = connect_client();
		assert_int_equal(ask(fds[i], "{\"verb\":\"hello\"}"), EXIT_DONE);
	}
	more = connect_client();
	assert_int_equal(status_of(more), EXIT_FAILED);
	assert_int_equal(status_of(more), -2);
	close(more);
	/* a child that hangs up for the keeper may have our end, too, for a moment */
	for (int i = 0, status = -1; status != EXIT_DONE; i++) {
		assert_true(i < 1000);
		close(fds[7]);
		usleep(5000);
		run_all();
		fds[7] = connect_client();
		status = ask(fds[7], "{\"verb\":\"hello\"}");
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

#define NOBODY 65534
#define CROWD 100

/* In a process of nobody, which stays: connects so often, and asks by one more, a while later. */
static void ask_in_a_crowd(int told)
{
	json_t *answer;
	char status;
	int fd;

	for (int i = 0; i < CROWD; i++)
		control_connect("web");
	usleep(CONTROL_IDLE_US + 100000);
	fd = control_connect("web");
	if (fd < 0 || send(fd, "{\"verb\":\"hello\"}", 16, MSG_NOSIGNAL) < 0 ||
	    control_receive(fd, &answer))
		return;
	status = json_integer_value(json_object_get(answer, "status"));
	if (write(told, &status, 1) == 1)
		pause();
}

/* Returns the status that the last one was answered with. */
static int come_in_a_crowd(pid_t *child)
{
	char status = -1;
	int told[2];

	assert_int_equal(pipe2(told, O_CLOEXEC | O_NONBLOCK), 0);
	*child = fork();
	assert_true(*child >= 0);
	if (!*child) {
		if (!setgid(NOBODY) && !setuid(NOBODY) && !prctl(PR_SET_PDEATHSIG, SIGKILL))
			ask_in_a_crowd(told[1]);
		_exit(1);
	}
	close(told[1]);
	while (read(told[0], &status, 1) < 0) {
		run_all();
		usleep(1000);
	}
	close(told[0]);
	return status;
}

static void end_crowd(pid_t child)
{
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void open_to(struct admission_rule to)
{
	control_close(control, EXIT_DONE, "ended");
	json_decref(events);
	sd_event_unref(loop);
	rule = to;
	assert_int_equal(open_as(true), 0);
	rule = (struct admission_rule){ .group = LB_NO_GROUP };
}

/* Idle connections of the workers' user keep no worker out. */
static void test_idle_workers_make_room(void **state)
{
	pid_t crowd;

	(void)state;
	if (getuid())
		skip();
	open_to((struct admission_rule){ .worker_uid = NOBODY, .group = LB_NO_GROUP });
	check("status", "of the last", come_in_a_crowd(&crowd), EXIT_DONE);
	end_crowd(crowd);
}

/* Those of a group get no more places than theirs, and root has its own. */
static void test_a_group_leaves_room_for_root(void **state)
{
	int fds[CONTROL_MOST_CLIENTS];
	pid_t crowd;

	(void)state;
	if (getuid())
		skip();
	open_to((struct admission_rule){ .group = NOBODY });
	check("status", "of the last", come_in_a_crowd(&crowd), EXIT_FAILED);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = connect_client();
		check("status", "of root", ask(fds[i], "{\"verb\":\"hello\"}"), EXIT_DONE);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	end_crowd(crowd);
}

/* Is there room for one more? Then it stays. */
static bool one_more(int *fd)
{
	*fd = connect_client();
	return ask(*fd, "{\"verb\":\"hello\"}") == EXIT_DONE;
}

/* Workers that have joined stay connected and take nobody's place: one a slot, the last. */
static void test_who_has_joined_takes_no_place(void **state)
{
	struct client *clients[CONTROL_MOST_CLIENTS];
	int fds[CONTROL_MOST_CLIENTS], more[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = connect_client();
		assert_int_equal(ask(fds[i], "{\"verb\":\"stop\"}"), -1);
		clients[i] = waits;
	}
	assert_false(one_more(&more[0]));
	control_set_joined(clients[3], 77, 1);
	assert_true(one_more(&more[1]));
	assert_false(one_more(&more[2]));
	control_set_joined(clients[4], 78, 1);
	assert_int_equal(control_client_joined(clients[3]), 0);
	assert_int_equal(control_client_joined(clients[4]), 78);
	assert_false(one_more(&more[3]));
	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		close(more[i]);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}

/* --- events --- */

/* As the log does. */
static void tell(size_t bytes)
{
	char words[4096];

	assert_true(bytes < sizeof(words));
	memset(words, 'x', bytes);
	words[bytes] = '\0';
	json_array_append_new(events, json_pack("{s:s, s:I, s:s}", "event", "x", "seq", ++last_seq,
						"text", words));
	if (json_array_size(events) > RECENT)
		json_array_remove(events, 0);
	control_publish(control);
}

/* Takes what is there; returns the number of the last, and counts gaps. */
static json_int_t take_events(int fd, json_int_t seq, unsigned int *missed)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	json_int_t got;
	json_t *event;

	*missed = 0;
	while (run_all(), poll(&ready, 1, 0) == 1) {
		assert_int_equal(control_receive(fd, &event), 0);
		got = json_integer_value(json_object_get(event, "seq"));
		assert_true(got > seq);
		*missed += got - seq - 1;
		seq = got;
		json_decref(event);
	}
	return seq;
}

static void test_slow_follower_gets_all(void **state)
{
	unsigned int missed;
	int fd = connect_client();

	(void)state;
	tell(10);
	assert_int_equal(ask(fd, "{\"verb\":\"events\"}"), 0);
	/* more than the socket holds, fewer than are kept */
	for (int i = 1; i < RECENT; i++)
		tell(4000);
	assert_int_equal(take_events(fd, 1, &missed), RECENT);
	check("missed", "fewer than are kept", missed, 0);
	tell(10);
	assert_int_equal(take_events(fd, RECENT, &missed), RECENT + 1);
	close(fd);
}

/* What is gone is gone, and the numbers say so; who reads is not held up. */
static void test_follower_that_is_too_slow(void **state)
{
	unsigned int missed, none;
	int slow = connect_client(), quick = connect_client();
	json_int_t seq = 1;

	(void)state;
	tell(10);
	assert_int_equal(ask(slow, "{\"verb\":\"events\"}"), 0);
	assert_int_equal(ask(quick, "{\"verb\":\"events\"}"), 0);
	for (int i = 0; i < 4 * RECENT; i++) {
		tell(4000);
		seq = take_events(quick, seq, &none);
		check("missed", "who reads", none, 0);
	}
	check("seq", "who reads", seq, last_seq);
	assert_int_equal(take_events(slow, 1, &missed), last_seq);
	assert_in_range(missed, 1, 3 * RECENT);
	close(slow);
	close(quick);
}

/* Who comes later gets the last ones. */
static void test_last_events_come_first(void **state)
{
	unsigned int missed;
	int fd;

	(void)state;
	for (int i = 0; i < RECENT + 44; i++)
		tell(10);
	fd = connect_client();
	assert_int_equal(send(fd, "{\"verb\":\"events\"}", 17, 0), 17);
	assert_int_equal(take_events(fd, 0, &missed), RECENT + 44);
	check("missed", "before the last ones", missed, 44);
	close(fd);
}

/* --- changes that commands tell --- */

static void test_changes_go_in_packets(void **state)
{
	int server = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), fd;
	json_t *changes = json_array(), *request;
	struct sockaddr_un at;
	size_t got = 0;

	(void)state;
	assert_int_equal(control_address("other", CONTROL_PACKETS, &at), 0);
	assert_int_equal(bind(server, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(server, 1), 0);
	for (int i = 0; i < 300; i++)
		control_add_change(changes, "weight", json_pack("{s:i}", "worker", i), "%d", i);
	control_tell("other", changes);
	fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	while (!control_receive(fd, &request)) {
		assert_string_equal(json_string_value(json_object_get(request, "verb")), "changed");
		got += json_array_size(json_object_get(request, "changes"));
		json_decref(request);
	}
	check("changes", "all of them", got, 300);
	close(fd);
	close(server);
	/* nobody listens there */
	control_tell("nobody", json_pack("[{}]"));
	control_tell("web", json_array());
}

#define with_control(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_control(test_requests),
		with_control(test_requests_to_a_watch),
		with_control(test_lines),
		with_control(test_descriptors),
		with_control(test_client_is_found_again),
		with_control(test_end_is_told),
		with_control(test_room),
		with_control(test_idle_workers_make_room),
		with_control(test_a_group_leaves_room_for_root),
		with_control(test_who_has_joined_takes_no_place),
		with_control(test_slow_follower_gets_all),
		with_control(test_follower_that_is_too_slow),
		with_control(test_last_events_come_first),
		with_control(test_changes_go_in_packets),
	};

	if (!enter_own_run()) {
		print_message("SKIP: a mount namespace of its own can't be had\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
