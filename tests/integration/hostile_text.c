// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Workers and servers of user nobody choose names and say things: bytes that are no text, orders to
 * a terminal, lines that look like lbctl's, as much as fits. Nothing of it breaks a command, and
 * what root reads is harmless.
 */
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/world.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534
#define NAME "x\x1b[31m\nweb y\xc2\x9b\xff"
#define PROGRAM HARNESS_DIR "/" NAME
/* It listens where it is alone, so that nothing but the message is asked of it. */
#define PYTHON_SAY                                                                                 \
	"import os, socket, time\n"                                                                \
	"s = socket.socket()\n"                                                                    \
	"s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n"                                \
	"s.bind(('', 8080))\n"                                                                     \
	"s.listen(5)\n"                                                                            \
	"channel = socket.socket(fileno=int(os.environ['LBCTL_CHANNEL_FD']))\n"                    \
	"if os.getuid() != 65534: os._exit(9)\n"                                                   \
	"channel.sendall(b'''%s''')\n"                                                             \
	"time.sleep(1000)\n"

static struct run run;

static void expect_harmless(const char *what, const char *text)
{
	static const char *const harmful[] = { "\x1b",	       "\r",	   "\x7f",	   "\x07",
					       "\xc2\x9b",     "\xc2\x9d", "\xe2\x80\xae", "\xff",
					       "\xe2\x80\xa8", "\nweb y" };

	for (size_t i = 0; i < ARRAY_SIZE(harmful); i++) {
		if (strstr(text, harmful[i]))
			fail_msg("%s has harmful text no. %zu: %s", what, i, text);
	}
}

/* What `lbctl events` has printed when it has printed the words, for they may be told later. */
static void expect_followed(const char *words, bool json)
{
	const char *const argv[] = { "timeout",
				     "-s",
				     "INT",
				     "1",
				     harness_build_path("lbctl"),
				     "events",
				     "web",
				     json ? "--json" : NULL,
				     NULL };
	struct output output = { 0 };
	uint64_t end_ns = now_ns() + RUN_MS * 1000000ULL;

	do {
		output_free(&output);
		command_run(&output, argv, COMMAND_MS);
		/* it is ended, and does not end by itself */
		if (output.status != 124)
			fail_msg("events: status %d: %s", output.status, output.err);
	} while (!strstr(output.out, words) && now_ns() < end_ns);
	if (!strstr(output.out, words))
		fail_msg("events%s do not say %s: %s", json ? " --json" : "", words, output.out);
	expect_harmless("events", output.out);
	output_free(&output);
}

static void start_that_says(const char *messages)
{
	static const char path[] = HARNESS_DIR "/says.py";
	char *program;

	assert_true(asprintf(&program, PYTHON_SAY, messages) > 0);
	file_write(path, program);
	free(program);
	chmod(path, 0644);
	run_start(&run, "web", "-n", "1", "--user", "nobody", "--", "python3", path, NULL);
	run_expect_events(&run, 1, "online", NULL);
}

/* --- messages --- */

/* The longest that a channel takes: who follows is told of it, and of what comes after it. */
static void test_long_message(void **state)
{
	const json_t *event;

	(void)state;
	start_that_says("\"''' + b'y' * 65000 + b'''\"\\n\"after\"\\n");
	run_expect_events(&run, 1, "message", "{s:s}", "message", "after");
	event = run_event(&run, 0, "message", "{s:n}", "message");
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(event, "left_out"), 0)),
		"message");
	expect_followed("says: \"after\"", false);
	expect_followed("\"message\":\"after\"", true);
	run_stop(&run);
}

/* Numbers grow when they are written again. */
static void test_message_that_grows(void **state)
{
	(void)state;
	start_that_says("[''' + b'0.1,' * 16000 + b'''0]\\n\"after\"\\n");
	run_expect_events(&run, 1, "message", "{s:s}", "message", "after");
	run_expect_events(&run, 1, "message", "{s:n}", "message");
	run_stop(&run);
}

/* What is JSON comes to programs as it was said, and to people as text. */
static void test_orders_to_the_terminal(void **state)
{
	char *log;

	(void)state;
	start_that_says("\"\\\\u001b[31m \\xc2\\x9b31m \\xc2\\x9d0;t\\xc2\\x9c \\x7f "
			"\\xe2\\x80\\xaetxt \\xe2\\x80\\xa8line\"\\n"
			"[1,\\r\"worker 1 (pid 77) crashed\"]\\n"
			"\"\\xff\\xfe\"\\n"
			"\"after\"\\n");
	run_expect_events(&run, 1, "message", "{s:s}", "message", "after");
	run_expect_events(&run, 1, "message", "{s:s}", "message",
			  "\x1b[31m \xc2\x9b"
			  "31m \xc2\x9d"
			  "0;t\xc2\x9c \x7f "
			  "\xe2\x80\xaetxt \xe2\x80\xa8line");
	expect_followed("\\u202etxt", false);
	expect_followed("\\u202etxt", true);
	expect_followed("[1,\\u000d", false);
	log = file_read(run.log);
	assert_non_null(strstr(log, "\\u202etxt"));
	expect_harmless("the log", log);
	free(log);
	run_stop(&run);
}

