// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Taking over a running nginx: exact round-robin over its four workers, on every kind of listener,
 * held against nginx's own log and the kernel's counters; refresh; bpftool; giving it back.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/kernel.h"
#include "harness/load.h"
#include "harness/pins.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <stdlib.h>
#include <string.h>

static struct clients clients;
static struct show show;

/* 200 requests by siege; all counted where they should be, and nowhere else. */
static void expect_exact_siege(struct nginx *nginx, const char *url)
{
	uint64_t passive_opens = kernel_counter("TcpPassiveOpens");
	unsigned int counts[NGINX_WORKERS];
	pid_t pids[NGINX_WORKERS];
	struct counters before;
	struct siege siege;

	counters_read("web", &before);
	nginx_log_mark(nginx);
	siege_run(&siege, url, "100", "2");
	assert_int_equal(siege.transactions, 200);
	assert_float_equal(siege.availability, 100, 0);
	counters_expect("web", &before, .cursor = 200, .selected = { 50, 50, 50, 50 });
	/* two CPUs with a connection's first two segments make it twice, and one of them goes */
	assert_in_range(kernel_counter("TcpPassiveOpens") - passive_opens, 200, 204);

	nginx_workers(nginx, pids, NGINX_WORKERS);
	wait_until(nginx_log_counts(nginx, pids, counts, NGINX_WORKERS) == 200, 5000);
	for (int i = 0; i < NGINX_WORKERS; i++)
		assert_int_equal(counts[i], 50);
}

/*
 * 1. nginx listens as the row says; attach
 * 2. siege by each URL: 50/50/50/50 each time
 * 3. show agrees, sums up, and names the pids that nginx has
 */
static void expect_exact(const char *listens, const char *attach, size_t nr_listeners,
			 const char *const urls[])
{
	unsigned int rounds = 0;
	struct nginx nginx;

	nginx_start(&nginx, listens, strstr(urls[0], "[::1]") ? "::1" : "127.0.0.1", 8080);
	lbctl_ok("attach", "--policy", "rr", "--name", "web", attach, NULL);
	for (; urls[rounds]; rounds++)
		expect_exact_siege(&nginx, urls[rounds]);
	show_read("web", &show);
	assert_int_equal(show.nr_listeners, nr_listeners);
	assert_int_equal(show.nr_workers, NGINX_WORKERS);
	assert_int_equal(show.decisions, 200 * rounds);
	assert_int_equal(show.fallback, 0);
	for (int i = 0; i < NGINX_WORKERS; i++) {
		assert_int_equal(show.worker[i].selected, 50 * rounds);
		assert_string_equal(show.worker[i].state, "up");
	}
	nginx_stop(&nginx);
}

static void test_ipv4(void **state)
{
	static const char *const urls[] = { "http://127.0.0.1:8080/", NULL };

	(void)state;
	expect_exact("listen 8080 reuseport;", "8080", 1, urls);
}

static void test_ipv6(void **state)
{
	static const char *const urls[] = { "http://[::1]:8080/", NULL };

	(void)state;
	expect_exact("listen [::1]:8080 reuseport;", "[::1]:8080", 1, urls);
}

static void test_dual_stack_listener(void **state)
{
	static const char *const urls[] = { "http://127.0.0.1:8080/", "http://[::1]:8080/", NULL };

	(void)state;
	expect_exact("listen [::]:8080 ipv6only=off reuseport;", ":8080", 1, urls);
}

/* Both groups share workers, table and counter; a worker is the process that polls both. */
static void test_two_listeners_in_one_service(void **state)
{
	static const char *const urls[] = { "http://127.0.0.1:8080/", "http://[::1]:8080/", NULL };

	(void)state;
	expect_exact("listen 8080 reuseport; listen [::]:8080 ipv6only=on reuseport;", ":8080", 2,
		     urls);
}

/*
 * 1. attach without a name makes tcp-8080
 * 2. workers answer in their order; show's pids are the ones that answer
 */
static void test_order_and_pids(void **state)
{
	struct nginx nginx;

	(void)state;
	nginx_start(&nginx, "listen 8080 reuseport;", "127.0.0.1", 8080);
	lbctl_ok("attach", "--policy", "rr", ":8080", NULL);
	show_read("tcp-8080", &show);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	for (int i = 0; i < 40; i++)
		assert_int_equal(clients.worker[i], show.worker[i % NGINX_WORKERS].pid);
	nginx_stop(&nginx);
}

