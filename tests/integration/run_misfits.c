// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl run with programs that do something with their sockets that run can't make use of: it says
 * so, once, and what the user can do about it.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define SERVER HARNESS_DIR "/server.py"
#define NOBODY 65534

static struct run run;

/*
 * Listens on what its arguments say, in this order: HOST:PORT, which with a + in front has
 * SO_REUSEPORT of its own, and with a * a BPF program as well. At SIGUSR1 the last one gets one:
 * Python looks for a signal before it waits, and not again until then.
 */
static const char server[] =
	"import ctypes, os, select, signal, socket, struct, sys\n"
	"def steer(s):\n"
	"    code = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0))\n"
	"    s.setsockopt(socket.SOL_SOCKET, 51, struct.pack('HL', 1, ctypes.addressof(code)))\n"
	"sockets = []\n"
	"for word in sys.argv[1:]:\n"
	"    host, port = word.lstrip('+*').split(':')\n"
	"    s = socket.socket()\n"
	"    if word[0] in '+*':\n"
	"        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n"
	"    s.bind((host, int(port)))\n"
	"    if word[0] == '*':\n"
	"        steer(s)\n"
	"    s.listen(100)\n"
	"    sockets.append(s)\n"
	"signal.signal(signal.SIGUSR1, lambda *_: steer(s))\n"
	"while True:\n"
	"    if not select.select(sockets[-1:], [], [], 0.1)[0]:\n"
	"        continue\n"
	"    try:\n"
	"        c = sockets[-1].accept()[0]\n"
	"    except OSError:\n"
	"        continue\n"
	"    c.recv(1000)\n"
	"    c.send(b'HTTP/1.0 200 OK\\r\\nX-Worker: %s\\r\\nContent-Length: 0\\r\\n\\r\\n' %\n"
	"           os.environ['LBCTL_WORKER'].encode())\n"
	"    c.close()\n";

/* Two addresses; more are two times the last one. */
static void start(const char *workers, const char *first, const char *second)
{
	needs(bind_setsockopt);
	file_write(SERVER, server);
	run_start(&run, "web", "-n", workers, "--", "python3", SERVER, first, second, NULL);
	run_expect_up(&run, atoi(workers));
}

/* --- the first port is another one than the one that was meant --- */

/* As caddy does it: administration on loopback first, and a port that is shared without lbctl. */
static void test_port_that_workers_share_themselves(void **state)
{
	(void)state;
	start("2", "127.0.0.1:2019", "+127.0.0.1:8080");
	run_expect_events(&run, 1, "not-steered", "{s:i, s:i, s:i}", "port", 8080, "steered", 2019,
			  "workers", 2);
	run_expect_events(&run, 1, "not-steered", "{s:s}", "text", "--port 8080 steers that one");
	lbctl_ok("reload", "web", NULL);
	run_expect_events(&run, 1, "not-steered", NULL);
	run_stop(&run);
}

/* As a debugger does it. */
static void test_first_port_is_on_loopback(void **state)
{
	(void)state;
	start("1", "127.0.0.1:9229", ":8080");
	run_expect_events(&run, 1, "not-steered", "{s:i, s:i, s:i}", "port", 8080, "steered", 9229,
			  "workers", 1);
	run_stop(&run);
}

static void test_nothing_to_say_of_ports(void **state)
{
	static const char *const ports[][2] = {
		{ ":8080", "127.0.0.1:9229" },
		{ ":8080", ":9090" },
		{ "127.0.0.1:8080", "127.0.0.1:9090" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		start("1", ports[i][0], ports[i][1]);
		run_expect_events(&run, 0, "not-steered", NULL);
		run_stop(&run);
	}
	run_start(&run, "web", "-n", "2", "--port", "8080", "--", "python3", SERVER,
		  "+127.0.0.1:2019", ":8080", NULL);
	run_expect_up(&run, 2);
	run_expect_events(&run, 0, "not-steered", NULL);
	run_stop(&run);
}

/* --- several sockets on one address --- */

static void test_several_sockets_of_one_worker(void **state)
{
	(void)state;
	needs(bind_setsockopt);
	file_write(SERVER, server);
	lbctl_expect(1, "sockets on one address, port 8080", "run", "--name", "web", "-n", "2",
		     "--", "python3", SERVER, "+:8080", "+:8080", "+:8080", NULL);
	run_expect_nothing_left();
}

static void test_nginx_with_reuseport(void **state)
{
	(void)state;
	mkdir(HARNESS_DIR "/nginx", 0755);
	file_write(HARNESS_DIR "/nginx.conf",
		   "daemon off;\nworker_processes 4;\npid " HARNESS_DIR "/nginx.pid;\n"
		   "error_log /dev/null;\nevents { }\n"
		   "http { access_log off; server { listen 8080 reuseport; return 200; } }\n");
	lbctl_expect(1, "`listen` without `reuseport`", "run", "--name", "web", "-n", "1", "--",
		     "nginx", "-p", HARNESS_DIR "/nginx", "-c", HARNESS_DIR "/nginx.conf", NULL);
	run_expect_nothing_left();
}

/* --- a program of the server's own --- */

static void test_own_program_at_the_start(void **state)
{
	(void)state;
	file_write(SERVER, server);
	lbctl_expect(1, "the program has put it there itself", "run", "--name", "web", "-n", "2",
		     "--", "python3", SERVER, "*:8080", NULL);
	run_expect_nothing_left();
}

static bool is_steered(void)
{
	json_t *view = lbctl_json("show", "web", "--json", NULL);
	const json_t *listener = json_array_get(json_object_get(view, "listeners"), 0);
	bool steered = json_is_true(json_object_get(listener, "steering"));

	json_decref(view);
	return steered;
}

static void test_own_program_later(void **state)
{
	struct clients clients;
	pid_t pids[2];

	(void)state;
	file_write(SERVER, server);
	run_start(&run, "web", "-n", "2", "--port", "8080", "--", "python3", SERVER, "+:8080",
		  NULL);
	run_pids(&run, pids, 2);
	clients_run(&clients, (struct client_plan){ .connections = 4 });
	kill(pids[1], SIGUSR1);
	run_expect_events(&run, 1, "replaced", "{s:b}", "classic", 1);
	wait_until(is_steered(), RUN_MS);
	run_stop(&run);
}

/* --- MPTCP --- */

/* Asks for MPTCP alone; with an argument it goes on without a socket. */
static const char only_mptcp[] = "import socket, sys, time\n"
				 "try:\n"
				 "    socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)\n"
				 "except OSError:\n"
				 "    if len(sys.argv) < 2:\n"
				 "        raise\n"
				 "time.sleep(1000)\n";
/* As Go does. */
static const char falls_back[] = "import socket, sys\n"
				 "try:\n"
				 "    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)\n"
				 "except OSError:\n"
				 "    s = socket.socket()\n"
				 "sys.exit(3)\n";

static void needs_mptcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

	if (fd < 0)
		skip();
	close(fd);
}

