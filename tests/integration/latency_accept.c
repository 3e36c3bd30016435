// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* latency=on: what connections wait until they are accepted, and how that is seen. */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/maps.h"
#include "harness/measured.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/timed.h"
#include "harness/world.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/latency.h"

#define WORKERS MEASURED_WORKERS
#define MS 1000000ULL

static struct run run;
static struct clients clients;

/*
 * A worker that sleeps 100 ms over one request: the connection that comes meanwhile waits for the
 * rest of that, and its request takes as long, too, before its own 100 ms.
 */
static void test_wait(void **state)
{
	static struct lb_latency sums[WORKERS];
	static struct clients second;
	uint64_t wait_ns, took_ns;

	(void)state;
	needs_latency();
	needs_own_pace();
	run_start(&run, "web", "-n", "1", "--policy", "rr", "--", run_demo(), "-q", "-n", "1",
		  "--listen", "127.0.0.1:8080", "--sleep-us", "100000", NULL);
	run_expect_up(&run, 1);
	stalls_forgive();
	lbctl_ok("set", "web", "latency=on", NULL);
	clients_begin(&clients, (struct client_plan){ .connections = 1 });
	usleep(30000);
	clients_run(&second, (struct client_plan){ .connections = 1 });
	clients_finish(&clients);
	measured_expect("web", 2, 2);
	measured_read("web", sums);
	wait_ns = latency_quantile(&sums[0].wait, 1);
	took_ns = latency_quantile(&sums[0].first_byte, 1);
	assert_true(wait_ns >= 10 * MS);
	assert_true(took_ns >= wait_ns + 99 * MS);
	assert_true(took_ns <= second.longest_ns);
	run_stop(&run);
}

/* A server that sleeps before each accept(): what its clients wait for is that. */
static void test_many_waits(void **state)
{
	static struct lb_latency sums[WORKERS];
	static struct timed timed;
	char program[PATH_MAX];

	(void)state;
	needs_latency();
	needs_own_pace();
	needs(bind_setsockopt);
	assert_non_null(realpath(harness_build_path("../tests/integration/sleeps.py"), program));
	run_start(&run, "web", "-n", "1", "--policy", "rr", "--", "python3", program, "8080", "15",
		  NULL);
	run_expect_up(&run, 1);
	stalls_forgive();
	lbctl_ok("set", "web", "rescue_ms=0", "latency=on", NULL);
	memset(&timed, 0, sizeof(timed));
	timed_run(&timed, (struct timed_plan){ .connections = 60, .at_once = 4, .requests = 1 });
	measured_expect("web", 60, 60);
	measured_read("web", sums);
	assert_int_equal(sums[0].bounded, 0);
	measured_expect_near("half of the waits", 0, latency_quantile(&sums[0].wait, 0.5),
			     timed_quantile(timed.least_ns[0], 60, 50),
			     timed_quantile(timed.most_ns[0], 60, 50));
	assert_true(latency_quantile(&sums[0].wait, 0.5) >= 45 * MS);
	run_stop(&run);
}

/* accept() without an address, and no option is set: the wait ends with the first answer. */
static void test_accept_unseen(void **state)
{
	static struct lb_latency sums[WORKERS];
	char program[512];

	(void)state;
	needs_latency();
	needs(bind_setsockopt);
	snprintf(program, sizeof(program), "%s", harness_build_path("static-server"));
	run_start(&run, "web", "-n", "4", "--policy", "rr", "--", program, NULL);
	run_expect_up(&run, WORKERS);
	lbctl_ok("set", "web", "latency=on", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 40, .at_once = 4 });
	measured_expect("web", 40, 40);
	measured_read("web", sums);
	for (int i = 0; i < WORKERS; i++) {
		assert_int_equal(sums[i].bounded, 10);
		assert_int_equal(latency_count(&sums[i].first_byte), 10);
	}
	run_stop(&run);
}

/* Node.js asks for no address, and sets TCP_NODELAY right after. */
static void test_node(void **state)
{
	static struct lb_latency sums[WORKERS];

	(void)state;
	needs_latency();
	needs_own_pace();
	needs_node();
	file_write(
		HARNESS_DIR "/app.js",
		"require('http').createServer((q, s) => setTimeout(() => {\n"
		"  s.setHeader('X-Worker', process.env.LBCTL_WORKER); s.end('hello\\n'); }, 20))\n"
		"  .listen(8080);\n");
	run_start(&run, "web", "-n", "2", "--policy", "rr", "--", "node", HARNESS_DIR "/app.js",
		  NULL);
	run_expect_up(&run, 2);
	stalls_forgive();
	lbctl_ok("set", "web", "latency=on", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 60, .at_once = 4 });
	measured_expect("web", 60, 60);
	measured_read("web", sums);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(latency_count(&sums[i].first_byte), 30);
		assert_int_equal(sums[i].bounded, 0);
		assert_in_range(latency_quantile(&sums[i].first_byte, 0.5), 19 * MS, 40 * MS);
	}
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_wait),
		runs_test(test_many_waits),
		runs_test(test_accept_unseen),
		runs_test(test_node),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
