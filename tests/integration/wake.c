// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The steering program wakes who asked for it: once, at the next decision, and never unasked. */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/datagrams.h"
#include "harness/load.h"
#include "harness/maps.h"
#include "harness/processes.h"
#include "harness/servers.h"
#include "harness/world.h"

#include <bpf/libbpf.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "service/wake.h"
#include "service/wake_listeners.h"

#define RING_ENTRIES 256 /* that the ring has room for */

static struct demo demos[WORKERS];
static struct clients clients;
static struct state state;
static struct wake *wake;

static void begin(const char *service)
{
	assert_int_equal(state_open(&state, service, STATE_READ), 0);
	assert_int_equal(wake_open(&state, &wake), 0);
}

static int end(void **unused)
{
	wake_close(wake);
	wake = NULL;
	if (state.config)
		state_close(&state);
	return harness_reset(unused);
}

static void start_web(const char *policy)
{
	for (int i = 0; i < WORKERS; i++)
		demo_start(&demos[i], i, "--listen", ":8080", "--listen", "[::]:8080", NULL);
	lbctl_ok("attach", "--name", "web", "--policy", policy, ":8080", NULL);
	stalls_forgive();
	begin("web");
}

static bool is_awake(int ms)
{
	struct pollfd fd = { .fd = wake_fd(wake), .events = POLLIN };

	return poll(&fd, 1, scaled_ms(ms)) == 1;
}

static void connect_often(const char *to, unsigned int n)
{
	clients_run(&clients, (struct client_plan){ .to = to, .connections = n });
}

/* Decisions make just so many entries. */
static void expect_entries(int want)
{
	if (want)
		assert_true(is_awake(1000));
	else
		assert_false(is_awake(0));
	assert_int_equal(wake_drain(wake, NULL), want);
	assert_false(is_awake(0));
}

/*
 * 1. unasked: nothing  2. asked: the first connection makes an entry, the others none
 * 3. asked twice, one entry; of either family: the listeners share it
 */
static void test_once_per_request(void **unused)
{
	static const char *const policies[] = { "rr",	      "random",	    "hash",
						"least-conn", "least-load", "least-latency" };

	(void)unused;
	start_web("rr");
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		if (!probe_features()->track && i >= 3)
			break;
		lbctl_ok("set-policy", "web", policies[i], NULL);
		connect_often(NULL, 20);
		expect_entries(0);
		wake_arm(wake);
		expect_entries(0);
		connect_often(NULL, 1);
		expect_entries(1);
		connect_often(NULL, 20);
		connect_often("::1", 20);
		expect_entries(0);
		wake_arm(wake);
		wake_arm(wake);
		connect_often("::1", 20);
		expect_entries(1);
		connect_often(NULL, 20);
		expect_entries(0);
	}
}

/* Under policy kernel nothing is decided. */
static void test_no_decision(void **unused)
{
	uint64_t before;

	(void)unused;
	start_web("kernel");
	before = wake_decisions(wake);
	wake_arm(wake);
	connect_often(NULL, 20);
	expect_entries(0);
	assert_int_equal(wake_decisions(wake), before);
	lbctl_ok("set-policy", "web", "rr", NULL);
	connect_often(NULL, 20);
	expect_entries(1);
	assert_int_equal(wake_decisions(wake) - before, 20);
}

static int keep_entry(void *arg, void *entry, size_t bytes)
{
	assert_int_equal(bytes, sizeof(struct lb_wake));
	memcpy(arg, entry, bytes);
	return 0;
}

/* Nobody reads: connections go on when the ring is full, and who comes then is woken. */
static void test_nobody_reads(void **unused)
{
	struct lb_wake entry = { 0 };
	struct ring_buffer *ring;

	(void)unused;
	start_web("rr");
	for (int i = 0; i < RING_ENTRIES + 40; i++) {
		wake_arm(wake);
		connect_often(NULL, 1);
	}
	wake_close(wake);
	assert_int_equal(wake_open(&state, &wake), 0);
	expect_entries(0);
	wake_arm(wake);
	ring = ring_buffer__new(state.maps[MAP_WAKE], keep_entry, &entry, NULL);
	assert_non_null(ring);
	connect_often(NULL, 1);
	assert_int_equal(ring_buffer__consume(ring), 1);
	ring_buffer__free(ring);
	assert_int_equal(entry.kind, LB_WAKE_ACTIVITY);
	/* rr goes on where it was */
	assert_int_equal(entry.slot, (RING_ENTRIES + 40) % WORKERS);
}