static void test_mptcp_is_refused(void **state)
{
	(void)state;
	needs_mptcp();
	file_write(SERVER, only_mptcp);
	lbctl_expect(1, "GODEBUG=multipathtcp=0", "run", "--name", "web", "-n", "1",
		     "--max-restarts", "0", "--", "python3", SERVER, NULL);
	run_start(&run, "web", "-n", "1", "--ready-timeout", "1000", "--", "python3", SERVER,
		  "goes-on", NULL);
	run_expect_events(&run, 1, "timeout", "{s:s}", "text", "GODEBUG=multipathtcp=0");
	lbctl_expect(1, "GODEBUG=multipathtcp=0", "restart", "web", "0", NULL);
	run_stop(&run);
	file_write(SERVER, falls_back);
	run_start(&run, "web", "-n", "1", "--max-restarts", "0", "--", "python3", SERVER, NULL);
	assert_int_equal(run_wait(&run), 1);
	run_expect_lines(&run, "MPTCP", 0);
	run_expect_lines(&run, "exited with status 3", 1);
}

/* --- UDP --- */

static const char datagrams[] = "import socket\n"
				"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
				"s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
				"s.bind(('', 8080))\n"
				"while True:\n"
				"    data, peer = s.recvfrom(1000)\n"
				"    s.sendto(data, peer)\n";

/* A socket of another user on the workers' port; it can be had because all have SO_REUSEADDR. */
static pid_t start_stranger(void)
{
	const struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(8080) };
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child) {
		int fd = setuid(NOBODY) ? -1 : socket(AF_INET, SOCK_DGRAM, 0), on = 1;

		if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
		    bind(fd, (const struct sockaddr *)&at, sizeof(at)))
			_exit(1);
		for (;;)
			pause();
	}
	return child;
}

static bool takes_datagrams(pid_t pid)
{
	json_t *view = lbctl_json("show", "web", "--json", NULL);
	const json_t *one = json_array_get(json_object_get(view, "strangers"), 0);
	bool takes = json_is_true(json_object_get(one, "takes")) &&
		     json_integer_value(json_object_get(one, "pid")) == pid;

	json_decref(view);
	return takes;
}

static void test_stranger_takes_datagrams(void **state)
{
	pid_t stranger;

	(void)state;
	needs(bind_setsockopt);
	file_write(SERVER, datagrams);
	run_start(&run, "web", "-n", "2", "--port", "udp/8080", "--", "python3", SERVER, NULL);
	run_expect_up(&run, 2);
	stranger = start_stranger();
	run_expect_events(&run, 1, "stranger", "{s:s, s:i}", "addr", "udp/0.0.0.0:8080", "uid",
			  NOBODY);
	assert_true(takes_datagrams(stranger));
	lbctl_expect(0, "1 socket is there beside the workers' and takes datagrams", "show", "web",
		     NULL);
	kill(stranger, SIGKILL);
	assert_int_equal(waitpid(stranger, NULL, 0), stranger);
	lbctl_ok("reload", "web", NULL);
	assert_false(takes_datagrams(0));
	run_expect_events(&run, 1, "stranger", NULL);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_port_that_workers_share_themselves),
		runs_test(test_first_port_is_on_loopback),
		runs_test(test_nothing_to_say_of_ports),
		runs_test(test_several_sockets_of_one_worker),
		runs_test(test_nginx_with_reuseport),
		runs_test(test_own_program_at_the_start),
		runs_test(test_own_program_later),
		runs_test(test_mptcp_is_refused),
		runs_test(test_stranger_takes_datagrams),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
