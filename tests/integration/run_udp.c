// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl run for servers of UDP that know nothing of each other: they share a port, their other
 * sockets are left alone, and what came to one that is to end is read first.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/datagrams.h"
#include "harness/events.h"
#include "harness/maps.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/show.h"
#include "harness/udp_runs.h"
#include "harness/world.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVER HARNESS_DIR "/udp_server.py"
#define LATE_ANSWER_MS 300 /* of a process that has ended there is none */

static struct run run;

/*
 * Answers "PID DATA", after as many seconds as its first argument says; the second is its address.
 * To "second" it binds its port once more, to "options" it says what its other sockets have got.
 */
static const char server[] =
	"import os, socket, sys, time\n"
	"family = socket.AF_INET6 if ':' in sys.argv[2] else socket.AF_INET\n"
	"def bound(family, address):\n"
	"    s = socket.socket(family, socket.SOCK_DGRAM)\n"
	"    if 'reuseaddr' in sys.argv:\n"
	"        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
	"    s.bind(address)\n"
	"    return s\n"
	"s = bound(family, (sys.argv[2], 8080))\n"
	"client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
	"client.bind(('127.0.0.1', 0))\n"
	"client.connect(('127.0.0.1', 9))\n"
	"own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
	"own.bind(('127.0.0.1', 10000 + os.getpid() % 10000))\n"
	"page = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
	"if 'offset' in sys.argv:\n"
	"    page.bind(('127.0.0.1', 9100))\n"
	"second = None\n"
	"while True:\n"
	"    data, peer = s.recvfrom(2000)\n"
	"    time.sleep(float(sys.argv[1]))\n"
	"    if data == b'second':\n"
	"        second = bound(family, (sys.argv[2], 8080))\n"
	"    if data == b'connect':\n"
	"        second.connect(peer)\n"
	"    if data == b'options':\n"
	"        data = b'%d %d %d' % (*(x.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)\n"
	"                               for x in (client, own)), page.getsockname()[1])\n"
	"    s.sendto(b'%d ' % os.getpid() + data, peer)\n";

/* n workers that take `work` seconds for a datagram. Before 6.1 they help a little. */
static void start(const char *n, const char *work, const char *address)
{
	file_write(SERVER, server);
	run_start(&run, "dns", "-n", n, "--port", "udp/8080", "--kill-timeout", "20000", "--",
		  "python3", SERVER, work, address,
		  probe_features()->bind_setsockopt ? NULL : "reuseaddr", NULL);
	run_expect_up(&run, atoi(n));
	stalls_forgive();
}

/* --- sharing --- */

static void share(const char *address, const char *listening, bool v6)
{
	struct counters before;
	pid_t pids[WORKERS];

	start("4", "0", address);
	run_expect_events(&run, WORKERS, "listening", "{s:s}", "addr", listening);
	run_expect_events(&run, WORKERS, "online", NULL);
	run_pids(&run, pids, WORKERS);
	counters_read("dns", &before);
	udp_expect_even(&run, pids, WORKERS, false);
	counters_expect("dns", &before, .cursor = 100,
			.selected = { UDP_EACH, UDP_EACH, UDP_EACH, UDP_EACH });
	if (v6)
		udp_expect_even(&run, pids, WORKERS, true);
	run_stop(&run);
}

/* Four programs that do not set SO_REUSEPORT bind one port: exact to the datagram. */
static void test_share_a_port(void **state)
{
	(void)state;
	needs(bind_setsockopt);
	share("0.0.0.0", "udp/0.0.0.0:8080", false);
	share("::", "udp/[::]:8080", true);
}

static bool says(pid_t pid, const char *what)
{
	char answer[64];

	for (int i = 0; i < WORKERS; i++) {
		if (udp_ask_for("options", false, answer) == pid)
			return !strcmp(answer, what);
	}
	return false;
}

/*
 * 1. a client's sockets and a port that --port does not name have no SO_REUSEPORT; --offset-port
 *    gives each worker a port of its own
 * 2. a second socket on the service's port, to be connected to a client, takes no slot and, as long
 *    as it is not, no datagram
 */
static void test_other_sockets(void **state)
{
	char answer[64], want[64];
	pid_t pids[WORKERS + 1];

	(void)state;
	needs(bind_setsockopt);
	file_write(SERVER, server);
	run_start(&run, "dns", "-n", "4", "--port", "udp/8080", "--offset-port", "udp/9100", "--",
		  "python3", SERVER, "0", "0.0.0.0", "offset", NULL);
	run_pids(&run, pids, WORKERS);
	for (int i = 0; i < WORKERS; i++) {
		snprintf(want, sizeof(want), "0 0 %d", 9100 + i);
		assert_true(says(pids[i], want));
	}
	for (int i = 0; i < WORKERS; i++)
		assert_true(udp_ask_for("second", false, answer) > 0);
	assert_int_equal(udp_unconnected(), 2 * WORKERS);
	/* what the keeper can't do without a look at all sockets */
	lbctl_ok("scale", "dns", "5", NULL);
	run_pids(&run, pids, WORKERS + 1);
	udp_expect_even(&run, pids, WORKERS + 1, false);
	for (int i = 0; i < WORKERS; i++)
		udp_ask_for("connect", false, answer);
	run_stop(&run);
}