/* A waiting connection that moves is a decision. */
static void test_migration(void **unused)
{
	(void)unused;
	needs(migrate);
	start_web("rr");
	kill(demos[3].pid, SIGSTOP);
	clients_begin(&clients, (struct client_plan){ .connections = 4, .at_once = 4 });
	clients_collect(&clients, 1);
	wake_arm(wake);
	expect_entries(0);
	demo_kill(&demos[3], SIGKILL);
	wake_listeners(&state, WAKE_LOOKS);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 4);
	expect_entries(1);
}

/*
 * 1. a connection migrates unasked: nothing  2. asked for a migration: none by a connection that is
 * decided, one by two that migrate  3. asked for both: one of each kind
 */
static void test_told_of_a_migration(void **unused)
{
	const unsigned int activity = 1U << LB_WAKE_ACTIVITY, migration = 1U << LB_WAKE_MIGRATION;
	static const unsigned int waiting[] = { 1, 2, 3 };
	unsigned int kinds;

	(void)unused;
	needs(migrate);
	start_web("rr");
	for (unsigned int i = 0; i < ARRAY_SIZE(waiting); i++) {
		unsigned int alive = WORKERS - i;
		struct demo *stopped = &demos[alive - 1];

		if (i)
			wake_arm_migration(&state);
		kill(stopped->pid, SIGSTOP);
		clients_begin(&clients, (struct client_plan){ .connections = alive * waiting[i],
							      .at_once = alive * waiting[i] });
		clients_collect(&clients, waiting[i]);
		expect_entries(0);
		if (i == 2)
			wake_arm(wake);
		demo_kill(stopped, SIGKILL);
		wake_listeners(&state, WAKE_LOOKS);
		clients_finish(&clients);
		assert_int_equal(clients.answered, alive * waiting[i]);
		assert_int_equal(wake_drain(wake, &kinds), i);
		assert_int_equal(kinds, i == 0 ? 0 : i == 1 ? migration : activity | migration);
	}
}

/* Whenever it is armed under load, an entry comes; and no decision is in neither. */
static void test_under_load(void **unused)
{
	const unsigned int rounds = scaled_load(300);
	struct wrk wrk;
	struct job load;
	int taken, sum = 0;

	(void)unused;
	start_web("rr");
	wrk_start(&load, "http://127.0.0.1:8080/", "8", WRK_UNTIL_STOPPED);
	for (unsigned int i = 0; i < rounds; i++) {
		wake_arm(wake);
		assert_true(is_awake(1000));
		taken = wake_drain(wake, NULL);
		assert_true(taken > 0);
		sum += taken;
	}
	/* all CPUs may have decided at the same moment */
	assert_in_range(sum, rounds, rounds * get_nprocs());
	wrk_stop(&load);
	wrk_wait(&load, &wrk);
	wrk_expect_no_failure(&wrk);
}

static void test_datagrams(void **unused)
{
	uint64_t before;

	(void)unused;
	udp_start(DUAL, "rr");
	stalls_forgive();
	begin("dns");
	for (int six = 0; six < 2; six++) {
		before = wake_decisions(wake);
		assert_true(udp_ask(six) >= 0);
		expect_entries(0);
		wake_arm(wake);
		for (int i = 0; i < 5; i++)
			assert_true(udp_ask(six) >= 0);
		expect_entries(1);
		assert_int_equal(wake_decisions(wake) - before, 6);
	}
	/* a flow's later datagrams, too */
	lbctl_ok("set", "dns", "flow_ms=60000", NULL);
	wake_arm(wake);
	assert_true(udp_ask(false) >= 0);
	expect_entries(1);
}

#define wake_test(function) cmocka_unit_test_teardown(function, end)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		wake_test(test_once_per_request),    wake_test(test_no_decision),
		wake_test(test_nobody_reads),	     wake_test(test_migration),
		wake_test(test_under_load),	     wake_test(test_datagrams),
		wake_test(test_told_of_a_migration),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
