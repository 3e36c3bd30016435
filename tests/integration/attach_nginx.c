// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * nginx keeps its listening sockets while worker processes change: steering goes on without lbctl,
 * and a second attach names the new pids.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <signal.h>

static struct clients clients;
static struct show show;

static void expect_exact_answers(void)
{
	struct counters before;

	counters_read("web", &before);
	clients_run(&clients, (struct client_plan){ .connections = 200, .at_once = 10 });
	counters_expect("web", &before, .cursor = 200, .selected = { 50, 50, 50, 50 });
}

/* Exact, and by the processes that show names, in its order. */
static void expect_exact_and_right_pids(void)
{
	struct counters before;

	expect_exact_answers();
	show_read("web", &show);
	assert_int_equal(show.nr_workers, NGINX_WORKERS);
	assert_int_equal(show.fallback, 0);
	assert_int_equal(show.unregistered, 0);
	for (int i = 0; i < NGINX_WORKERS; i++) {
		assert_string_equal(show.worker[i].state, "up");
		assert_int_equal(clients_of(&clients, show.worker[i].pid), 50);
	}
	counters_read("web", &before);
	clients_run(&clients, (struct client_plan){ .connections = 4 });
	for (int i = 0; i < NGINX_WORKERS; i++)
		assert_int_equal(clients.worker[i], show.worker[i].pid);
	counters_expect("web", &before, .cursor = 4, .selected = { 1, 1, 1, 1 });
}

/*
 * 1. attach; nginx -s reload: four new pids on the same four sockets
 * 2. exact without any help; attach again: the new pids
 */
static void test_reload(void **state)
{
	struct nginx nginx;

	(void)state;
	nginx_start(&nginx, "listen 8080 reuseport;", "127.0.0.1", 8080);
	lbctl_ok("attach", "--policy", "rr", "--name", "web", ":8080", NULL);
	expect_exact_and_right_pids();
	for (int i = 0; i < 3; i++) {
		nginx_reload(&nginx);
		expect_exact_answers();
		lbctl_ok("attach", "--name", "web", ":8080", NULL);
		expect_exact_and_right_pids();
	}
	nginx_stop(&nginx);
}

static bool is_replaced(const struct nginx *nginx, pid_t killed)
{
	pid_t pids[NGINX_WORKERS];

	if (nginx_workers(nginx, pids, NGINX_WORKERS) != NGINX_WORKERS)
		return false;
	for (int i = 0; i < NGINX_WORKERS; i++) {
		if (pids[i] == killed)
			return false;
	}
	return true;
}

/*
 * 1. attach; kill -9 of one worker; the master starts another on the same socket
 * 2. exact; attach again: the new pid, with the old worker's number
 */
static void test_worker_killed(void **state)
{
	struct nginx nginx;
	pid_t killed;

	(void)state;
	nginx_start(&nginx, "listen 8080 reuseport;", "127.0.0.1", 8080);
	lbctl_ok("attach", "--policy", "rr", "--name", "web", ":8080", NULL);
	show_read("web", &show);
	for (int i = 0; i < NGINX_WORKERS; i++) {
		killed = show.worker[i].pid;
		kill(killed, SIGKILL);
		wait_until(is_replaced(&nginx, killed), 10000);
		expect_exact_answers();
		lbctl_ok("attach", "--name", "web", ":8080", NULL);
		expect_exact_and_right_pids();
		assert_int_not_equal(show.worker[i].pid, killed);
	}
	nginx_stop(&nginx);
}

/*
 * 1. attach; nginx stops and starts again: new sockets, no program on them
 * 2. attach takes the new group; workers keep their numbers, counters go on
 */
static void test_restart(void **state)
{
	struct nginx nginx;

	(void)state;
	nginx_start(&nginx, "listen 8080 reuseport;", "127.0.0.1", 8080);
	lbctl_ok("attach", "--policy", "rr", "--name", "web", ":8080", NULL);
	expect_exact_answers();
	nginx_stop(&nginx);
	nginx_start(&nginx, "listen 8080 reuseport;", "127.0.0.1", 8080);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	expect_exact_and_right_pids();
	assert_int_equal(show.decisions, 400);
	nginx_stop(&nginx);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_reload),
		harness_test(test_worker_killed),
		harness_test(test_restart),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
