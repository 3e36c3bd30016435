// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The control socket of a keeper: rude clients, and users who may not ask. */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <jansson.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 4
#define SOCKET_PATH FILES_DIR "/web.sock"
#define NOBODY 65534

static struct run run;
static struct clients clients;

static int connect_control(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = SOCKET_PATH };
	const struct timeval patience = { .tv_sec = 5 };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (struct sockaddr *)&at, sizeof(at)))
		return fd;
	close(fd);
	return -1;
}

/* The status of the answer to one packet. */
static int ask(const void *packet, size_t bytes)
{
	int fd = connect_control(), status = -1;
	char answer[4096];
	ssize_t n;
	json_t *json;

	assert_true(fd >= 0);
	assert_int_equal(send(fd, packet, bytes, MSG_NOSIGNAL), bytes);
	n = recv(fd, answer, sizeof(answer), 0);
	close(fd);
	if (n <= 0)
		return -1;
	json = json_loadb(answer, n, 0, NULL);
	if (json_is_integer(json_object_get(json, "status")))
		status = json_integer_value(json_object_get(json, "status"));
	json_decref(json);
	return status;
}

static const struct {
	const char *packet;
	int status;
} requests[] = {
	{ "x", 2 },
	{ "{", 2 },
	{ "[]", 2 },
	{ "null", 2 },
	{ "{\"verb\":1}", 2 },
	{ "{\"verb\":\"explode\"}", 2 },
	{ "{\"verb\":\"scale\"}", 2 },
	{ "{\"verb\":\"scale\",\"workers\":-1}", 2 },
	{ "{\"verb\":\"scale\",\"workers\":1025}", 2 },
	{ "{\"verb\":\"scale\",\"workers\":99999999999999999999}", 2 },
	{ "{\"verb\":\"scale\",\"workers\":\"4\"}", 2 },
	{ "{\"verb\":\"restart\"}", 3 },
	{ "{\"verb\":\"restart\",\"worker\":-1}", 3 },
	{ "{\"verb\":\"restart\",\"worker\":4}", 3 },
	{ "{\"verb\":\"restart\",\"worker\":4294967296}", 3 },
	{ "{\"verb\":\"scale\",\"by\":-4}", 2 },
	{ "{\"verb\":\"scale\",\"by\":1021}", 2 },
	{ "{\"verb\":\"scale\",\"by\":-9223372036854775808}", 2 },
	{ "{\"verb\":\"signal\"}", 2 },
	{ "{\"verb\":\"signal\",\"worker\":0,\"signal\":0}", 2 },
	{ "{\"verb\":\"signal\",\"worker\":0,\"signal\":65}", 2 },
	{ "{\"verb\":\"signal\",\"worker\":0,\"signal\":\"HUP\"}", 2 },
	{ "{\"verb\":\"signal\",\"worker\":4,\"signal\":28}", 3 },
	{ "{\"verb\":\"signal\",\"worker\":-1,\"signal\":28}", 3 },
	{ "{\"verb\":\"signal\",\"signal\":28}", 0 },
	{ "{\"verb\":\"reload\",\"parallel\":0}", 2 },
	{ "{\"verb\":\"reload\",\"parallel\":1025}", 2 },
	{ "{\"verb\":\"reload\",\"parallel\":\"4\"}", 2 },
	{ "{\"verb\":\"reload\",\"percent\":0}", 2 },
	{ "{\"verb\":\"reload\",\"percent\":101}", 2 },
	{ "{\"verb\":\"reload-env\",\"percent\":-1,\"environment\":[]}", 2 },
	{ "{\"verb\":\"reload-env\"}", 2 },
	{ "{\"verb\":\"reload-env\",\"environment\":[\"A=1\",2]}", 2 },
	{ "{\"verb\":\"send\"}", 2 },
	{ "{\"verb\":\"send\",\"worker\":-1,\"message\":1}", 3 },
};

static void test_rude_clients(void **state)
{
	static char big[65537], deep[65536];
	pid_t pids[WORKERS];
	int fds[100], mute;

	(void)state;
	run_start_shared(&run, WORKERS);
	run_pids(&run, pids, WORKERS);
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		int got = ask(requests[i].packet, strlen(requests[i].packet));

		if (got != requests[i].status)
			fail_msg("%s: status %d, want %d", requests[i].packet, got,
				 requests[i].status);
	}
	memset(big, '1', sizeof(big));
	memset(deep, '[', sizeof(deep));
	assert_int_equal(ask(big, sizeof(big)), 2);
	assert_int_equal(ask(deep, sizeof(deep)), 2);
	assert_int_equal(ask("\0\xff\0", 3), 2);
	mute = connect_control();
	assert_true(send(mute, "{\"verb\":\"events\"}", 17, 0) == 17);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = connect_control();
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	for (int i = 0; i < 3; i++)
		lbctl_ok("restart", "web", "3", NULL);
	run_pids(&run, pids, WORKERS);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	close(mute);
	run_stop(&run);
}

/* As nobody: 0 = not even connected, 1 = told to go away, 2 = anything else. */
static int ask_as_nobody(void)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		char answer[256] = "";
		int fd;

		if (setgid(NOBODY) || setuid(NOBODY))
			_exit(99);
		fd = connect_control();
		if (fd < 0)
			_exit(0);
		send(fd, "{\"verb\":\"stop\"}", 15, MSG_NOSIGNAL);
		if (recv(fd, answer, sizeof(answer) - 1, 0) <= 0 ||
		    !strstr(answer, "\"status\":4") || !strstr(answer, "is not admitted"))
			_exit(2);
		/* and hung up on */
		_exit(recv(fd, answer, sizeof(answer), 0) > 0 ? 2 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

/* The file's mode keeps another user out; without it, the check of who asks. */
static void test_another_user_is_refused(void **state)
{
	pid_t pids[WORKERS];
	struct stat info;

	(void)state;
	run_start_shared(&run, WORKERS);
	run_pids(&run, pids, WORKERS);
	assert_int_equal(stat(SOCKET_PATH, &info), 0);
	assert_int_equal(info.st_mode & 07777, 0660);
	assert_int_equal(ask_as_nobody(), 0);
	assert_int_equal(chmod(SOCKET_PATH, 0666), 0);
	assert_int_equal(ask_as_nobody(), 1);
	run_expect_same(&run, pids, WORKERS);
	run_expect_events(&run, 0, "stop", NULL);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_rude_clients),
		runs_test(test_another_user_is_refused),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
