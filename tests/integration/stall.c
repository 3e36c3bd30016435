// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Workers that stop accepting get nothing until they accept again, under every policy. */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/maps.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lb_policies.h"

#define WORKERS 4
#define STALL_MS 200 /* of a machine that has other things to do, too */

static struct demo demos[WORKERS];
static struct clients clients, more;
static struct show show;

static void start(const char *policy)
{
	demo_start_many(demos, WORKERS, ":8080");
	lbctl_ok("attach", "--name", "web", "--policy", policy, ":8080", NULL);
	lbctl_ok("set", "web", "stall_ms=200", NULL);
}

static void nap_ms(int ms)
{
	uint64_t end = now_ns() + ms * 1000000ULL;

	while (now_ns() < end)
		harness_nap();
}

/* From ten addresses, for hash. Returns how many of them worker 3 answered. */
static unsigned int run_more(unsigned int connections)
{
	unsigned int of_worker_3 = 0;
	char from[24];

	for (int i = 0; i < 10; i++) {
		snprintf(from, sizeof(from), "127.0.1.%d", i + 1);
		clients_run(&more,
			    (struct client_plan){ .from = from, .connections = connections / 10 });
		of_worker_3 += clients_of(&more, 3);
	}
	return of_worker_3;
}

/* A stopped worker 3 with one connection in its queue, which a decision has seen. */
static void stop_worker_3(void)
{
	kill(demos[3].pid, SIGSTOP);
	clients_begin(&clients, (struct client_plan){ .connections = 12, .at_once = 12 });
	clients_collect(&clients, 3);
	nap_ms(STALL_MS + 50);
}

/*
 * 1. worker 3 is stopped with 3 connections in its queue
 * 2. after stall_ms it gets nothing, exactly; show says so
 * 3. it goes on: what waited is answered, and it takes part again, exactly
 */
static void test_rr(void **state)
{
	static const unsigned int third[] = { 20, 20, 20, 0 }, quarter[] = { 20, 20, 20, 20 };
	char *text;
	struct counters before;
	struct output output;

	(void)state;
	start("rr");
	stop_worker_3();
	counters_read("web", &before);
	clients_run(&more, (struct client_plan){ .connections = 60 });
	clients_expect(&more, WORKERS, third);
	counters_expect("web", &before, .cursor = 79, .redraws = 19, .selected = { 20, 20, 20 },
			.skipped = { 0, 0, 0, 19 });
	show_read("web", &show);
	assert_string_equal(show.worker[3].state, "stalled");
	assert_string_equal(show.worker[2].state, "up");
	assert_int_equal(show.worker[3].queued, 3);
	lbctl_run(&output, "show", "web", NULL);
	text = strstr(output.out, "not accepting for ");
	assert_non_null(text);
	assert_true(atof(text + strlen("not accepting for ")) >= STALL_MS / 1000.0);
	output_free(&output);

	kill(demos[3].pid, SIGCONT);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 12);
	show_read("web", &show);
	assert_string_equal(show.worker[3].state, "up");
	clients_run(&more, (struct client_plan){ .connections = 80 });
	clients_expect(&more, WORKERS, quarter);
}

/*
 * The policies that do not count exactly here. least-conn would avoid worker 3 anyway, but for the
 * connections that wait there.
 */
static void expect_passed_by(const char *policy)
{
	start("rr");
	stop_worker_3();
	lbctl_ok("set-policy", "web", policy, NULL);
	if (run_more(100))
		fail_msg("policy %s: worker 3 got connections while it did not accept", policy);
	kill(demos[3].pid, SIGCONT);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 12);
	wait_until(run_more(20) > 0, 5000);
	harness_reset(NULL);
}

static void test_each_policy(void **state)
{
	(void)state;
#define X(number, id, name, summary)                                                               \
	if (strcmp(name, "kernel"))                                                                \
		expect_passed_by(name);
	LB_POLICIES(X)
#undef X
}

/* A worker that accepts slowly, here for two seconds, is never stalled: its queue moves. */
static void test_slow_is_not_stalled(void **state)
{
	struct counters before, after;

	(void)state;
	demo_start(&demos[0], 0, "--listen", ":8080", NULL);
	demo_start(&demos[1], 1, "--listen", ":8080", "--sleep-us", "60000", NULL);
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", NULL);
	lbctl_ok("set", "web", "stall_ms=1000", NULL);
	counters_read("web", &before);
	clients_run(&clients, (struct client_plan){ .connections = 60, .at_once = 10 });
	counters_read("web", &after);
	assert_int_equal(after.skipped[1] - before.skipped[1], 0);
	assert_int_equal(clients_of(&clients, 1), 30);
}

/*
 * 1. all are stopped, each with connections in its queue
 * 2. all are eligible: twelve more go to all of them in turn, counted
 * 3. they go on: all are answered
 */
static void test_all_stalled(void **state)
{
	struct counters before, after;

	(void)state;
	start("rr");
	for (int i = 0; i < WORKERS; i++)
		kill(demos[i].pid, SIGSTOP);
	clients_begin(&clients, (struct client_plan){ .connections = 12, .at_once = 12 });
	nap_ms(STALL_MS + 50);
	counters_read("web", &before);
	clients_begin(&more, (struct client_plan){ .connections = 12, .at_once = 12 });
	counters_read("web", &after);
	assert_int_equal(after.all_stalled - before.all_stalled, 12);
	assert_int_equal(after.fallback_none - before.fallback_none, 0);
	assert_int_equal(after.overloaded - before.overloaded, 0);
	for (int i = 0; i < WORKERS; i++)
		assert_in_range(after.selected[i] - before.selected[i], 2, 4);
	for (int i = 0; i < WORKERS; i++)
		kill(demos[i].pid, SIGCONT);
	clients_finish(&clients);
	clients_finish(&more);
	assert_int_equal(clients.answered + more.answered, 24);
	assert_int_equal(run_more(40), 10);
}

/* stall_ms=0: a worker that does not accept gets its share all the same. */
static void test_off(void **state)
{
	struct counters before, after;

	(void)state;
	start("rr");
	lbctl_ok("set", "web", "stall_ms=0", NULL);
	stop_worker_3();
	counters_read("web", &before);
	clients_abandon(&clients);
	clients_begin(&clients, (struct client_plan){ .connections = 40, .at_once = 40 });
	clients_collect(&clients, 10);
	counters_read("web", &after);
	assert_int_equal(after.selected[3] - before.selected[3], 10);
	show_read("web", &show);
	assert_string_equal(show.worker[3].state, "up");
	kill(demos[3].pid, SIGCONT);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 40);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_rr),
		harness_test(test_each_policy),
		harness_test(test_slow_is_not_stalled),
		harness_test(test_all_stalled),
		harness_test(test_off),
	};

	(void)argc;
	stalls_count = true;
	return harness_run(argv[0], tests);
}
