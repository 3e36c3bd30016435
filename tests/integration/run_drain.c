// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl run and programs that know nothing of SIGTERM: it kills them in the middle of an answer. So
 * they answer first, what is idle holds nobody up, and what was lost in the end is said.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/load.h"
#include "harness/obey.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORKERS 4
#define IN_FLIGHT 16
#define URL "http://127.0.0.1:8080/"
#define LONG_MS "600000" /* as a --drain-timeout: no test lives to see it */

static struct run run;
static struct clients clients;

/* Each answer takes 300 ms. Its keep-alive is longer than any test. */
static const char node_program[] =
	"require('http').createServer((request, answer) => setTimeout(() => {\n"
	"  answer.setHeader('X-Worker', process.pid);\n"
	"  answer.end('hello');\n"
	"}, 300)).listen(8080).keepAliveTimeout = 3600000;\n";

/* The same for a socket of LISTEN_FDS; the first of all has port 9090 besides, for itself. */
static const char python_program[] =
	"import contextlib, socket, sys, threading, time\n"
	"s = socket.socket(fileno=3)\n"
	"own = socket.socket()\n"
	"with contextlib.suppress(OSError):\n"
	"    own.bind(('', int(sys.argv[1])))\n"
	"    own.listen(1)\n"
	"def answer(c):\n"
	"    c.recv(1000)\n"
	"    time.sleep(.3)\n"
	"    c.send(b'HTTP/1.0 200 OK\\r\\nX-Worker: 1\\r\\nContent-Length: 0\\r\\n\\r\\n')\n"
	"    c.close()\n"
	"while True:\n"
	"    threading.Thread(target=answer, args=(s.accept()[0],), daemon=True).start()\n";

static void start_node(const char *option, const char *value)
{
	file_write(HARNESS_DIR "/slow.js", node_program);
	run_start(&run, "web", "-n", "4", option, value, "--", "node", HARNESS_DIR "/slow.js",
		  NULL);
	run_expect_up(&run, WORKERS);
}

static void expect_lost(const char *verb, unsigned int times, int lost)
{
	run_expect_events(&run, times, verb, "{s:i, s:i}", "status", 0, "lost", lost);
	run_expect_events(&run, times, verb, NULL);
}

/* Requests are in flight; all are answered, then all is gone. */
static void stop_in_flight(void)
{
	struct output output;
	struct job stop;

	clients_begin(&clients,
		      (struct client_plan){ .connections = IN_FLIGHT, .at_once = IN_FLIGHT });
	usleep(scaled_ms(100) * 1000);
	lbctl_start(&stop, "stop", "web", NULL);
	clients_finish(&clients);
	assert_int_equal(clients.answered, IN_FLIGHT);
	job_wait(&stop, &output);
	assert_int_equal(output.status, 0);
	output_free(&output);
	assert_int_equal(run_wait(&run), 0);
	run_expect_events(&run, 0, "busy", NULL);
	run_expect_nothing_left();
}

/*
 * 1. 16 requests at a time: reload, scale down and up, restart; none fails, and that is said
 * 2. 16 are in flight: stop; all are answered
 */
static void expect_answers_first(void)
{
	struct wrk wrk;
	struct job job;

	wrk_start(&job, URL, "16", WRK_UNTIL_STOPPED);
	load_steps_back(&job);
	lbctl_expect(0, "4 workers replaced, 0 connections lost", "reload", "web", NULL);
	lbctl_expect(0, "2 workers are online, 0 connections lost", "scale", "web", "2", NULL);
	lbctl_expect(0, "4 workers are online", "scale", "web", "4", NULL);
	lbctl_expect(0, "1 worker replaced, 0 connections lost", "restart", "web", "1", NULL);
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	run_expect_no_failure(&run, &wrk);
	expect_lost("reload", 1, 0);
	expect_lost("scale", 2, 0);
	expect_lost("restart", 1, 0);
	stop_in_flight();
}

