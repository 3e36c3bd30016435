// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl run for a server of both TCP and UDP on one port: a worker has one slot for both. */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/datagrams.h"
#include "harness/events.h"
#include "harness/runs.h"
#include "harness/show.h"
#include "harness/udp_runs.h"
#include "harness/world.h"

#define SERVER HARNESS_DIR "/udp_server.py"

static struct run run;
static struct show show;

static const char both_server[] =
	"import os, socket, sys, threading, time\n"
	"t = socket.socket()\n"
	"if 'reuseport' in sys.argv:\n"
	"    t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n"
	"t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
	"t.bind(('', 8080))\n"
	"t.listen(100)\n"
	"u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
	"u.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
	"time.sleep(1)\n"
	"u.bind(('', 8080))\n"
	"def datagrams():\n"
	"    while True:\n"
	"        data, peer = u.recvfrom(2000)\n"
	"        u.sendto(b'%d ' % os.getpid() + data, peer)\n"
	"threading.Thread(target=datagrams).start()\n"
	"while True:\n"
	"    c = t.accept()[0]\n"
	"    c.recv(1000)\n"
	"    c.send(b'HTTP/1.0 200 OK\\r\\nX-Worker: %d\\r\\n\\r\\n' % os.getpid())\n"
	"    c.close()\n";

/*
 * TCP and UDP: one slot a worker, one turn for both. A worker is online when it has both, so that a
 * reload loses neither a connection nor a datagram.
 */
static void test_with_tcp(void **state)
{
	static struct clients clients;
	struct udp_stream *stream;
	pid_t pids[2];

	(void)state;
	file_write(SERVER, both_server);
	run_start(&run, "dns", "-n", "2", "--port", "8080", "--port", "udp/8080", "--", "python3",
		  SERVER, NULL);
	run_expect_events(&run, 2, "online", NULL);
	run_expect_events(&run, 2, "listening", "{s:s}", "addr", "0.0.0.0:8080");
	run_expect_events(&run, 2, "listening", "{s:s}", "addr", "udp/0.0.0.0:8080");
	run_pids(&run, pids, 2);
	udp_expect_even(&run, pids, 2, false);
	clients_run(&clients, (struct client_plan){ .connections = 2 * UDP_EACH });
	assert_int_equal(clients_of(&clients, pids[0]), UDP_EACH);
	show_read("dns", &show);
	assert_int_equal(show.nr_listeners, 2);
	assert_int_equal(show.worker[0].selected, 2 * UDP_EACH);
	assert_int_equal(show.worker[1].selected, 2 * UDP_EACH);
	stream = udp_stream_start();
	lbctl_ok("reload", "dns", NULL);
	assert_int_equal(udp_stream_stop(stream), 0);
	run_pids(&run, pids, 2);
	udp_expect_even(&run, pids, 2, false);
	run_stop(&run);
}

/* A program shares the port of TCP by itself: without --port 8080 that is not the service's. */
static void test_without_tcp(void **state)
{
	(void)state;
	file_write(SERVER, both_server);
	run_start(&run, "dns", "-n", "2", "--port", "udp/8080", "--", "python3", SERVER,
		  "reuseport", NULL);
	run_expect_up(&run, 2);
	show_read("dns", &show);
	assert_int_equal(show.nr_listeners, 1);
	run_expect_events(&run, 2, "listening", "{s:s}", "addr", "udp/0.0.0.0:8080");
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_with_tcp),
		runs_test(test_without_tcp),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
