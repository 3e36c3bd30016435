// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * latency=on: what the kernel measures of each worker is what its clients measure, of servers that
 * know nothing of it; nothing is missed and nothing is counted twice; off, nothing is attached.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/events.h"
#include "harness/holding.h"
#include "harness/maps.h"
#include "harness/measured.h"
#include "harness/pins.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/timed.h"
#include "harness/world.h"

#include <bpf/bpf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lb_latency.h"
#include "service/latency.h"

#define WORKERS MEASURED_WORKERS
#define HOOKS 6
#define MS 1000000ULL

static struct run run;
static struct clients clients;

/* Half of them within 5 %, and 99 % in the same bucket or the next one. */
static void expect_same_times(const struct lb_latency *latency, const struct timed *timed,
			      int worker)
{
	const uint64_t *least_ns = timed->least_ns[worker], *most_ns = timed->most_ns[worker];
	uint64_t p99_ns = latency_quantile(&latency->first_byte, 0.99);
	size_t n = timed->answers[worker];
	uint32_t bucket = lb_latency_bucket(p99_ns);

	assert_int_equal(latency_count(&latency->first_byte), n);
	assert_int_equal(latency_count(&latency->wait), timed->connections[worker]);
	measured_expect_near("p50", worker, latency_quantile(&latency->first_byte, 0.5),
			     timed_quantile(least_ns, n, 50), timed_quantile(most_ns, n, 50));
	if (bucket + 1 < lb_latency_bucket(timed_quantile(least_ns, n, 99)) ||
	    bucket > lb_latency_bucket(timed_quantile(most_ns, n, 99)) + 1)
		fail_msg("p99 of worker %d: measured %.3f ms, its clients %.3f to %.3f", worker,
			 p99_ns / 1e6, timed_quantile(least_ns, n, 99) / 1e6,
			 timed_quantile(most_ns, n, 99) / 1e6);
}

/* --- servers --- */

/* Four workers, of which worker 1 takes 50 ms for a request and the others 5 ms. */
static void start_slow_one(void)
{
	run_start(&run, "web", "-n", "4", "--policy", "rr", "--", run_demo(), "-q", "-n", "1",
		  "--listen", "127.0.0.1:8080", "--sleep-us", "5000", "--slow", "1:50000", NULL);
	run_expect_up(&run, WORKERS);
	stalls_forgive();
	lbctl_ok("set", "web", "rescue_ms=0", "latency=on", NULL);
}

/* Is a program pinned there as it is attached, or with "" any? */
static bool is_hooked(const char *service, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), HARNESS_PINS "/%s/latency/%s", service, name);
	return !access(path, F_OK);
}

/* The ids of the programs in lb_latency's links. */
static size_t hooked_programs(const char *service, uint32_t ids[HOOKS])
{
	static const char *const names[] = { "lb_lifetime",   "lb_accepted4", "lb_accepted6",
					     "lb_set_option", "lb_request",   "lb_answer" };
	char path[128];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct bpf_link_info info = { 0 };
		uint32_t len = sizeof(info);
		int link;

		snprintf(path, sizeof(path), HARNESS_PINS "/%s/latency/%s", service, names[i]);
		link = bpf_obj_get(path);
		if (link >= 0 && !bpf_obj_get_info_by_fd(link, &info, &len))
			ids[n++] = info.prog_id;
		if (link >= 0)
			close(link);
	}
	return n;
}

static bool are_unloaded(const uint32_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int fd = bpf_prog_get_fd_by_id(ids[i]);

		if (fd < 0)
			continue;
		close(fd);
		return false;
	}
	return true;
}

/* --- the same as the clients' --- */

static void measure_slow_one(struct timed_plan plan)
{
	static struct lb_latency sums[WORKERS];
	static struct timed timed;

	memset(&timed, 0, sizeof(timed));
	start_slow_one();
	timed_run(&timed, plan);
	measured_expect("web", plan.connections, plan.connections * plan.requests);
	measured_read("web", sums);
	for (int i = 0; i < WORKERS; i++) {
		expect_same_times(&sums[i], &timed, i);
		assert_int_equal(latency_count(&sums[i].held), 0);
		assert_int_equal(sums[i].bounded, 0);
		assert_int_equal(sums[i].closed, timed.connections[i]);
		assert_true(sums[i].bytes_in > 0 && sums[i].bytes_out > sums[i].bytes_in);
	}
	assert_true(latency_quantile(&sums[1].first_byte, 0.5) >= 50 * MS);
	assert_in_range(latency_quantile(&sums[0].first_byte, 0.5), 5 * MS, 50 * MS);
	run_stop(&run);
}