/* A port that --port does not name is not shared, and the user is told how it would be. */
static void test_port_that_is_not_named(void **state)
{
	char ready_ms[16];

	(void)state;
	/* by then Python must have bound it */
	snprintf(ready_ms, sizeof(ready_ms), "%u", (unsigned int)scaled_ms(6000));
	file_write(SERVER, server);
	run_start(&run, "dns", "-n", "2", "--ready-timeout", ready_ms, "--", "python3", SERVER, "0",
		  "0.0.0.0", NULL);
	wait_until(run_events(&run, "timeout", "{s:s}", "text", "--port udp/8080"), RUN_MS);
	wait_until(run_events(&run, "unshared", "{s:i, s:b}", "port", 8080, "udp", 1), RUN_MS);
	run_stop(&run);
}

/* --- a stream of datagrams --- */

/*
 * Workers that know nothing of SIGTERM, under a stream: reload twice, restart one, 4 -> 8 -> 2:
 * every datagram is answered, and it is even after each change.
 */
static void test_changes_under_a_stream(void **state)
{
	struct udp_stream *stream;
	pid_t pids[8];

	(void)state;
	start("4", "0.002", "0.0.0.0");
	stream = udp_stream_start();
	lbctl_ok("reload", "dns", NULL);
	lbctl_ok("reload", "dns", NULL);
	lbctl_ok("restart", "dns", "2", NULL);
	lbctl_ok("scale", "dns", "8", NULL);
	run_pids(&run, pids, 8);
	lbctl_ok("scale", "dns", "2", NULL);
	assert_int_equal(udp_stream_stop(stream), 0);
	run_pids(&run, pids, 2);
	udp_expect_even(&run, pids, 2, false);
	run_expect_events(&run, 0, "unread", NULL);
	run_stop(&run);
}

/* A worker is killed: what it had not answered is lost; its successor takes part again. */
static void test_killed_worker(void **state)
{
	struct udp_stream *stream;
	unsigned int lost;
	pid_t pids[WORKERS], killed;

	(void)state;
	start("4", "0.002", "0.0.0.0");
	run_pids(&run, pids, WORKERS);
	stream = udp_stream_start();
	killed = pids[1];
	kill(killed, SIGKILL);
	wait_until(!process_lives(killed), RUN_MS);
	run_expect_events(&run, 1, "exit", "{s:s}", "signal", "SIGKILL");
	run_pids(&run, pids, WORKERS);
	lost = udp_stream_stop(stream);
	/* one every 4 ms, 2 ms of work: few wait at one of four, but a busy machine may stop it */
	assert_in_range(lost, 0, 50);
	assert_int_not_equal(pids[1], killed);
	udp_expect_even(&run, pids, WORKERS, false);
	run_stop(&run);
}

/* --- what is unread --- */

/* So many of n are lost at a worker that is replaced: all others are waited for, and one more. */
static unsigned int unread(const char *text, unsigned int n, unsigned int lost)
{
	unsigned int answered = 0;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct pollfd ready = { fd, POLLIN, 0 };
	char got[64];

	for (unsigned int i = 0; i < n; i++)
		udp_say_text(fd, false, "x");
	lbctl_ok("restart", "dns", text, NULL);
	while (answered < n &&
	       poll(&ready, 1, answered < n - lost ? scaled_ms(ANSWER_MS) : LATE_ANSWER_MS) == 1)
		answered += recv(fd, got, sizeof(got), 0) > 0;
	close(fd);
	return n - answered;
}

/* A worker that is replaced with a second's work in its socket does it first. */
static void test_read_before_the_end(void **state)
{
	(void)state;
	start("2", "0.02", "0.0.0.0");
	assert_int_equal(unread("1", 100, 0), 0);
	run_expect_events(&run, 0, "unread", NULL);
	run_stop(&run);
}

/* One that reads no more is waited for as long as --kill-timeout says, and that is told. */
static void test_never_read(void **state)
{
	pid_t pids[2];

	(void)state;
	file_write(SERVER, server);
	run_start(&run, "dns", "-n", "2", "--port", "udp/8080", "--kill-timeout", "700", "--",
		  "python3", SERVER, "0", "0.0.0.0",
		  probe_features()->bind_setsockopt ? NULL : "reuseaddr", NULL);
	run_pids(&run, pids, 2);
	stalls_forgive();
	kill(pids[1], SIGSTOP);
	wait_until(process_state(pids[1]) == 'T', 5000);
	assert_in_range(unread("1", 20, 10), 10, 10);
	run_expect_events(&run, 1, "unread", "{s:i}", "worker", 1);
	run_stop(&run);
}

