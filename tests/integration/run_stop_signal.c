// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl run and programs that end gracefully, but by another signal than SIGTERM, or behind a shell
 * that hands nothing on. Nothing waits for their connections here: that is up to them.
 */
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/load.h"
#include "harness/obey.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS 4
#define URL "http://127.0.0.1:8080/"
#define APP HARNESS_DIR "/app.js"
#define NGINX HARNESS_DIR "/nginx"

static struct run run;

/* Each answer takes 300 ms; by the signal it answers what it has, then it ends with 0. */
static void write_app(const char *path, const char *signal_name)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "#!/usr/bin/env node\n"
		 "const server = require('http').createServer((request, answer) =>\n"
		 "  setTimeout(() => answer.end('hello'), 300)).listen(8080);\n"
		 "process.on('%s', () => server.close(() => process.exit(0)));\n",
		 signal_name);
	file_write(path, text);
	assert_int_equal(chmod(path, 0755), 0);
}

/* wrk runs: reload and scale down; not one request failed, and nobody had to be killed. */
static void change_under_load(void)
{
	struct wrk wrk;
	struct job job;

	run_expect_up(&run, WORKERS);
	wrk_start(&job, URL, "16", WRK_UNTIL_STOPPED);
	lbctl_expect(0, "4 workers replaced, 0 connections lost", "reload", "web", NULL);
	lbctl_expect(0, "2 workers are online, 0 connections lost", "scale", "web", "2", NULL);
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	run_expect_no_failure(&run, &wrk);
	run_expect_events(&run, 0, "kill", NULL);
}

/* The shell dies of SIGTERM; the server behind it is told then, and has its time. */
static void test_shell_in_front(void **state)
{
	(void)state;
	write_app(APP, "SIGTERM");
	run_start(&run, "web", "-n", "4", "--drain-timeout", "0", "--", "sh", "-c",
		  "node " APP "; exit 1", NULL);
	change_under_load();
	run_expect_events(&run, WORKERS + 2, "exit", "{s:s, s:b}", "signal", "SIGTERM", "unasked",
			  0);
	run_stop(&run);
}

static void test_another_signal(void **state)
{
	static const char *const written[] = { "INT", "SIGINT", "2" };

	(void)state;
	write_app(APP, "SIGINT");
	for (size_t i = 0; i < ARRAY_SIZE(written); i++) {
		run_start(&run, "web", "-n", "4", "--drain-timeout", "0", "--stop-signal",
			  written[i], "--", "node", APP, NULL);
		if (i) {
			run_expect_up(&run, WORKERS);
			lbctl_ok("reload", "web", NULL);
		} else {
			change_under_load();
		}
		run_expect_lines(&run, "ends gracefully by", 0);
		run_stop(&run);
		run_expect_events(&run, 0, "exit", "{s:s}", "signal", "SIGTERM");
	}
	lbctl_expect(2, "not a signal", "run", "--stop-signal", "STOP", "--", "true", NULL);
	lbctl_expect(2, "not mixed", "run", "--kill-mode", "none", "--", "true", NULL);
}

/* A program that is known gets its own signal, and that is told once. */
static void test_known_program(void **state)
{
	(void)state;
	write_app(NGINX, "SIGQUIT");
	run_start(&run, "web", "-n", "4", "--drain-timeout", "0", "--", NGINX, NULL);
	change_under_load();
	run_expect_lines(&run, "ends gracefully by SIGQUIT", 1);
	run_stop(&run);
}

/*
 * The shell is killed, and the server behind it with it: what that had accepted is lost, all of it,
 * and said with the shell's end.
 */
static void test_lost_behind_a_shell(void **state)
{
	static const char request[] = "GET / HTTP/1.0\r\n\r\n";
	int fds[6], rounds = 5;
	pid_t pid;

	(void)state;
	file_write(APP, "require('http').createServer(() => console.log('asked')).listen(8080);\n");
	run_start(&run, "web", "-n", "1", "--", "sh", "-c", "node " APP "; exit 1", NULL);
	for (int round = 1; round <= rounds; round++) {
		run_expect_events(&run, round, "online", NULL);
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
			fds[i] = client_socket("127.0.0.1");
			client_wait(fds[i]);
			assert_true(send(fds[i], request, strlen(request), 0) > 0);
		}
		run_expect_lines(&run, "asked", round * ARRAY_SIZE(fds));
		pid = json_integer_value(
			json_object_get(run_event(&run, round - 1, "start", NULL), "pid"));
		assert_int_equal(kill(pid, SIGKILL), 0);
		run_expect_events(&run, round, "exit", "{s:s, s:i}", "signal", "SIGKILL", "lost",
				  (int)ARRAY_SIZE(fds));
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
			close(fds[i]);
	}
	run_stop(&run);
}

/* lbctl is killed: stop tells the workers as it would have, also those behind a shell. */
static void test_stop_without_lbctl(void **state)
{
	static const char *const commands[] = { "node " APP, "node " APP "; exit 1" };

	(void)state;
	file_write(APP, "require('http').createServer(() => {}).listen(8080);\n"
			"process.on('SIGQUIT', () => { console.log('ended well');"
			" process.exit(0) });\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		run_start(&run, "web", "-n", "4", "--stop-signal", "QUIT", "--", "sh", "-c",
			  commands[i], NULL);
		run_expect_up(&run, WORKERS);
		run_kill(&run);
		lbctl_ok("stop", "web", NULL);
		run_expect_lines(&run, "ended well", WORKERS);
		run_expect_nothing_left();
	}
}

/* Prints whom the signal reaches; the child ends with it, the main process a moment later. */
static const char family[] =
	"import os, signal, socket, sys, time\n"
	"me = os.getpid()\n"
	"def child_is_told(*_):\n"
	"    print('child is told', 'beside' if os.getppid() == me else 'alone', flush=True)\n"
	"    sys.exit(0)\n"
	"def main_is_told(*_):\n"
	"    time.sleep(.3)\n"
	"    sys.exit(0)\n"
	"if not os.fork():\n"
	"    signal.signal(signal.SIGTERM, child_is_told)\n"
	"    while True:\n"
	"        time.sleep(100)\n"
	"signal.signal(signal.SIGTERM, main_is_told)\n"
	"s = socket.socket()\n"
	"s.bind(('', 8080))\n"
	"s.listen(10)\n"
	"while True:\n"
	"    s.accept()[0].close()\n";

static void test_kill_modes(void **state)
{
	static const struct {
		const char *mode;
		unsigned int beside, alone, killed;
	} rows[] = {
		{ "mixed", 0, 1, 0 },
		{ "group", 1, 0, 0 },
		{ "process", 0, 0, 1 },
	};

	(void)state;
	file_write(HARNESS_DIR "/family.py", family);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		run_start(&run, "web", "-n", "1", "--kill-mode", rows[i].mode, "--kill-timeout",
			  rows[i].killed ? "1000" : run.kill_ms, "--", "python3",
			  HARNESS_DIR "/family.py", NULL);
		run_expect_up(&run, 1);
		lbctl_ok("stop", "web", NULL);
		assert_int_equal(run_wait(&run), 0);
		run_expect_lines(&run, "child is told beside", rows[i].beside);
		run_expect_lines(&run, "child is told alone", rows[i].alone);
		run_expect_events(&run, rows[i].killed, "kill", NULL);
		run_expect_nothing_left();
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_shell_in_front),	     runs_test(test_another_signal),
		runs_test(test_known_program),	     runs_test(test_kill_modes),
		runs_test(test_lost_behind_a_shell), runs_test(test_stop_without_lbctl),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