static void test_connection_per_request(void **state)
{
	(void)state;
	needs_latency();
	needs_own_pace();
	measure_slow_one((struct timed_plan){ .connections = 160, .at_once = 4, .requests = 1 });
}

static void test_kept_connections(void **state)
{
	(void)state;
	needs_latency();
	needs_own_pace();
	measure_slow_one((struct timed_plan){ .connections = 8, .at_once = 8, .requests = 25 });
}

/* --- held --- */

/* Each that was held is known as that, at the worker that it came to, and for how long. */
static void test_held(void **state)
{
	static struct lb_latency sums[WORKERS];
	struct counters counters;
	uint64_t held = 0;

	(void)state;
	needs_latency();
	needs(hold);
	run_start(&run, "web", "-n", "2", "--policy", "least-conn", "--", run_demo(), "-q", "-n",
		  "1", "--listen", "127.0.0.1:8080", "--sleep-us", "20000", NULL);
	run_expect_up(&run, 2);
	stalls_forgive();
	lbctl_ok("set", "web", "hold_ms=2000", "latency=on", NULL);
	wait_until(is_holding(), RUN_MS);
	clients_run(&clients, (struct client_plan){ .connections = 60, .at_once = 8 });
	measured_expect("web", 60, 60);
	counters_read("web", &counters);
	measured_read("web", sums);
	for (uint32_t slot = 0; slot < 2; slot++) {
		struct lb_latency *of = &sums[measured_worker("web", slot)];

		assert_int_equal(latency_count(&of->held), counters.waited[slot]);
		assert_int_equal(latency_count(&of->first_byte), counters.selected[slot]);
		held += counters.waited[slot];
	}
	assert_true(held > 10);
	assert_true(latency_quantile(&sums[0].held, 0.5) > 5 * MS);
	/* what is left of the wait is the worker's, and it was idle */
	assert_true(latency_quantile(&sums[0].wait, 0.5) < 5 * MS);
	run_stop(&run);
}

/* --- on and off --- */

/* On is what has hooks, and off has none; each time from zero; both may be said twice. */
static void test_on_and_off(void **state)
{
	uint32_t ids[HOOKS];
	json_t *view;

	(void)state;
	needs_latency();
	run_start_shared(&run, WORKERS);
	assert_false(is_hooked("web", ""));
	for (int i = 0; i < 2; i++) {
		lbctl_ok("set", "web", "latency=on", NULL);
		assert_int_equal(hooked_programs("web", ids), HOOKS);
		clients_run(&clients, (struct client_plan){ .connections = 8 });
		measured_expect("web", 8, 8);
		lbctl_ok("set", "web", "latency=on", NULL);
		assert_int_equal(MEASURED("web", first_byte), 8);
		lbctl_ok("set", "web", "latency=off", NULL);
		assert_int_equal(hooked_programs("web", (uint32_t[HOOKS]){ 0 }), 0);
		wait_until(are_unloaded(ids, HOOKS), RUN_MS);
		assert_int_equal(access(HARNESS_PINS "/web/lb_latency", F_OK), -1);
		lbctl_ok("set", "web", "latency=off", NULL);
		view = lbctl_json("show", "web", "--json", NULL);
		assert_null(json_object_get(json_array_get(json_object_get(view, "workers"), 0),
					    "latency"));
		json_decref(view);
	}
	lbctl_expect(2, "neither on nor off", "set", "web", "latency=maybe", NULL);
	run_expect_events(&run, 8, "set", "{s:s}", "key", "latency");
	run_stop(&run);
}

#define ONE_IN 4
#define MANY 400

static void expect_one_in(uint64_t want)
{
	json_t *view = lbctl_json("show", "web", "--json", NULL);

	assert_int_equal(json_integer_value(json_object_get(view, "latency_one_in")), want);
	json_decref(view);
}

/*
 * 1. one connection in four is measured, within six standard deviations of chance, and whole
 * 2. that is shown; another number begins from zero
 */
