// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Steering a server in another network namespace, from outside of it. */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/netns.h"
#include "harness/pins.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <stdio.h>
#include <string.h>

#define OTHER "other"

static struct clients clients;
static struct demo outside[2], inside[4];

/* The same port here and there: only the other one is to be steered. */
static void start_both(void)
{
	int back;

	demo_start_many(outside, 2, ":8080");
	netns_add(OTHER);
	back = netns_join(OTHER);
	demo_start_many(inside, 4, ":8080");
	netns_leave(back);
}

static void expect_steered_inside(void)
{
	static const unsigned int want[] = { 25, 25, 25, 25 };
	struct counters before;
	int back;

	counters_read("web", &before);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	counters_expect("web", &before, .cursor = 0);

	back = netns_join(OTHER);
	clients_run(&clients, (struct client_plan){ .connections = 100, .at_once = 10 });
	netns_leave(back);
	clients_expect(&clients, 4, want);
	counters_expect("web", &before, .cursor = 100, .selected = { 25, 25, 25, 25 });
}

/* 1. attach by name or pid  2. exact inside, untouched outside  3. refresh, detach from outside */
static void steer_other(const char *netns)
{
	static struct show show;

	lbctl_ok("attach", "--policy", "rr", "--name", "web", "--netns", netns, ":8080", NULL);
	expect_steered_inside();
	show_read("web", &show);
	assert_int_equal(show.nr_workers, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(show.worker[i].pid, inside[i].pid);
	lbctl_ok("attach", "--name", "web", "--netns", netns, ":8080", NULL);
	expect_steered_inside();
	lbctl_ok("detach", "web", NULL);
	assert_true(pins_are_gone());
	wait_until(pinned_objects_are_freed(), 5000);
	netns_delete(OTHER);
}

static void test_by_name(void **state)
{
	(void)state;
	start_both();
	steer_other(OTHER);
}

static void test_by_pid(void **state)
{
	char pid[16];

	(void)state;
	start_both();
	snprintf(pid, sizeof(pid), "%d", inside[3].pid);
	steer_other(pid);
}

/* Neither a name nor a process: exit 3 or 2, nothing pinned. */
static void test_no_such_namespace(void **state)
{
	_cleanup_output_ struct output output;

	(void)state;
	lbctl_run(&output, "attach", "--netns", "nowhere", ":8080", NULL);
	assert_int_not_equal(output.status, 0);
	assert_non_null(strstr(output.err, "nowhere"));
	assert_true(pins_are_gone());
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_by_name),
		harness_test(test_by_pid),
		harness_test(test_no_such_namespace),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
