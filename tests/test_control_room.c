// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The control socket, in a /run of its own: who comes when there is no room. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/trouble.h"
#include "control_world.h"
#include "keeper/control_client.h"
#include "lb_abi.h"
#include "own_run.h"

/* Who is too much is told so, and to try again; when one goes there is room. */
static void test_room(void **state)
{
	int fds[CONTROL_MOST_CLIENTS], more;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = control_connect_client();
		assert_int_equal(control_ask(fds[i], "{\"verb\":\"hello\"}"), EXIT_DONE);
	}
	more = control_connect_client();
	assert_int_equal(control_status_of(more), EXIT_FAILED);
	assert_int_equal(control_status_of(more), -2);
	close(more);
	/* a child that hangs up for the keeper may have our end, too, for a moment */
	for (int i = 0, status = -1; status != EXIT_DONE; i++) {
		assert_true(i < 1000);
		close(fds[7]);
		usleep(5000);
		control_run_all();
		fds[7] = control_connect_client();
		status = control_ask(fds[7], "{\"verb\":\"hello\"}");
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
		control_run_all();
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
	assert_int_equal(control_open_as(true), 0);
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
		fds[i] = control_connect_client();
		check("status", "of root", control_ask(fds[i], "{\"verb\":\"hello\"}"), EXIT_DONE);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	end_crowd(crowd);
}

/* Is there room for one more? Then it stays. */
static bool one_more(int *fd)
{
	*fd = control_connect_client();
	return control_ask(*fd, "{\"verb\":\"hello\"}") == EXIT_DONE;
}

/* Workers that have joined stay connected and take nobody's place: one a slot, the last. */
static void test_who_has_joined_takes_no_place(void **state)
{
	struct client *clients[CONTROL_MOST_CLIENTS];
	int fds[CONTROL_MOST_CLIENTS], more[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = control_connect_client();
		assert_int_equal(control_ask(fds[i], "{\"verb\":\"stop\"}"), -1);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_control(test_room),
		with_control(test_idle_workers_make_room),
		with_control(test_a_group_leaves_room_for_root),
		with_control(test_who_has_joined_takes_no_place),
	};

	if (!enter_own_run()) {
		print_message("SKIP: a mount namespace of its own can't be had\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
