// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Workers of lbctl run that hand it their socket: its own processes, and ones from elsewhere. */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/joins.h"
#include "harness/maps.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static struct demo demos[2];
static struct run run;
static struct show show;
static struct clients clients;

static bool is_worker(uint32_t worker, const char *want)
{
	show_read("web", &show);
	return worker < show.nr_workers && !strcmp(show.worker[worker].state, want);
}

/* Workers of another user than lbctl's join and report; that user may do nothing else. */
static void test_workers_of_run(void **state)
{
	struct lb_load *page;
	pid_t pids[2], child;
	int status;

	(void)state;
	run_start(&run, "web", "-n", "2", "--user", "nobody", "--policy", "least-load", "--",
		  run_demo(), "-q", "--no-reuseport", "--listen", ":8080", "--join", "--load",
		  "10,20,30,40", NULL);
	run_expect_events(&run, 2, "online", NULL);
	run_expect_events(&run, 2, "listening", NULL);
	run_pids(&run, pids, 2);
	page = map_mmap("web", "lb_load", 2 * sizeof(*page));
	/* slots are given out in the order in which workers listen */
	wait_until(page[0].load + page[1].load == 30, RUN_MS);
	munmap(page, 2 * sizeof(*page));
	clients_run(&clients, (struct client_plan){ .connections = 10 });
	clients_expect(&clients, 2, (const unsigned int[]){ 10, 0 });
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		if (setgid(NOBODY) || setuid(NOBODY))
			_exit(99);
		_exit(joins_ask("{\"verb\":\"stop\"}", NULL, 0) == 4 &&
				      joins_ask("{\"verb\":\"hello\"}", NULL, 0) == 0 ?
			      0 :
			      1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	lbctl_ok("reload", "web", NULL);
	run_stop(&run);
}

/* To join says that it is ready, also where that is waited for. */
static void test_joining_is_ready(void **state)
{
	(void)state;
	run_start(&run, "web", "-n", "2", "--policy", "rr", "--wait-ready", "--", "env", "-u",
		  "NOTIFY_SOCKET", run_demo(), "-q", "--no-reuseport", "--listen", ":8080",
		  "--join", NULL);
	run_expect_events(&run, 2, "online", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	clients_expect(&clients, 2, (const unsigned int[]){ 10, 10 });
	run_stop(&run);
}

/* What run starts does not listen; processes elsewhere do, and come for its workers by name. */
static void start_for_elsewhere(void)
{
	run_start(&run, "web", "-n", "2", "--policy", "rr", "--port", "8080", "--", "sleep", "1000",
		  NULL);
	run_expect_events(&run, 2, "start", NULL);
	wait_until(!access(JOINS_SOCKET, F_OK), RUN_MS);
	demo_start(&demos[1], 1, "--listen", ":8080", "--join", NULL);
	demo_start(&demos[0], 0, "--listen", ":8080", "--join", NULL);
	run_expect_events(&run, 2, "online", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	clients_expect(&clients, 2, (const unsigned int[]){ 10, 10 });
}

/*
 * 1. workers are elsewhere
 * 2. one that names none is refused, and one that names a worker that is not there
 * 3. the next controller knows whose they are
 */
static void test_workers_from_elsewhere(void **state)
{
	int fd;

	(void)state;
	start_for_elsewhere();
	fd = joins_listen("0.0.0.0", 8080, NULL);
	joins_refuse("no name", fd, EINVAL, "none of them");
	setenv("LBCTL_WORKER", "2", 1);
	joins_refuse("a worker that is not there", fd, ENOENT, "no worker 2 of web runs");
	unsetenv("LBCTL_WORKER");
	close(fd);
	run_kill(&run);
	run_start_again(&run);
	run_expect_keeper(&run);
	run_expect_events(&run, 4, "online", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	clients_expect(&clients, 2, (const unsigned int[]){ 10, 10 });
	for (int i = 0; i < 2; i++)
		demo_kill(&demos[i], SIGTERM);
	run_stop(&run);
}

/*
 * 1. a worker whose process is elsewhere is scaled away: that listens on, is
 *    shown as one that is no worker, and gets nothing
 * 2. the worker comes back: its next process that joins gets its share
 */
static void test_worker_elsewhere_is_scaled_away(void **state)
{
	_cleanup_output_ struct output output;
	struct job scaling;

	(void)state;
	start_for_elsewhere();
	lbctl_ok("scale", "web", "1", NULL);
	assert_false(is_worker(1, "up"));
	assert_int_equal(show.unregistered, 1);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	clients_expect(&clients, 2, (const unsigned int[]){ 20, 0 });
	demo_kill(&demos[1], SIGTERM);
	lbctl_start(&scaling, "scale", "web", "2", NULL);
	run_expect_events(&run, 3, "start", NULL);
	demo_start(&demos[1], 1, "--listen", ":8080", "--join", NULL);
	job_wait(&scaling, &output);
	assert_int_equal(output.status, 0);
	assert_true(is_worker(1, "up"));
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	clients_expect(&clients, 2, (const unsigned int[]){ 10, 10 });
	for (int i = 0; i < 2; i++)
		demo_kill(&demos[i], SIGTERM);
	run_stop(&run);
}

#define join_test(function) cmocka_unit_test_setup_teardown(function, joins_begin, joins_end)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		join_test(test_workers_of_run),
		join_test(test_joining_is_ready),
		join_test(test_workers_from_elsewhere),
		join_test(test_worker_elsewhere_is_scaled_away),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
