// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Changing a service while it runs: policies, weights, drain and resume, live settings. */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/maps.h"
#include "harness/pins.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <signal.h>
#include <sys/mman.h>

#define WORKERS 4

static struct demo demos[WORKERS];
static struct clients clients;
static struct show show;

static void start_service(void)
{
	demo_start_many(demos, WORKERS, ":8080");
	lbctl_ok("attach", "--policy", "rr", "--name", "web", ":8080", NULL);
}

static void expect_counts(unsigned int connections, const unsigned int *want)
{
	clients_run(&clients, (struct client_plan){ .connections = connections });
	clients_expect(&clients, WORKERS, want);
}

/* 3:1:1:1 interleaves: 300/100/100/100, never more than two in a row to one worker. */
static void test_weights(void **state)
{
	static const unsigned int want[] = { 300, 100, 100, 100 };
	unsigned int in_a_row = 1, most = 1;
	struct counters before;

	(void)state;
	start_service();
	lbctl_ok("set-weight", "web", "0", "3", NULL);
	counters_read("web", &before);
	expect_counts(600, want);
	counters_expect("web", &before, .cursor = 600, .selected = { 300, 100, 100, 100 });
	for (int i = 1; i < 600; i++) {
		in_a_row = clients.worker[i] == clients.worker[i - 1] ? in_a_row + 1 : 1;
		if (in_a_row > most)
			most = in_a_row;
	}
	assert_in_range(most, 1, 2);
	show_read("web", &show);
	assert_int_equal(show.worker[0].weight, 3);
	assert_int_equal(show.worker[1].weight, 1);
}

/* 1. all at 2 is as all at 1  2. the extremes  3. back to exact */
static void test_weights_of_all(void **state)
{
	static const unsigned int equal[] = { 25, 25, 25, 25 }, extreme[] = { 256, 1, 1, 1 };

	(void)state;
	start_service();
	lbctl_ok("set-weight", "web", "all", "2", NULL);
	expect_counts(100, equal);
	lbctl_ok("set-weight", "web", "all", "1", NULL);
	lbctl_ok("set-weight", "web", "0", "256", NULL);
	expect_counts(259, extreme);
	lbctl_ok("set-weight", "web", "0", "1", NULL);
	expect_counts(100, equal);
}

/* 1. kernel: all counted as the kernel's  2. random: roughly even  3. back to rr: exact */
static void test_set_policy_live(void **state)
{
	static const unsigned int equal[] = { 100, 100, 100, 100 };
	struct counters before, after;

	(void)state;
	start_service();
	counters_read("web", &before);
	lbctl_ok("set-policy", "web", "kernel", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 400 });
	counters_expect("web", &before, .kernel_policy = 400);

	lbctl_ok("set-policy", "random", NULL);
	counters_read("web", &before);
	clients_run(&clients, (struct client_plan){ .connections = 400 });
	counters_read("web", &after);
	assert_int_equal(counters_selected(&after) - counters_selected(&before), 400);
	for (int i = 0; i < WORKERS; i++) {
		/* six standard deviations around 100 */
		assert_in_range(after.selected[i] - before.selected[i], 48, 152);
		assert_int_equal(after.selected[i] - before.selected[i], clients_of(&clients, i));
	}
	assert_int_equal(after.cursor, before.cursor);

	lbctl_ok("set-policy", "web", "rr", NULL);
	expect_counts(400, equal);
	show_read("web", &show);
	assert_string_equal(show.policy, "rr");
	assert_int_equal(show.decisions, 1200);
	assert_int_equal(show.fallback, 0);
}

/* After drain has returned a worker gets no SYN, whatever the policy; after resume its share. */
static void test_drain_and_resume(void **state)
{
	static const char *const policies[] = { "rr", "random", "least-load", "kernel" };
	static const unsigned int without_1[] = { 40, 0, 40, 40 }, equal[] = { 30, 30, 30, 30 };
	struct counters before, after;

	(void)state;
	start_service();
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		lbctl_ok("set-policy", "web", policies[i], NULL);
		lbctl_ok("drain", "web", "1", NULL);
		counters_read("web", &before);
		clients_run(&clients, (struct client_plan){ .connections = 120, .at_once = 20 });
		assert_int_equal(clients_of(&clients, 1), 0);
		counters_read("web", &after);
		assert_int_equal(after.selected[1], before.selected[1]);
		assert_int_equal(counters_selected(&after) - counters_selected(&before) +
					 after.kernel_policy - before.kernel_policy,
				 120);
		show_read("web", &show);
		assert_string_equal(show.worker[1].state, "draining");
		assert_int_equal(show.fallback, 0);
		lbctl_ok("resume", "web", "1", NULL);
	}
	lbctl_ok("set-policy", "web", "rr", NULL);
	expect_counts(120, equal);
	lbctl_ok("drain", "web", "1", NULL);
	counters_read("web", &before);
	expect_counts(120, without_1);
	counters_expect("web", &before, .cursor = 120, .selected = { 40, 0, 40, 40 });
}

