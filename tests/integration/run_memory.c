// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* --max-memory: workers that grow get successors, and no request fails for it. */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/load.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <stdio.h>
#include <unistd.h>

#define WORKERS 3
#define LIMIT "48M"
#define LIMIT_BYTES (48 << 20)
#define GROW HARNESS_DIR "/grow"

static struct run run;
static struct clients clients;

/* The worker that GROW names has 64 MiB more from its next request on, or a child of it has. */
static const char program[] =
	"import os, socket, sys, time\n"
	"kept = []\n"
	"def grow():\n"
	"    try:\n"
	"        who, how = open('" GROW "').read().split()\n"
	"    except OSError:\n"
	"        return\n"
	"    if who != os.environ['LBCTL_WORKER']:\n"
	"        return\n"
	"    os.unlink('" GROW "')\n"
	"    if how == 'child' and os.fork():\n"
	"        return\n"
	"    kept.append(b'x' * (64 << 20))\n"
	"    if how == 'child':\n"
	"        s.close()\n"
	"        time.sleep(1000)\n"
	"s = socket.socket()\n"
	"s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
	"s.bind(('', 8080))\n"
	"s.listen(1000)\n"
	"for port in sys.argv[1:]:\n"
	"    own = socket.create_server(('', int(port)))\n"
	"while True:\n"
	"    c = s.accept()[0]\n"
	"    c.recv(1000)\n"
	"    c.send(b'HTTP/1.0 200 OK\\r\\nContent-Length: 0\\r\\nX-Worker: ' +\n"
	"           os.environ['LBCTL_WORKER'].encode() + b'\\r\\n\\r\\n')\n"
	"    c.close()\n"
	"    grow()\n";

static void grow(const char *who)
{
	file_write(GROW ".new", who);
	assert_int_equal(rename(GROW ".new", GROW), 0);
}

/* Its successor is there, and all others are as before. */
static void expect_replaced(uint32_t worker, pid_t *pids, unsigned int times)
{
	pid_t now[WORKERS];
	const json_t *event;

	run_expect_events(&run, 1, "memory", "{s:i, s:i, s:i}", "worker", worker, "pid",
			  pids[worker], "limit", LIMIT_BYTES);
	event = run_event(&run, 0, "memory", "{s:i}", "worker", worker);
	/* it may be looked at while it grows */
	assert_true(json_integer_value(json_object_get(event, "bytes")) > LIMIT_BYTES);
	run_expect_events(&run, times, "restart", "{s:i, s:i}", "status", 0, "lost", 0);
	run_expect_events(&run, 1, "exit", "{s:i, s:b}", "pid", pids[worker], "unasked", 0);
	run_pids(&run, now, WORKERS);
	for (uint32_t w = 0; w < WORKERS; w++)
		assert_int_equal(now[w] != pids[w], w == worker);
	pids[worker] = now[worker];
}

/*
 * 1. wrk runs; a worker grows over the limit, then the child of another: each is told, and replaced
 *    by a new process that is there first
 * 2. not one request failed, and nothing else was begun
 */
static void test_worker_grows(void **state)
{
	pid_t pids[WORKERS];
	struct wrk wrk;
	struct job job;

	(void)state;
	file_write(HARNESS_DIR "/grows.py", program);
	run_start(&run, "web", "-n", "3", "--max-memory", LIMIT, "--", "python3",
		  HARNESS_DIR "/grows.py", NULL);
	run_pids(&run, pids, WORKERS);
	wrk_start(&job, "http://127.0.0.1:8080/", "16", WRK_UNTIL_STOPPED);
	grow("1 self");
	expect_replaced(1, pids, 1);
	grow("2 child");
	expect_replaced(2, pids, 2);
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	run_expect_no_failure(&run, &wrk);
	run_expect_events(&run, 2, "begin", NULL);
	run_stop(&run);
}

/* Its new process is too large as well: that is told of each, and all goes on meanwhile. */
static void test_always_too_large(void **state)
{
	(void)state;
	file_write(HARNESS_DIR "/grows.py", program);
	run_start(&run, "web", "-n", "2", "--max-memory", "1K", "--", "python3",
		  HARNESS_DIR "/grows.py", NULL);
	wait_until(run_events(&run, "memory", NULL) >= 4, RUN_MS);
	clients_run(&clients, (struct client_plan){ .connections = 20, .at_once = 4 });
	assert_in_range(run_events(&run, "begin", NULL), run_events(&run, "memory", NULL) - 1,
			run_events(&run, "memory", NULL));
	run_expect_events(&run, 0, "exit", "{s:b}", "unasked", 1);
	run_stop(&run);
}

/* It would have to end before its successor begins, and nobody else serves: told once. */
static void test_nobody_can_take_its_place(void **state)
{
	pid_t before, after;

	(void)state;
	file_write(HARNESS_DIR "/grows.py", program);
	run_start(&run, "web", "-n", "1", "--port", "8080", "--max-memory", LIMIT, "--", "python3",
		  HARNESS_DIR "/grows.py", "8090", NULL);
	run_pids(&run, &before, 1);
	grow("0 self");
	clients_run(&clients, (struct client_plan){ .connections = 1 });
	run_expect_events(&run, 1, "memory", NULL);
	usleep(scaled_ms(2500) * 1000);
	run_expect_events(&run, 1, "memory", NULL);
	run_expect_events(&run, 1, "trouble", "{s:i, s:s}", "worker", 0, "text", "port 8090");
	run_expect_events(&run, 0, "begin", NULL);
	run_pids(&run, &after, 1);
	assert_int_equal(before, after);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_worker_grows),
		runs_test(test_always_too_large),
		runs_test(test_nobody_can_take_its_place),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