static void test_answers_first(void **state)
{
	(void)state;
	start_node("--drain-timeout", LONG_MS);
	expect_answers_first();
}

static void start_with_listen(const char *own_port)
{
	file_write(HARNESS_DIR "/slow.py", python_program);
	run_start(&run, "web", "-n", "4", "--drain-timeout", LONG_MS, "--listen", "127.0.0.1:8080",
		  "--", "python3", HARNESS_DIR "/slow.py", own_port, NULL);
	run_expect_up(&run, WORKERS);
}

static void test_answers_first_with_listen(void **state)
{
	(void)state;
	start_with_listen("0");
	expect_answers_first();
}

/* Its successor can't begin beside it, and gets its sockets: who waits there waits for that one. */
static void test_answers_first_and_hands_over(void **state)
{
	struct wrk wrk;
	struct job job;

	(void)state;
	start_with_listen("9090");
	/* it counts as online before it has bound that port; who answers has done so */
	clients_run(&clients, (struct client_plan){ .connections = 2 * WORKERS });
	wrk_start(&job, URL, "16", WRK_UNTIL_STOPPED);
	load_steps_back(&job);
	lbctl_expect(0, "4 workers replaced, 0 connections lost", "reload", "web", NULL);
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	run_expect_no_failure(&run, &wrk);
	run_expect_events(&run, 1, "drain", "{s:i}", "port", 9090);
	run_expect_events(&run, 0, "busy", NULL);
	run_stop(&run);
}

/* One connection to each worker. */
static void open_idle(int *fds, bool asks)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	char answer[1000];

	lbctl_ok("set-policy", "web", "rr", NULL);
	for (int i = 0; i < WORKERS; i++) {
		fds[i] = client_socket("127.0.0.1");
		client_wait(fds[i]);
		if (asks)
			assert_true(send(fds[i], request, strlen(request), 0) > 0);
	}
	for (int i = 0; asks && i < WORKERS; i++)
		wait_until(recv(fds[i], answer, sizeof(answer), MSG_DONTWAIT) > 0, RUN_MS);
}

static void close_idle(const int *fds)
{
	for (int i = 0; i < WORKERS; i++)
		close(fds[i]);
}

/* Connections that are kept open, and such as never ask: nobody waits for those. */
static void test_idle_holds_nobody_up(void **state)
{
	int kept[WORKERS], silent[WORKERS];

	(void)state;
	start_node("--drain-timeout", LONG_MS);
	open_idle(kept, true);
	open_idle(silent, false);
	lbctl_ok("reload", "web", NULL);
	run_expect_events(&run, 0, "busy", NULL);
	close_idle(kept);
	close_idle(silent);
	open_idle(kept, true);
	run_stop(&run);
	close_idle(kept);
}

/* A request that is never answered: it is lost in the end, and that is said. */
static void test_lost_in_the_end(void **state)
{
	static const char request[] = "GET / HTTP/1.0\r\n\r\n";
	int fd;

	(void)state;
	file_write(HARNESS_DIR "/never.js",
		   "require('http').createServer(() => {}).listen(8080);\n");
	run_start(&run, "web", "-n", "2", "--drain-timeout", "500", "--", "node",
		  HARNESS_DIR "/never.js", NULL);
	run_expect_up(&run, 2);
	fd = client_socket("127.0.0.1");
	client_wait(fd);
	assert_true(send(fd, request, strlen(request), 0) > 0);
	lbctl_expect(0, "2 workers replaced, 1 connection lost", "reload", "web", NULL);
	run_expect_events(&run, 1, "busy", "{s:i}", "connections", 1);
	run_expect_events(&run, 1, "busy", NULL);
	expect_lost("reload", 1, 1);
	close(fd);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_answers_first),
		runs_test(test_answers_first_with_listen),
		runs_test(test_answers_first_and_hands_over),
		runs_test(test_idle_holds_nobody_up),
		runs_test(test_lost_in_the_end),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
