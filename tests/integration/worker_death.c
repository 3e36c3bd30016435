// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Workers that die or do not accept: what waits is served by the others. */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/kernel.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <signal.h>

#define WORKERS 4

static struct demo demos[WORKERS];
static struct clients clients;
static struct show show;

/* Workers 0 .. 2 as they should be, worker 3 accepts nothing. */
static void start_with_a_stuck_worker(const char *backlog)
{
	demo_start_many(demos, WORKERS - 1, ":8080");
	demo_start(&demos[3], 3, "--listen", ":8080", "--no-accept", "--backlog", backlog, NULL);
	lbctl_ok("attach", "--policy", "rr", "--name", "web", ":8080", NULL);
}

static void start_accepting(void)
{
	for (int i = 0; i < WORKERS; i++)
		kill(demos[i].pid, SIGUSR1);
}

/*
 * 1. 40 connections: 30 are answered, 10 wait in worker 3's queue
 * 2. kill -9 of worker 3: its 10 are answered by the others
 * 3. the next 30 go to the three that live; show says down
 * 4. a new worker takes the dead one's number
 */
static void test_killed_with_connections_waiting(void **state)
{
	static const unsigned int third[] = { 10, 10, 10, 0 }, quarter[] = { 10, 10, 10, 10 };
	struct counters before;

	(void)state;
	needs(migrate);
	start_with_a_stuck_worker("511");
	counters_read("web", &before);
	clients_begin(&clients, (struct client_plan){ .connections = 40, .at_once = 40 });
	clients_collect(&clients, 10);
	counters_expect("web", &before, .cursor = 40, .selected = { 10, 10, 10, 10 });
	counters_read("web", &before);
	demo_kill(&demos[3], SIGKILL);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 40);
	assert_int_equal(clients_of(&clients, 3), 0);
	show_read("web", &show);
	assert_string_equal(show.worker[3].state, "down");
	assert_int_equal(show.worker[3].migrated_out, 10);
	assert_int_equal(show.migrated, 10);
	assert_int_equal(show.fallback, 0);

	clients_run(&clients, (struct client_plan){ .connections = 30 });
	clients_expect(&clients, WORKERS, third);
	lbctl_ok("attach", "--policy", "rr", "--name", "web", ":8080", NULL);
	show_read("web", &show);
	assert_string_equal(show.worker[3].state, "down");
	demo_start(&demos[3], 3, "--listen", ":8080", NULL);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	show_read("web", &show);
	assert_int_equal(show.nr_workers, WORKERS);
	assert_int_equal(show.worker[3].pid, demos[3].pid);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	clients_expect(&clients, WORKERS, quarter);
}

/* The same counted to the last: one dead slot of four, every fourth draw is drawn again. */
static void test_counters_of_a_death(void **state)
{
	struct counters before;

	(void)state;
	needs(migrate);
	start_with_a_stuck_worker("511");
	clients_begin(&clients, (struct client_plan){ .connections = 4, .at_once = 4 });
	clients_collect(&clients, 1);
	counters_read("web", &before);
	demo_kill(&demos[3], SIGKILL);
	clients_finish(&clients);
	counters_expect("web", &before, .cursor = 1, .migrated_in = { 1 },
			.migrated_out = { 0, 0, 0, 1 });
	counters_read("web", &before);
	clients_run(&clients, (struct client_plan){ .connections = 30 });
	counters_expect("web", &before, .cursor = 40, .redraws = 10, .selected = { 10, 10, 10 },
			.skipped = { 0, 0, 0, 10 });
}

/* A graceful end: the worker takes its queue itself, then leaves; nothing fails. */
static void test_terminated(void **state)
{
	static const unsigned int want[] = { 0, 20, 20, 20 };

	(void)state;
	demo_start_many(demos, WORKERS, ":8080");
	lbctl_ok("attach", "--policy", "rr", "--name", "web", ":8080", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 40, .at_once = 8 });
	demo_kill(&demos[0], SIGTERM);
	clients_run(&clients, (struct client_plan){ .connections = 60 });
	clients_expect(&clients, WORKERS, want);
	show_read("web", &show);
	assert_string_equal(show.worker[0].state, "down");
	assert_int_equal(show.fallback, 0);
}