/* --- names --- */

static void copy_demo(void)
{
	command_ok("cp", run_demo(), PROGRAM, NULL);
	assert_int_equal(chmod(PROGRAM, 0755), 0);
}

/* A server that some user starts, with a name that is an order to a terminal and a line. */
static pid_t start_server(void)
{
	pid_t pid = fork();

	if (!pid) {
		if (setgid(NOBODY) || setuid(NOBODY))
			_exit(126);
		execl(PROGRAM, PROGRAM, "-q", "-n", "2", "--listen", "0.0.0.0:8080", NULL);
		_exit(127);
	}
	return pid;
}

/* Its output, which is harmless and names the server. To be freed. */
static char *read_command(const char *first, const char *second, const char *third)
{
	struct output output;
	char *text;

	lbctl_run(&output, first, second, second ? third : NULL, NULL);
	if (output.status)
		fail_msg("lbctl %s: status %d: %s", first, output.status, output.err);
	text = strdup(output.out);
	output_free(&output);
	expect_harmless(first, text);
	return text;
}

static bool says(const char *words, const char *first, const char *second, const char *third)
{
	char *text = read_command(first, second, third);
	bool found = strstr(text, words) != NULL;

	free(text);
	return found;
}

/*
 * 1. it is one row of scan, and one object of scan --json
 * 2. attach, show and watch name it as well
 */
static void test_name_of_a_server(void **state)
{
	static const char clean[] = "x\\u001b[31m\\u000aweb y\\u009b\\xff";
	struct run watch;
	pid_t server;
	json_t *rows;

	(void)state;
	copy_demo();
	server = start_server();
	wait_until(says(clean, "scan", NULL, NULL), RUN_MS);
	rows = lbctl_json("scan", "--json", NULL);
	assert_int_equal(json_array_size(rows), 1);
	/* of a longer one a beginning is there */
	assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "server")),
			    clean);
	json_decref(rows);
	assert_true(says(" of x\\u001b[31m\\u000aweb y", "attach", "--name=web", ":8080"));
	run_start_verb(&watch, "web", "watch", "web", NULL);
	run_expect_keeper(&watch);
	assert_true(says("u001b", "show", "--wide", "web"));
	json_decref(lbctl_json("show", "web", "--json", NULL));
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	run_kill(&watch);
}

/* A reload of a program with such a name, which can't be started any more, is answered. */
static void test_name_of_a_program(void **state)
{
	(void)state;
	copy_demo();
	run_start(&run, "web", "-n", "2", "--user", "nobody", "--log-dir", HARNESS_DIR, "--",
		  PROGRAM, "-q", "--listen", "0.0.0.0:8080", NULL);
	run_expect_events(&run, 2, "online", NULL);
	assert_int_equal(unlink(PROGRAM), 0);
	lbctl_expect(1, "/x\\u001b[31m\\u000aweb y\\u009b\\xff: command not found", "reload", "web",
		     NULL);
	run_stop(&run);
}

/* --- the terminal itself --- */

/* Says what it can get hold of. Orders to type into the terminal need nothing more than that. */
#define PYTHON_GRASP                                                                               \
	"import os, socket\n"                                                                      \
	"got = 'nothing'\n"                                                                        \
	"try:\n"                                                                                   \
	"    os.setpgid(0, os.getpgid(os.getppid()))\n"                                            \
	"    got = 'its process group'\n"                                                          \
	"except OSError: pass\n"                                                                   \
	"try:\n"                                                                                   \
	"    os.open('/dev/tty', os.O_RDWR)\n"                                                     \
	"    got = 'its terminal'\n"                                                               \
	"except OSError: pass\n"                                                                   \
	"os.write(int(os.environ['LBCTL_CHANNEL_FD']), b'\"%s\"\\n' % got.encode())\n"             \
	"s = socket.socket()\n"                                                                    \
	"s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"                                \
	"s.bind(('', 8080))\n"                                                                     \
	"s.listen(100)\n"                                                                          \
	"s.accept()\n"

static char terminal[64]; /* its path */

static void enter_terminal(void)
{
	int fd;

	setsid();
	fd = open(terminal, O_RDWR);
	if (fd < 0)
		_exit(1);
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	close(fd);
}

static void test_terminal_of_root(void **state)
{
	static const char path[] = HARNESS_DIR "/grasps.py";
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	(void)state;
	assert_true(master >= 0);
	assert_int_equal(unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, terminal, sizeof(terminal)), 0);
	file_write(path, PYTHON_GRASP);
	chmod(path, 0644);
	run_prepare = enter_terminal;
	run_start(&run, "web", "-n", "1", "--user", "nobody", "--", "python3", path, NULL);
	run_expect_events(&run, 1, "online", NULL);
	run_expect_events(&run, 1, "message", "{s:s}", "message", "nothing");
	run_stop(&run);
	close(master);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_long_message),		runs_test(test_message_that_grows),
		runs_test(test_orders_to_the_terminal), runs_test(test_name_of_a_server),
		runs_test(test_name_of_a_program),	runs_test(test_terminal_of_root),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