/*
 * 1. attach, 101 connections: the cursor stands in the middle of the table
 * 2. attach again, by name and by address
 * 3. pins, counters and policy are what they were; the order goes on where it was
 */
static void test_second_attach_changes_nothing(void **state)
{
	char *pins_before, *pins_after;
	struct counters before;
	struct nginx nginx;

	(void)state;
	nginx_start(&nginx, "listen 8080 reuseport;", "127.0.0.1", 8080);
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 101 });
	pins_before = pins_list();
	counters_read("web", &before);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	lbctl_ok("attach", "--name", "web", "0.0.0.0:8080", NULL);
	pins_after = pins_list();
	assert_string_equal(pins_after, pins_before);
	counters_expect("web", &before, .cursor = 0);
	show_read("web", &show);
	assert_string_equal(show.policy, "rr");
	clients_run(&clients, (struct client_plan){ .connections = 4 });
	for (int i = 0; i < 4; i++)
		assert_int_equal(clients.worker[i], show.worker[(101 + i) % NGINX_WORKERS].pid);
	free(pins_before);
	free(pins_after);
	nginx_stop(&nginx);
}

static json_int_t bpftool_value(json_t *dump, size_t slot, const char *field)
{
	json_t *value =
		json_object_get(json_object_get(json_array_get(dump, slot), "formatted"), "value");

	assert_true(json_is_integer(json_object_get(value, field)));
	return json_integer_value(json_object_get(value, field));
}

/* bpftool's dump of lb_stats has named fields, with the numbers of lbctl show. */
static void test_bpftool_agrees(void **state)
{
	const char *argv[] = { "bpftool", "-j",	    "map",
			       "dump",	  "pinned", HARNESS_PINS "/web/lb_stats",
			       NULL };
	_cleanup_output_ struct output output;
	struct nginx nginx;
	json_t *dump;

	(void)state;
	nginx_start(&nginx, "listen 8080 reuseport;", "127.0.0.1", 8080);
	lbctl_ok("attach", "--policy", "rr", "--name", "web", ":8080", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 42, .at_once = 7 });
	show_read("web", &show);
	command_run(&output, argv, COMMAND_MS);
	assert_int_equal(output.status, 0);
	dump = json_loads(output.out, 0, NULL);
	assert_non_null(dump);
	for (size_t i = 0; i < NGINX_WORKERS; i++) {
		assert_int_equal(bpftool_value(dump, i, "selected"), i < 2 ? 11 : 10);
		assert_int_equal(bpftool_value(dump, i, "selected"), show.worker[i].selected);
		assert_int_equal(bpftool_value(dump, i, "skipped"), show.worker[i].skipped);
		assert_int_equal(bpftool_value(dump, i, "migrated_in"), show.worker[i].migrated_in);
	}
	json_decref(dump);
	nginx_stop(&nginx);
}

/*
 * 1. attach, detach: no pin; programs and maps are freed while nginx runs on
 * 2. it serves as before lbctl; a second detach answers 3; attach works again, from zero
 */
static void test_detach_leaves_nothing(void **state)
{
	struct output output;
	struct nginx nginx;

	(void)state;
	nginx_start(&nginx, "listen 8080 reuseport;", "127.0.0.1", 8080);
	lbctl_ok("attach", "--policy", "rr", "--name", "web", ":8080", NULL);
	lbctl_ok("detach", "web", NULL);
	assert_true(pins_are_gone());
	wait_until(pinned_objects_are_freed(), 5000);
	clients_run(&clients, (struct client_plan){ .connections = 100, .at_once = 10 });
	lbctl_run(&output, "detach", "web", NULL);
	assert_int_equal(output.status, 3);
	output_free(&output);
	lbctl_ok("attach", "--policy", "rr", "--name", "web", ":8080", NULL);
	show_read("web", &show);
	assert_int_equal(show.decisions, 0);
	expect_exact_siege(&nginx, "http://127.0.0.1:8080/");
	nginx_stop(&nginx);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_ipv4),
		harness_test(test_ipv6),
		harness_test(test_dual_stack_listener),
		harness_test(test_two_listeners_in_one_service),
		harness_test(test_order_and_pids),
		harness_test(test_second_attach_changes_nothing),
		harness_test(test_bpftool_agrees),
		harness_test(test_detach_leaves_nothing),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