static void test_one_in(void **state)
{
	uint64_t measured;

	(void)state;
	needs_latency();
	run_start_shared(&run, WORKERS);
	expect_one_in(0);
	lbctl_ok("set", "web", "latency=1/4", NULL);
	expect_one_in(ONE_IN);
	lbctl_expect(0, "latency 1/4", "show", "web", NULL);
	clients_run(&clients, (struct client_plan){ .connections = MANY, .at_once = 4 });
	wait_until(MEASURED("web", lifetime) == MEASURED("web", first_byte), RUN_MS);
	measured = MEASURED("web", wait);
	assert_in_range(measured, MANY / ONE_IN - 52, MANY / ONE_IN + 52);
	assert_int_equal(MEASURED("web", first_byte), measured);
	lbctl_ok("set", "web", "latency=1/1", NULL);
	expect_one_in(1);
	clients_run(&clients, (struct client_plan){ .connections = 8 });
	measured_expect("web", 8, 8);
	lbctl_expect(2, "nor 1/N", "set", "web", "latency=1/0", NULL);
	lbctl_expect(2, "nor 1/N", "set", "web", "latency=1/1001", NULL);
	lbctl_expect(2, "nor 1/N", "set", "web", "latency=1/x", NULL);
	expect_one_in(1);
	run_stop(&run);
}

/*
 * Connections from before it was switched on are left out, whatever they do then: also those that
 * were measured when it was on the last time.
 */
static void test_connections_from_before(void **state)
{
	static const char *const before[] = { "latency=off", "latency=on" };

	(void)state;
	needs_latency();
	start_slow_one();
	for (size_t i = 0; i < ARRAY_SIZE(before); i++) {
		lbctl_ok("set", "web", before[i], NULL);
		/* each waits for its answer when it is switched on */
		clients_begin(&clients, (struct client_plan){ .connections = 8, .at_once = 8 });
		lbctl_ok("set", "web", "latency=off", NULL);
		lbctl_ok("set", "web", "latency=on", NULL);
		clients_finish(&clients);
		assert_int_equal(clients.answered, 8);
		measured_expect("web", 0, 0);
	}
	clients_run(&clients, (struct client_plan){ .connections = 4 });
	measured_expect("web", 4, 4);
	run_stop(&run);
}

/* --- whatever happens to the service --- */

static void expect_counts_on(uint64_t *so_far)
{
	clients_run(&clients, (struct client_plan){ .connections = 40, .at_once = 4 });
	*so_far += 40;
	measured_expect("web", *so_far, *so_far);
}

/*
 * 1. a reload and a scale: the new processes are measured, and what was stays
 * 2. the keeper is killed: it goes on without; with the next one, too
 */
static void test_survives(void **state)
{
	uint64_t so_far = 0;

	(void)state;
	needs_latency();
	run_start_shared(&run, 2);
	lbctl_ok("set", "web", "latency=on", NULL);
	expect_counts_on(&so_far);
	lbctl_ok("reload", "web", NULL);
	expect_counts_on(&so_far);
	lbctl_ok("scale", "web", "4", NULL);
	expect_counts_on(&so_far);
	run_kill(&run);
	expect_counts_on(&so_far);
	run_start_again(&run);
	run_expect_keeper(&run);
	expect_counts_on(&so_far);
	lbctl_ok("reload", "web", NULL);
	expect_counts_on(&so_far);
	run_stop(&run);
}

/* Two servers in one cgroup: each is measured alone, and off for one is not off for the other. */
static void test_two_services(void **state)
{
	struct demo web[2], api[2];

	(void)state;
	needs_latency();
	demo_start_many(web, 2, "127.0.0.1:8080");
	demo_start_many(api, 2, "127.0.0.1:8081");
	lbctl_ok("attach", "--name", "web", "127.0.0.1:8080", NULL);
	lbctl_ok("attach", "--name", "api", "127.0.0.1:8081", NULL);
	lbctl_ok("set", "--all", "latency=on", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	clients_run(&clients, (struct client_plan){ .connections = 30, .port = 8081 });
	measured_expect("web", 20, 20);
	measured_expect("api", 30, 30);
	lbctl_ok("set", "api", "latency=off", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	clients_run(&clients, (struct client_plan){ .connections = 20, .port = 8081 });
	measured_expect("web", 40, 40);
	lbctl_ok("detach", "api", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	measured_expect("web", 60, 60);
	lbctl_ok("detach", "web", NULL);
	assert_true(pins_are_gone());
	wait_until(pinned_objects_are_freed(), RUN_MS);
	for (int i = 0; i < 2; i++) {
		demo_kill(&web[i], SIGTERM);
		demo_kill(&api[i], SIGTERM);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_connection_per_request),
		runs_test(test_kept_connections),
		runs_test(test_held),
		runs_test(test_on_and_off),
		runs_test(test_one_in),
		runs_test(test_connections_from_before),
		runs_test(test_survives),
		runs_test(test_two_services),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
