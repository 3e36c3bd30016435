// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl run and ports that only one process can have: refused where they can't be had, and
 * handed on in the right order when a worker gets a new process.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORKERS 4
#define URL "http://127.0.0.1:8080/"
#define RUN_DEMO run_demo(), "-q", "--no-reuseport", "--listen", ":8080"

static struct run run;
static struct clients clients;

/* --- --offset-port --- */

static void expect_offsets(void)
{
	for (int i = 0; i < WORKERS; i++) {
		clients_run(&clients, (struct client_plan){ .connections = 5, .port = 9100 + i });
		assert_int_equal(clients_of(&clients, i), 5);
	}
}

/* Each worker's new process has the port of the old one, beside it for a moment. */
static void test_offset_port_is_reloaded(void **state)
{
	pid_t pids[WORKERS], now[WORKERS];
	struct wrk wrk;
	struct job job;

	(void)state;
	needs(bind_setsockopt);
	run_start(&run, "web", "-n", "4", "--offset-port", "9100", "--", RUN_DEMO, "--listen",
		  ":9100", NULL);
	run_pids(&run, pids, WORKERS);
	wrk_start(&job, URL, "16", WRK_UNTIL_STOPPED);
	lbctl_ok("reload", "web", NULL);
	lbctl_ok("restart", "web", "2", NULL);
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	run_expect_no_failure(&run, &wrk);
	run_pids(&run, now, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		assert_int_not_equal(now[i], pids[i]);
	expect_offsets();
	run_expect_events(&run, 0, "exit", "{s:b}", "unasked", 1);
	run_stop(&run);
}

static void test_offset_ports_that_cannot_be(void **state)
{
	(void)state;
	lbctl_expect(2, "worker 2 port 65536, and 65535 is the last", "run", "-n", "4",
		     "--offset-port", "65534", "--", "true", NULL);
	lbctl_expect(2, "worker 1 port 8081, which --port shares", "run", "-n", "2", "--port",
		     "8081", "--offset-port", "8080", "--", "true", NULL);
	run_start(&run, "web", "-n", "2", "--port", "8080", "--offset-port", "8077", "--", RUN_DEMO,
		  NULL);
	run_expect_up(&run, 2);
	lbctl_expect(2, "worker 3 port 8080, which --port shares", "scale", "web", "4", NULL);
	lbctl_ok("scale", "web", "3", NULL);
	run_stop(&run);
}

/* --- a port that is not shared --- */

/*
 * The only worker has one: its new process could not live beside it, and nobody would serve
 * meanwhile. That is said, and nothing has happened.
 */
static void test_reload_of_the_only_worker(void **state)
{
	static const char words[] = "worker 0 has port 9090, which one process can have";
	pid_t pid;

	(void)state;
	needs(bind_setsockopt);
	run_start(&run, "web", "-n", "1", "--", RUN_DEMO, "--listen", ":9090", NULL);
	run_pids(&run, &pid, 1);
	lbctl_expect(1, words, "reload", "web", NULL);
	lbctl_expect(1, "--port 8080,9090", "restart", "web", "0", NULL);
	assert_int_equal(kill(run.pid, SIGHUP), 0);
	run_expect_events(&run, 1, "trouble", "{s:s}", "text", words);
	run_expect_events(&run, 0, "begin", NULL);
	run_expect_same(&run, &pid, 1);
	run_stop(&run);
	/* as the message says */
	run_start(&run, "web", "-n", "1", "--port", "8080,9090", "--", RUN_DEMO, "--listen",
		  ":9090", NULL);
	run_expect_up(&run, 1);
	lbctl_ok("reload", "web", NULL);
	run_stop(&run);
	run_start(&run, "web", "-n", "1", "--offset-port", "9090", "--", RUN_DEMO, "--listen",
		  ":9090", NULL);
	run_expect_up(&run, 1);
	lbctl_ok("reload", "web", NULL);
	run_stop(&run);
}

/* Whoever can't have the second port does without it; port 0 is another one each time. */
static const char tolerant[] =
	"import os, signal, socket, time\n"
	"going = [True]\n"
	"signal.signal(signal.SIGTERM, lambda *_: going.clear())\n"
	"given = 'LISTEN_FDS' in os.environ\n"
	"s = socket.socket(fileno=3) if given else socket.socket()\n"
	"if not given:\n"
	"    s.bind(('', 8080))\n"
	"    s.listen(1000)\n"
	"s.settimeout(0.05)\n"
	"other = socket.socket()\n"
	"try:\n"
	"    other.bind(('', int(os.environ['OTHER'])))\n"
	"    other.listen(5)\n"
	"except OSError:\n"
	"    pass\n"
	"while going:\n"
	"    try:\n"
	"        c = s.accept()[0]\n"
	"    except OSError:\n"
	"        continue\n"
	"    c.recv(1000)\n"
	"    c.send(b'HTTP/1.0 200 OK\\r\\nX-Worker: %s\\r\\nContent-Length: 0\\r\\n\\r\\n' %\n"
	"           os.environ['LBCTL_WORKER'].encode())\n"
	"    c.close()\n"
	"time.sleep(float(os.environ.get('ENDS_FOR', '0')))\n";

static void reload_under_load(void)
{
	struct wrk wrk;
	struct job job;

	wrk_start(&job, URL, "8", WRK_UNTIL_STOPPED);
	lbctl_ok("reload", "web", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	run_expect_no_failure(&run, &wrk);
}

/* The one that has it ends before its successor begins; no request fails. */
static void test_reload_of_one_that_has_a_port(void **state)
{
	(void)state;
	needs(bind_setsockopt);
	file_write(HARNESS_DIR "/tolerant.py", tolerant);
	setenv("OTHER", "9090", 1);
	run_start(&run, "web", "-n", "3", "--", "python3", HARNESS_DIR "/tolerant.py", NULL);
	run_expect_up(&run, 3);
	reload_under_load();
	run_expect_events(&run, 1, "drain", "{s:i, s:b}", "port", 9090, "udp", 0);
	run_expect_events(&run, 3, "drain", NULL);
	run_stop(&run);
}

static bool is_open(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	err = connect(fd, (struct sockaddr *)&to, sizeof(to));
	close(fd);
	return !err;
}

/*
 * The keeper is killed while the one that has the port ends; the next one does not begin another
 * beside it, which would do without the port.
 */
static void test_keeper_is_killed_in_such_a_reload(void **state)
{
	struct output output;
	struct job reload;
	pid_t old;

	(void)state;
	needs(bind_setsockopt);
	file_write(HARNESS_DIR "/tolerant.py", tolerant);
	setenv("OTHER", "9090", 1);
	setenv("ENDS_FOR", "2", 1);
	run_start(&run, "web", "-n", "2", "--", "python3", HARNESS_DIR "/tolerant.py", NULL);
	run_expect_up(&run, 2);
	wait_until(is_open(9090), RUN_MS);
	lbctl_start(&reload, "reload", "web", NULL);
	wait_until(run_events(&run, "drain", "{s:i}", "port", 9090), RUN_MS);
	old = json_integer_value(
		json_object_get(run_event(&run, 0, "drain", "{s:i}", "port", 9090), "pid"));
	assert_true(process_lives(old));
	run_kill(&run);
	job_wait(&reload, &output);
	output_free(&output);
	run_start_again(&run);
	wait_until(!process_lives(old), RUN_MS);
	run_expect_up(&run, 2);
	wait_until(is_open(9090), RUN_MS);
	run_stop(&run);
	unsetenv("ENDS_FOR");
}

/* Ports that the kernel chose are no obstacle. */
static void test_reload_with_port_0(void **state)
{
	(void)state;
	needs(bind_setsockopt);
	file_write(HARNESS_DIR "/tolerant.py", tolerant);
	setenv("OTHER", "0", 1);
	run_start(&run, "web", "-n", "1", "--", "python3", HARNESS_DIR "/tolerant.py", NULL);
	run_expect_up(&run, 1);
	reload_under_load();
	run_expect_events(&run, 0, "drain", "{s:b}", "udp", 0);
	run_stop(&run);
}

/* Sockets of --listen stay open, and who comes meanwhile waits in them. */
static void test_reload_with_listen(void **state)
{
	(void)state;
	file_write(HARNESS_DIR "/tolerant.py", tolerant);
	setenv("OTHER", "9090", 1);
	run_start(&run, "web", "-n", "1", "--listen", "127.0.0.1:8080", "--", "python3",
		  HARNESS_DIR "/tolerant.py", NULL);
	run_expect_up(&run, 1);
	/* it counts as online before it has bound the other port; who answers has done so */
	clients_run(&clients, (struct client_plan){ .connections = 1 });
	reload_under_load();
	run_expect_events(&run, 1, "drain", "{s:i}", "port", 9090);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_offset_port_is_reloaded),
		runs_test(test_offset_ports_that_cannot_be),
		runs_test(test_reload_of_the_only_worker),
		runs_test(test_reload_of_one_that_has_a_port),
		runs_test(test_keeper_is_killed_in_such_a_reload),
		runs_test(test_reload_with_port_0),
		runs_test(test_reload_with_listen),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
