// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What commands that take long tell on a terminal meanwhile: how far they are, in one line that is
 * gone at the end; and nothing of it where it is no terminal, or not to be one.
 */
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLEAR "\r\033[K"
#define TYPED HARNESS_DIR "/typed"

static struct run run;

/* Workers that take most of a second to start. */
static void start_slow(const char *workers)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "sleep 0.7; exec %s -q --no-reuseport --listen :8080 --grace-ms 100", run_demo());
	run_start(&run, "web", "-n", workers, "--", "sh", "-c", command, NULL);
	run_expect_up(&run, atoi(workers));
}

/* All that the command writes to a terminal, which is of this kind; to be freed. */
static char *on_terminal(const char *kind, const char *args, int status)
{
	char command[512];
	const char *argv[] = { "script", "-qefc", command, TYPED, NULL };
	_cleanup_output_ struct output output;

	snprintf(command, sizeof(command), "stty cols 100; exec env TERM=%s %s %s", kind,
		 harness_build_path("lbctl"), args);
	command_run(&output, argv, RUN_MS);
	if (output.status != status)
		fail_msg("%s: status %d: %s", args, output.status, output.out);
	return file_read(TYPED);
}

/* Lines were written again, with these words in one, and the last of them is gone. */
static void expect_progress(const char *args, int status, const char *words, const char *result)
{
	char *typed = on_terminal("xterm", args, status), *last = typed, *at;

	if (!strstr(typed, words))
		fail_msg("%s: no \"%s\" in %s", args, words, typed);
	for (at = typed; (at = strstr(at, CLEAR)); at++)
		last = at;
	if (strncmp(last + strlen(CLEAR), result, strlen(result)))
		fail_msg("%s: \"%s\" is not what stays: %s", args, result, last);
	free(typed);
}

static void expect_no_progress(const char *kind, const char *args)
{
	char *typed = on_terminal(kind, args, 0);

	if (strchr(typed, '\033') || strstr(typed, "1 s"))
		fail_msg("%s: %s", args, typed);
	free(typed);
}

static void test_keeper_tells(void **state)
{
	(void)state;
	start_slow("2");
	expect_progress("reload web", 0, "reload web, 1 s: 1 of 2 workers replaced; ",
			"web: 2 workers replaced");
	expect_progress("restart web 1", 0, ": 0 of 1 worker replaced; worker 1 ",
			"web: 1 worker replaced");
	expect_progress("restart web all", 0, "restart web, 0 s: 0 of 2 workers replaced",
			"web: 2 workers replaced");
	expect_progress("scale web 3", 0, "scale web, 0 s: 2 online, 3 are to be; worker 2 ",
			"web: 3 workers are online");
	expect_no_progress("dumb", "reload web");
	expect_no_progress("xterm", "reload web --json");
	expect_no_progress("xterm", "reload web 2>/dev/null");
	run_stop(&run);
}

/* Off a terminal there is the answer, and nothing else. */
static void test_no_terminal(void **state)
{
	_cleanup_output_ struct output output;

	(void)state;
	start_slow("2");
	lbctl_run(&output, "reload", "web", NULL);
	assert_int_equal(output.status, 0);
	assert_string_equal(output.err, "");
	assert_memory_equal(output.out, "web: 2 workers replaced", 23);
	run_stop(&run);
}

/* A worker with a connection that stays: how many there are, then what became of it. */
static void test_drain_tells(void **state)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(8080) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	run_start_shared(&run, 1);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	expect_progress("drain web 0 --wait 2", 1,
			"drain worker 0 of web, 1 s: 1 connection is still open",
			"lbctl: drain web 0: drained, but after 2 s 1 connection is still open");
	expect_no_progress("dumb", "resume web 0");
	close(fd);
	run_stop(&run);
}

/* A worker that does not end soon: it is named, until all is gone. */
static void test_stop_tells(void **state)
{
	(void)state;
	run_start(&run, "web", "-n", "1", "--kill-timeout", "1500", "--port", "8080", "--", "sh",
		  "-c", "trap '' TERM; while :; do sleep 0.1; done", NULL);
	run_expect_keeper(&run);
	expect_progress("stop web", 0, "stop web, 1 s: 0 of 1 worker ended", "web: stopped");
	run_wait(&run);
	run_expect_nothing_left();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_keeper_tells),
		runs_test(test_no_terminal),
		runs_test(test_drain_tells),
		runs_test(test_stop_tells),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
