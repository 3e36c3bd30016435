// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Both ends of the control socket, in a /run of their own: who follows the events and is slow, who
 * asks for what is no request.
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
#include "control_world.h"
#include "keeper/control.h"
#include "keeper/control_client.h"
#include "keeper/run_files.h"
#include "lb_abi.h"
#include "own_run.h"
#include "send_fds.h"

#define RECENT 256

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
	int fd = control_connect_client();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		check("status", requests[i].text, control_ask(fd, requests[i].text),
		      requests[i].status);
	close(fd);
}

/* --- the socket of lines --- */

static int connect_lines(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un at;

	assert_int_equal(control_address("web", CONTROL_LINES, &at), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	control_run_all();
	return fd;
}

/* What it has answered, up to "closed"; static until the next call. */
static const char *answers_of(int fd)
{
	static char text[4096];
	size_t len = 0;
	ssize_t n;

	control_run_all();
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

	control_end(state);
	assert_int_equal(control_open_as(false), 0);
	fd = control_connect_client();
	check("status", "scale", control_ask(fd, "{\"verb\":\"scale\"}"), EXIT_FAILED);
	check("status", "hello", control_ask(fd, "{\"verb\":\"hello\"}"), EXIT_DONE);
	close(fd);
}

static void test_descriptors(void **state)
{
	static const char hello[] = "{\"verb\":\"hello\"}";
	int fd = control_connect_client(), fds[2] = { STDERR_FILENO, STDERR_FILENO };

	(void)state;
	for (size_t n = 0; n <= 2; n++) {
		assert_int_equal(send_fds(fd, hello, strlen(hello), fds, n), strlen(hello));
		check("status", "with descriptors", control_status_of(fd),
		      n == 2 ? EXIT_USAGE : EXIT_DONE);
		check("passed", "a descriptor", passed_now, n > 0);
	}
	close(fd);
}

static void test_client_is_found_again(void **state)
{
	int fd = control_connect_client();
	uint64_t id;

	(void)state;
	assert_int_equal(control_ask(fd, "{\"verb\":\"stop\"}"), -1);
	id = control_client_id(waits);
	assert_true(id);
	assert_ptr_equal(control_find(control, id), waits);
	assert_int_equal(control_client_peer(waits)->pid, getpid());
	assert_int_equal(control_keeper("web"), getpid());
	close(fd);
	control_run_all();
	assert_null(control_find(control, id));
	assert_null(control_find(NULL, id));
}

static void test_end_is_told(void **state)
{
	int fd = control_connect_client(), other = control_connect_client();

	(void)state;
	assert_int_equal(control_ask(fd, "{\"verb\":\"stop\"}"), -1);
	control_close(control, 5, "it went badly");
	control = NULL;
	assert_int_equal(control_status_of(fd), 5);
	assert_int_equal(control_status_of(fd), -2);
	assert_int_equal(control_status_of(other), -2);
	close(fd);
	close(other);
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
	while (control_run_all(), poll(&ready, 1, 0) == 1) {
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
	int fd = control_connect_client();

	(void)state;
	tell(10);
	assert_int_equal(control_ask(fd, "{\"verb\":\"events\"}"), 0);
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
	int slow = control_connect_client(), quick = control_connect_client();
	json_int_t seq = 1;

	(void)state;
	tell(10);
	assert_int_equal(control_ask(slow, "{\"verb\":\"events\"}"), 0);
	assert_int_equal(control_ask(quick, "{\"verb\":\"events\"}"), 0);
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
	fd = control_connect_client();
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_control(test_requests),
		with_control(test_requests_to_a_watch),
		with_control(test_lines),
		with_control(test_descriptors),
		with_control(test_client_is_found_again),
		with_control(test_end_is_told),
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