/* Sockets of --listen outlive their process: killed, it has a successor that reads what waits. */
static void test_listen_keeps_the_queue(void **state)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), answered = 0;
	struct pollfd ready = { fd, POLLIN, 0 };
	pid_t pids[2], killed;
	char got[64];

	(void)state;
	file_write(SERVER, "import os, socket\n"
			   "s = socket.socket(fileno=3)\n"
			   "while True:\n"
			   "    data, peer = s.recvfrom(2000)\n"
			   "    s.sendto(b'%d ' % os.getpid() + data, peer)\n");
	run_start(&run, "dns", "-n", "2", "--listen", "udp/127.0.0.1:8080", "--", "python3", SERVER,
		  NULL);
	run_expect_events(&run, 2, "online", NULL);
	run_pids(&run, pids, 2);
	udp_expect_even(&run, pids, 2, false);
	killed = pids[1];
	kill(killed, SIGSTOP);
	wait_until(process_state(killed) == 'T', 5000);
	for (int i = 0; i < 20; i++)
		udp_say_text(fd, false, "x");
	kill(killed, SIGKILL);
	while (answered < 20 && poll(&ready, 1, scaled_ms(ANSWER_MS)) == 1)
		answered += recv(fd, got, sizeof(got), 0) > 0;
	close(fd);
	assert_int_equal(answered, 20);
	wait_until(!process_lives(killed), RUN_MS);
	lbctl_ok("reload", "dns", NULL);
	run_pids(&run, pids, 2);
	udp_expect_even(&run, pids, 2, false);
	run_kill(&run);
	run_start_again(&run);
	run_expect_keeper(&run);
	udp_expect_even(&run, pids, 2, false);
	run_stop(&run);
}

/* Each answer takes 100 ms, and no process handles a signal: all are answered all the same. */
static void test_listen_answers_first(void **state)
{
	struct udp_stream *stream;

	(void)state;
	file_write(SERVER, "import os, socket, threading\n"
			   "s = socket.socket(fileno=3)\n"
			   "def answer(data, peer):\n"
			   "    s.sendto(b'%d ' % os.getpid() + data, peer)\n"
			   "while True:\n"
			   "    threading.Timer(.1, answer, s.recvfrom(2000)).start()\n");
	run_start(&run, "dns", "-n", "2", "--listen", "udp/127.0.0.1:8080", "--", "python3", SERVER,
		  NULL);
	run_expect_events(&run, 2, "online", NULL);
	stream = udp_stream_start();
	lbctl_ok("reload", "dns", NULL);
	lbctl_ok("restart", "dns", "1", NULL);
	lbctl_ok("scale", "dns", "1", NULL);
	assert_int_equal(udp_stream_stop(stream), 0);
	run_stop(&run);
}

/* --- with all the rest --- */

/* lbctl is killed: steering goes on, and the next one finds them, reloads and scales. */
static void test_next_keeper(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	start("2", "0", "0.0.0.0");
	run_pids(&run, pids, 2);
	run_kill(&run);
	udp_expect_even(&run, pids, 2, false);
	run_start_again(&run);
	run_expect_keeper(&run);
	udp_expect_even(&run, pids, 2, false);
	lbctl_ok("reload", "dns", NULL);
	lbctl_ok("scale", "dns", "4", NULL);
	run_pids(&run, pids, WORKERS);
	udp_expect_even(&run, pids, WORKERS, false);
	run_stop(&run);
}

/* Policies and settings as with attach: a client's address, a flow, a drained worker. */
static void test_policies(void **state)
{
	pid_t pids[WORKERS], first;

	(void)state;
	start("4", "0", "0.0.0.0");
	run_pids(&run, pids, WORKERS);
	lbctl_ok("drain", "dns", "3", "--wait", "5", NULL);
	for (int i = 0; i < 12; i++)
		assert_int_not_equal(udp_ask_pid(false), pids[3]);
	lbctl_ok("resume", "dns", "3", NULL);
	lbctl_ok("set-policy", "dns", "hash", NULL);
	first = udp_ask_pid(false);
	for (int i = 0; i < 12; i++)
		assert_int_equal(udp_ask_pid(false), first);
	lbctl_ok("set-policy", "dns", "rr", NULL);
	udp_expect_even(&run, pids, WORKERS, false);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_share_a_port),
		runs_test(test_other_sockets),
		runs_test(test_port_that_is_not_named),
		runs_test(test_changes_under_a_stream),
		runs_test(test_killed_worker),
		runs_test(test_read_before_the_end),
		runs_test(test_never_read),
		runs_test(test_listen_keeps_the_queue),
		runs_test(test_listen_answers_first),
		runs_test(test_next_keeper),
		runs_test(test_policies),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
