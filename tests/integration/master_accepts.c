// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Two examples in Node.js, by child_process.fork: a master that accepts for its workers, and the
 * same program with workers that listen themselves; each by itself and under lbctl run. What
 * becomes of them when the master is stopped, and when it is killed. Node.js is no dependency of
 * the tests: where it is, it is tested.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 4
#define EACH 50
#define WAITING 8

static struct run run;
static struct clients clients;

static const char *example(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", harness_build_path("../tools/examples"), name);
	return path;
}

/* --- the programs --- */

/* So many of its workers answer. */
static bool serve(int workers)
{
	clients_begin(&clients, (struct client_plan){ .connections = 10 * WORKERS, .at_once = 1 });
	clients_finish(&clients);
	for (int i = 0; i < WORKERS; i++)
		workers -= clients_of(&clients, i) > 0;
	return workers == 0;
}

/* By itself, without lbctl. Returns its master, of which so many workers answer. */
static pid_t start_alone(const char *name, int workers)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		setenv("PORT", "8080", 1);
		execlp("node", "node", example(name), "4", NULL);
		_exit(127);
	}
	wait_until(serve(workers), RUN_MS);
	return pid;
}

static void prepare(void)
{
	setenv("PORT", "8080", 1);
}

static pid_t master_of_run(void)
{
	return json_integer_value(
		json_object_get(run_event(&run, 0, "start", "{s:b}", "main", 1), "pid"));
}

/* Under lbctl run, for which it is `workers` workers. Returns its master. */
static pid_t start_below(const char *name, unsigned int workers)
{
	needs(bind_setsockopt);
	run_prepare = prepare;
	run_start(&run, "web", "--forks", "--policy", "rr", "--", "node", example(name), "4", NULL);
	run_expect_events(&run, workers, "joined", NULL);
	run_expect_up(&run, workers);
	wait_until(serve(WORKERS), RUN_MS);
	return master_of_run();
}

/* Every connection is answered, in exact turn. */
static void expect_turns(void)
{
	static const unsigned int want[] = { EACH, EACH, EACH, EACH };

	clients_run(&clients, (struct client_plan){ .connections = WORKERS * EACH });
	clients_expect(&clients, WORKERS, want);
}

/* How many connections each worker of the service has had. */
static void expect_selected(size_t workers, unsigned int each)
{
	struct show before, after;

	show_read("web", &before);
	assert_int_equal(before.nr_workers, workers);
	expect_turns();
	show_read("web", &after);
	for (size_t i = 0; i < workers; i++)
		assert_int_equal(after.worker[i].selected - before.worker[i].selected, each);
}

static void stop_master(pid_t master)
{
	assert_int_equal(kill(master, SIGSTOP), 0);
	wait_until(process_state(master) == 'T', RUN_MS);
}

/* Its workers end with it. */
static void kill_alone(pid_t master)
{
	pid_t workers[WORKERS];
	size_t n = processes_children(master, workers, WORKERS);

	assert_in_range(n, 1, WORKERS);
	assert_int_equal(kill(master, SIGKILL), 0);
	assert_int_equal(waitpid(master, NULL, 0), master);
	for (size_t i = 0; i < n; i++)
		wait_until(!process_lives(workers[i]), RUN_MS);
}

/* lbctl starts another master. */
static void kill_below(pid_t master)
{
	assert_int_equal(kill(master, SIGKILL), 0);
	run_expect_events(&run, 1, "exit", "{s:b, s:s, s:b}", "main", 1, "signal", "SIGKILL",
			  "unasked", 1);
	run_expect_events(&run, 2, "start", "{s:b}", "main", 1);
	wait_until(serve(WORKERS), RUN_MS);
	expect_turns();
}

/* --- tests --- */

/*
 * 1. 200 connections: 50 each  2. the master is stopped: whoever comes waits, though four workers
 * are idle  3. it is killed: who waits is refused
 */
static void expect_nothing_without_master(pid_t master, void (*kill_it)(pid_t))
{
	struct clients waiting;

	expect_turns();
	stop_master(master);
	clients_begin(&waiting, (struct client_plan){ .connections = WAITING, .at_once = WAITING });
	clients_collect(&waiting, WAITING);
	kill_it(master);
	clients_finish(&waiting);
	assert_int_equal(waiting.answered, 0);
	assert_int_equal(waiting.failed, WAITING);
}

static void test_a_master_accepts(void **state)
{
	(void)state;
	needs_node();
	expect_nothing_without_master(start_alone("master-accepts.js", WORKERS), kill_alone);
}

/* One socket: lbctl steers all to the master, and starts it again. */
static void test_a_master_accepts_below_run(void **state)
{
	pid_t master;

	(void)state;
	needs_node();
	master = start_below("master-accepts.js", 1);
	expect_selected(1, WORKERS * EACH);
	expect_nothing_without_master(master, kill_below);
	run_stop(&run);
}

/*
 * 1. 200 connections, all answered; steered, 50 each  2. the same while the master is stopped
 * 3. its workers end with it. Where Node.js can't share a port, the first one serves alone.
 */
static void test_workers_listen(void **state)
{
	pid_t master;

	(void)state;
	needs_node();
	if (!node_sets_reuseport()) {
		kill_alone(start_alone("workers-listen.js", 1));
		return;
	}
	master = start_alone("workers-listen.js", WORKERS);
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", NULL);
	expect_selected(WORKERS, EACH);
	stop_master(master);
	expect_selected(WORKERS, EACH);
	kill_alone(master);
	lbctl_ok("detach", "web", NULL);
}

static void test_workers_listen_below_run(void **state)
{
	pid_t master;

	(void)state;
	needs_node();
	master = start_below("workers-listen.js", WORKERS);
	expect_selected(WORKERS, EACH);
	stop_master(master);
	expect_selected(WORKERS, EACH);
	kill_below(master);
	run_expect_events(&run, 2 * WORKERS, "joined", NULL);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_a_master_accepts),
		runs_test(test_a_master_accepts_below_run),
		runs_test(test_workers_listen),
		runs_test(test_workers_listen_below_run),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