/*
 * 1. worker 3's queue takes 4 connections, then is full
 * 2. 1,000 connections: nothing overflows, the other 996 are answered
 * 3. worker 3 dies: its 4 are answered as well
 */
static void test_full_queue_is_passed_by(void **state)
{
	uint64_t overflows = kernel_counter("TcpExtListenOverflows");
	uint64_t drops = kernel_counter("TcpExtListenDrops");
	struct counters before, after;

	(void)state;
	start_with_a_stuck_worker("3");
	counters_read("web", &before);
	clients_begin(&clients, (struct client_plan){ .connections = 1000, .at_once = 20 });
	clients_collect(&clients, 4);
	assert_int_equal(clients.answered, 996);
	assert_int_equal(kernel_counter("TcpExtListenOverflows"), overflows);
	assert_int_equal(kernel_counter("TcpExtListenDrops"), drops);
	counters_read("web", &after);
	assert_int_equal(counters_selected(&after) - counters_selected(&before), 1000);
	assert_int_equal(after.selected[3], 4);
	assert_true(after.skipped[3] > 300);
	assert_int_equal(after.overloaded, 0);
	show_read("web", &show);
	assert_int_equal(show.worker[3].queued, 4);
	needs(migrate);
	demo_kill(&demos[3], SIGKILL);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 1000);
}

/*
 * 1. nobody accepts; 2 connections fit into each of 4 queues
 * 2. the ninth is decided all the same, counted as overloaded, and the kernel drops its SYN
 * 3. workers accept: all nine are answered, the ninth by its client's next try
 */
static void test_all_queues_full(void **state)
{
	struct counters before, after;

	(void)state;
	for (int i = 0; i < WORKERS; i++)
		demo_start(&demos[i], i, "--listen", ":8080", "--no-accept", "--backlog", "1",
			   NULL);
	lbctl_ok("attach", "--policy", "rr", "--name", "web", ":8080", NULL);
	counters_read("web", &before);
	clients_begin(&clients, (struct client_plan){ .connections = 8, .at_once = 8 });
	counters_expect("web", &before, .cursor = 8, .selected = { 2, 2, 2, 2 });
	clients_abandon(&clients);
	clients_begin(&clients, (struct client_plan){ .connections = 1, .deadline_ms = 200 });
	counters_read("web", &after);
	assert_in_range(after.overloaded, 1, 2);
	assert_int_equal(after.fallback_none, 0);
	assert_int_equal(counters_selected(&after), 8 + after.overloaded);
	start_accepting();
	clients.plan.deadline_ms = 10000;
	clients_finish(&clients);
	assert_int_equal(clients.answered, 1);
}

/* All workers gone and back: new sockets are a new group, which attach takes over. */
static void test_all_gone_and_back(void **state)
{
	static const unsigned int want[] = { 10, 10, 10, 10 };

	(void)state;
	demo_start_many(demos, WORKERS, ":8080");
	lbctl_ok("attach", "--policy", "rr", "--name", "web", ":8080", NULL);
	for (int i = 0; i < WORKERS; i++)
		demo_kill(&demos[i], SIGKILL);
	show_read("web", &show);
	for (int i = 0; i < WORKERS; i++)
		assert_string_equal(show.worker[i].state, "down");
	demo_start_many(demos, WORKERS, ":8080");
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	clients_expect(&clients, WORKERS, want);
	show_read("web", &show);
	assert_int_equal(show.nr_workers, WORKERS);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_killed_with_connections_waiting),
		harness_test(test_counters_of_a_death),
		harness_test(test_terminated),
		harness_test(test_full_queue_is_passed_by),
		harness_test(test_all_queues_full),
		harness_test(test_all_gone_and_back),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
