// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A socket of --listen takes connections before its process accepts: a new process gets its share
 * when it is seen to wait at its socket, or is not seen for long. A version is waited for so long
 * once.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/events.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 2
#define ROUND 20	  /* connections */
#define LATE_MS 2000	  /* from its start until a process accepts */
#define READY_AFTER "600" /* ms; ten of these are the most that nobody is seen */

static struct run run;
static struct clients clients;

/* Argument 1: seconds until it accepts; 2: how it does. */
static const char program[] =
	"import os, select, signal, socket, sys, time\n"
	"s = socket.socket(fileno=3)\n"
	"signal.signal(signal.SIGTERM, lambda *_: os._exit(0))\n"
	"time.sleep(float(sys.argv[1]))\n"
	"while True:\n"
	"    if sys.argv[2] == 'select':\n"
	"        select.select([s], [], [])\n"
	"    if sys.argv[2] == 'unseen':\n"
	"        s.setblocking(False)\n"
	"    try:\n"
	"        c = s.accept()[0]\n"
	"    except BlockingIOError:\n"
	"        time.sleep(.005)\n"
	"        continue\n"
	"    c.setblocking(True)\n"
	"    c.recv(1000)\n"
	"    w = os.environ['LBCTL_WORKER'].encode()\n"
	"    c.send(b'HTTP/1.0 200 OK\\r\\nX-Worker: %s\\r\\nContent-Length: 0\\r\\n\\r\\n' % w)\n"
	"    c.close()\n";

static void start_workers(unsigned int late_ms, const char *how, const char *ready_timeout_ms)
{
	char late[16];

	snprintf(late, sizeof(late), "%.1f", late_ms / 1000.0);
	file_write(HARNESS_DIR "/late.py", program);
	run_start(&run, "web", "-n", "2", "--policy", "rr", "--ready-after", READY_AFTER,
		  "--ready-timeout", ready_timeout_ms, "--listen", "127.0.0.1:8080", "--",
		  "python3", HARNESS_DIR "/late.py", late, how, NULL);
	run_expect_events(&run, WORKERS, "online", NULL);
}

/* Returns how long the slowest of all requests took that were made meanwhile. */
static uint64_t load_during(struct job *job)
{
	uint64_t longest_ns = 0;

	do {
		clients_run(&clients, (struct client_plan){ .connections = ROUND });
		if (clients.longest_ns > longest_ns)
			longest_ns = clients.longest_ns;
	} while (job_is_running(job));
	return longest_ns;
}

static uint64_t reload_under_load(void)
{
	struct output output;
	uint64_t longest_ns;
	struct job job;

	lbctl_start(&job, "reload", "web", NULL);
	longest_ns = load_during(&job);
	job_wait(&job, &output);
	assert_int_equal(output.status, 0);
	output_free(&output);
	return longest_ns;
}

/* It accepts 2 s after its start: nobody waits for it, and then it has its share. */
static void test_late_ones(void **state)
{
	static const unsigned int each[] = { ROUND / WORKERS, ROUND / WORKERS };
	static const char *const ways[] = { "accept", "select" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		const uint64_t late_ms = scaled_ms(LATE_MS);
		uint64_t longest_ns;

		start_workers(late_ms, ways[i], "60000");
		longest_ns = reload_under_load();
		print_message("%s: the slowest request of the reload took %llu ms\n", ways[i],
			      (unsigned long long)longest_ns / 1000000);
		assert_in_range(longest_ns / 1000000, 0, late_ms * 3 / 4);
		run_expect_events(&run, 1, "reload", "{s:i, s:i}", "status", 0, "lost", 0);
		clients_run(&clients, (struct client_plan){ .connections = ROUND });
		clients_expect(&clients, WORKERS, each);
		run_stop(&run);
	}
}

static json_int_t seconds_between(const char *first, const char *second, size_t nth)
{
	const json_t *from = run_event(&run, nth, first, NULL);
	const json_t *to = run_event(&run, nth, second, NULL);

	return json_integer_value(json_object_get(to, "time")) -
	       json_integer_value(json_object_get(from, "time"));
}

/*
 * What it waits by is not seen: it is online after a while all the same, and of its version the
 * second one sooner. A reload goes on, and loses nothing.
 */
static void test_unseen_ones(void **state)
{
	json_int_t first, second;

	(void)state;
	start_workers(0, "unseen", "6000");
	reload_under_load();
	run_expect_events(&run, 1, "reload", "{s:i, s:i}", "status", 0, "lost", 0);
	run_expect_events(&run, 2 * WORKERS, "online", NULL);
	first = seconds_between("start", "online", WORKERS);
	second = seconds_between("start", "online", WORKERS + 1);
	/* half of the timeout, 3 s */
	assert_true(first >= 2);
	assert_true(second < first);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_late_ones),
		runs_test(test_unseen_ones),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