/* A refresh forgets neither drain nor weight. */
static void test_attach_keeps_settings(void **state)
{
	static const unsigned int want[] = { 50, 0, 25, 25 };

	(void)state;
	start_service();
	lbctl_ok("drain", "web", "1", NULL);
	lbctl_ok("set-weight", "web", "0", "2", NULL);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	expect_counts(100, want);
}

/* All drained: connections are served by the kernel's hash, and counted as that. */
static void test_all_drained(void **state)
{
	static const unsigned int equal[] = { 10, 10, 10, 10 };
	struct counters before;

	(void)state;
	start_service();
	lbctl_ok("drain", "web", "all", NULL);
	counters_read("web", &before);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	counters_expect("web", &before, .fallback_empty = 40);
	show_read("web", &show);
	assert_int_equal(show.fallback, 40);
	assert_int_equal(show.decisions, 40);
	lbctl_ok("resume", "web", "all", NULL);
	expect_counts(40, equal);
}

/*
 * 1. a connection is open on worker 0; drain --wait does not return before its end
 * 2. it ends: drain returns 0
 */
static void test_drain_waits(void **state)
{
	struct output output;
	struct job drain;

	(void)state;
	demo_start(&demos[0], 0, "--listen", ":8080", "--no-accept", NULL);
	demo_start(&demos[1], 1, "--listen", ":8080", NULL);
	lbctl_ok("attach", "--policy", "rr", "--name", "web", ":8080", NULL);
	clients_begin(&clients, (struct client_plan){ .connections = 1 });
	lbctl_run(&output, "drain", "web", "0", "--wait", "1", NULL);
	assert_int_equal(output.status, 1);
	output_free(&output);
	lbctl_start(&drain, "drain", "web", "0", "--wait", "10", NULL);
	kill(demos[0].pid, SIGUSR1);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 1);
	assert_int_equal(clients.worker[0], 0);
	job_wait(&drain, &output);
	assert_int_equal(output.status, 0);
	output_free(&output);
}

/* 1. --dry-run changes nothing  2. values that were set are kept and shown by --json */
static void test_dry_run_and_set(void **state)
{
	static const unsigned int equal[] = { 10, 10, 10, 10 };
	static const uint64_t second_ns = 1000000000;
	struct lb_config *config;

	(void)state;
	demo_start_many(demos, WORKERS, ":8080");
	lbctl_ok("attach", "--dry-run", "--name", "web", ":8080", NULL);
	assert_true(pins_are_gone());
	lbctl_ok("attach", "--policy", "rr", "--name", "web", ":8080", NULL);
	lbctl_ok("set-policy", "--dry-run", "web", "kernel", NULL);
	lbctl_ok("drain", "--dry-run", "web", "1", NULL);
	lbctl_ok("set-weight", "--dry-run", "web", "1", "9", NULL);
	lbctl_ok("detach", "--dry-run", "web", NULL);
	expect_counts(40, equal);
	config = map_mmap("web", "lb_config", sizeof(*config));
	assert_int_equal(config->stale_ns, second_ns);
	lbctl_ok("set", "--dry-run", "web", "stale_ms=7", NULL);
	assert_int_equal(config->stale_ns, second_ns);
	lbctl_ok("set", "web", "stale_ms=2000", NULL);
	assert_int_equal(config->stale_ns, 2 * second_ns);
	munmap(config, sizeof(*config));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_weights),
		harness_test(test_weights_of_all),
		harness_test(test_set_policy_live),
		harness_test(test_drain_and_resume),
		harness_test(test_attach_keeps_settings),
		harness_test(test_all_drained),
		harness_test(test_drain_waits),
		harness_test(test_dry_run_and_set),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
