// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Connections that wait for an idle worker: who gets them and when, that they are the same as any
 * other, and that none is lost whatever happens to the keeper, its holder and the workers.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/events.h"
#include "harness/holding.h"
#include "harness/kernel.h"
#include "harness/load.h"
#include "harness/maps.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/show.h"
#include "harness/world.h"

#include <bpf/bpf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lb_hold.h"

#define WORKERS 4
#define URL "http://127.0.0.1:8080/"

static struct run run;
static struct clients clients;

/* `workers` that take so long for each request and do nothing else meanwhile. */
static void start(const char *workers, const char *sleep_us, const char *setting)
{
	needs(hold);
	run_start(&run, "web", "-n", workers, "--policy", "least-conn", "--", run_demo(), "-n", "1",
		  "--listen", "127.0.0.1:8080", "--sleep-us", sleep_us, NULL);
	run_expect_up(&run, strtoul(workers, NULL, 10));
	stalls_forgive();
	if (setting)
		lbctl_ok("set", "web", setting, NULL);
}

/* The keeper's child that has the waiting listeners; 0 = there is none. */
static pid_t holder_pid(void)
{
	return processes_child_named(run.pid, "lbctl-hold");
}

/* Once there is one. Returns which; a signal to 0 is one to the test itself, and who runs it. */
static pid_t signal_holder(int number)
{
	pid_t pid = 0;

	wait_until((pid = holder_pid()) > 0, RUN_MS);
	assert_int_equal(kill(pid, number), 0);
	return pid;
}

/* Open connections of these slots, as the programs count. */
static int64_t live_in(uint32_t first, uint32_t end)
{
	struct lb_stats *stats = map_mmap("web", "lb_stats", LB_ALL_SLOTS * sizeof(*stats));
	int64_t sum = 0;

	for (uint32_t slot = first; slot < end; slot++)
		sum += stats[slot].live;
	munmap(stats, LB_ALL_SLOTS * sizeof(*stats));
	return sum;
}

static void expect_settled(uint64_t decisions)
{
	struct counters now;

	wait_until(nothing_is_held(), RUN_MS);
	counters_read("web", &now);
	assert_int_equal(counters_selected(&now), decisions);
	wait_until(live_in(0, LB_ALL_SLOTS) == 0, RUN_MS);
}

static void stop_all(const pid_t *pids, int n)
{
	for (int i = 0; i < n; i++) {
		kill(pids[i], SIGSTOP);
		wait_until(process_state(pids[i]) == 'T', RUN_MS);
	}
}

/*
 * 1. two workers that are stopped; six clients at once are held
 * 2. they go on: each gets the next one when it is idle, so they have three each
 * 3. the counters say so, and nothing is left
 */
static void test_each_gets_the_next(void **state)
{
	struct counters after;
	pid_t pids[2];

	(void)state;
	start("2", "100000", "hold_ms=60000");
	wait_until(is_holding(), RUN_MS);
	run_pids(&run, pids, 2);
	stop_all(pids, 2);
	clients_begin(&clients, (struct client_plan){ .connections = 6, .at_once = 6 });
	wait_until((counters_read("web", &after), after.held == 6), RUN_MS);
	for (int i = 0; i < 2; i++)
		kill(pids[i], SIGCONT);
	clients_finish(&clients);
	clients_expect(&clients, 2, (unsigned int[]){ 3, 3 });
	counters_read("web", &after);
	assert_int_equal(after.waited[0], 3);
	assert_int_equal(after.waited[1], 3);
	assert_int_equal(after.held_late, 0);
	assert_int_equal(after.migrated_in[0] + after.migrated_in[1], 0);
	expect_settled(6);
	run_stop(&run);
}

/* More than there are places: the last ones wait behind one another, and each gets its worker. */
static void test_more_than_places(void **state)
{
	struct counters after;
	pid_t pids[2];

	(void)state;
	start("2", "1000", "hold_ms=60000");
	wait_until(is_holding(), RUN_MS);
	run_pids(&run, pids, 2);
	stop_all(pids, 2);
	clients_begin(&clients, (struct client_plan){ .connections = 120, .at_once = 120 });
	wait_until((counters_read("web", &after), after.held == 120), RUN_MS);
	assert_int_equal(after.held_behind, 120 - (LB_WAITING_SLOTS - 1));
	for (int i = 0; i < 2; i++)
		kill(pids[i], SIGCONT);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 120);
	counters_read("web", &after);
	assert_int_equal(after.held_late, 0);
	expect_settled(120);
	run_stop(&run);
}

/* After hold_ms it goes to a worker all the same. */
static void test_not_for_ever(void **state)
{
	struct counters after;
	pid_t pids[2];

	(void)state;
	start("2", "1000", "hold_ms=100");
	wait_until(is_holding(), RUN_MS);
	run_pids(&run, pids, 2);
	stop_all(pids, 2);
	clients_begin(&clients, (struct client_plan){ .connections = 3, .at_once = 3 });
	wait_until((counters_read("web", &after), after.held_late == after.held && after.held),
		   RUN_MS);
	for (int i = 0; i < 2; i++)
		kill(pids[i], SIGCONT);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 3);
	expect_settled(3);
	run_stop(&run);
}

static size_t sockets_in_scan(void)
{
	json_t *scan = lbctl_json("scan", "--json", NULL);
	size_t n = json_integer_value(json_object_get(json_array_get(scan, 0), "sockets"));

	assert_int_equal(json_array_size(scan), 1);
	json_decref(scan);
	return n;
}

/* Dear work: it begins by itself, is told once, and who looks sees the workers' sockets alone. */
static void test_begins_where_it_pays(void **state)
{
	struct counters after;
	struct show show;

	(void)state;
	start("4", "20000", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 60, .at_once = 12 });
	wait_until(run_events(&run, "holding", NULL) > 0, RUN_MS);
	do {
		clients_run(&clients, (struct client_plan){ .connections = 60, .at_once = 12 });
		counters_read("web", &after);
	} while (!after.held);
	show_read("web", &show);
	assert_int_equal(show.unregistered, 0);
	assert_int_equal(show.nr_workers, 4);
	assert_int_equal(sockets_in_scan(), 4);
	lbctl_ok("set", "web", "hold_ms=0", NULL);
	wait_until(!is_holding(), RUN_MS);
	run_stop(&run);
}

/* Who waits belongs to nobody, and half of them give up: the counts are exact in the end. */
static void test_clients_that_give_up(void **state)
{
	struct counters before;

	(void)state;
	start("4", "2000", "hold_ms=10000");
	wait_until(is_holding(), RUN_MS);
	counters_read("web", &before);
	for (unsigned int i = 0; i < scaled_load(20); i++) {
		clients_begin(&clients, (struct client_plan){ .connections = 60, .at_once = 60 });
		clients_collect(&clients, 30);
		clients_abandon(&clients);
	}
	wait_until(nothing_is_held(), RUN_MS);
	wait_until(live_in(0, LB_ALL_SLOTS) == 0, RUN_MS);
	clients_run(&clients, (struct client_plan){ .connections = 40, .at_once = 40 });
	run_stop(&run);
}

/*
 * 1. connections that were held are open when the next keeper counts all there are
 * 2. it finds nothing to correct: they count for their workers until they end
 */
static void test_next_keeper_counts(void **state)
{
	pid_t pids[2];

	(void)state;
	start("2", "2500000", "hold_ms=60000");
	wait_until(is_holding(), RUN_MS);
	run_pids(&run, pids, 2);
	stop_all(pids, 2);
	clients_begin(&clients, (struct client_plan){
					.connections = 4, .at_once = 4, .deadline_ms = RUN_MS });
	wait_until(__builtin_popcountll(holding_now().occupied) == 4, RUN_MS);
	run_kill(&run);
	wait_until(live_in(0, LB_MAX_SLOTS) == 4, RUN_MS);
	run_start_again(&run);
	run_expect_keeper(&run);
	/* it counts a second after its start */
	sleep(2);
	assert_int_equal(live_in(0, LB_MAX_SLOTS), 4);
	for (int i = 0; i < 2; i++)
		kill(pids[i], SIGCONT);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 4);
	wait_until(!live_in(0, LB_ALL_SLOTS), RUN_MS);
	run_stop(&run);
}

/* limit=N is a limit at which connections wait; at the same moment two CPUs may give one more. */
static void test_limit_admits(void **state)
{
	struct counters after;
	struct wrk wrk;
	struct job job;

	(void)state;
	start("2", "0", "hold_ms=20000");
	lbctl_ok("set", "web", "limit=1", NULL);
	wait_until(is_holding(), RUN_MS);
	wrk_start(&job, URL "slow?ms=20", "12", 2);
	while (job_is_running(&job)) {
		assert_in_range(live_in(0, LB_MAX_SLOTS), 0, 4);
		usleep(1000);
	}
	wrk_wait(&job, &wrk);
	run_expect_no_failure(&run, &wrk);
	counters_read("web", &after);
	assert_true(after.held > 0);
	/* two CPUs at the same moment; on a slow machine nobody answers in time now and then */
	if (!after.unanswered)
		assert_true(after.all_limited * 10 < after.held);
	run_stop(&run);
}

/*
 * Under load, with connections waiting:
 * 1. the keeper is killed, and comes back
 * 2. the holder is killed
 * 3. the holder is stopped: nobody is put into its places after 20 ms, and it is ended
 * 4. the keeper is stopped for a while: the holder goes on
 * 5. reload, scale, another policy and back
 * 6. not one request failed
 */
static void test_nothing_is_lost(void **state)
{
	struct wrk wrk;
	struct job job;

	(void)state;
	start("4", "4000", "hold_ms=1000");
	wait_until(is_holding(), RUN_MS);
	wrk_start(&job, URL, "16", WRK_UNTIL_STOPPED);
	for (unsigned int i = 0; i < load_asked("LB_TEST_KEEPER_KILLS", 3); i++) {
		usleep(150000 + i % 7 * 10000);
		run_kill(&run);
		run_start_again(&run);
		run_expect_keeper(&run);
		wait_until(is_holding(), RUN_MS);
		/* once it has counted the connections */
		if (!i)
			sleep(2);
	}
	for (unsigned int i = 0; i < load_asked("LB_TEST_HOLDER_STOPS", 2); i++) {
		sleep(2); /* else it is begun later each time */
		signal_holder(SIGKILL);
		wait_until(!is_holding(), RUN_MS);
		wait_until(is_holding(), RUN_MS);
	}
	for (unsigned int i = 0; i < load_asked("LB_TEST_HOLDER_STOPS", 2); i++) {
		pid_t holder;

		sleep(2);
		holder = signal_holder(SIGSTOP);
		wait_until(!process_lives(holder), RUN_MS);
		wait_until(is_holding(), RUN_MS);
	}
	for (unsigned int i = 0; i < load_asked("LB_TEST_HOLDER_STOPS", 2); i++) {
		kill(run.pid, SIGSTOP);
		usleep(load_asked("LB_TEST_STOP_MS", 200) * 1000);
		kill(run.pid, SIGCONT);
		usleep(50000);
	}
	lbctl_ok("reload", "web", NULL);
	lbctl_ok("scale", "web", "6", NULL);
	lbctl_ok("scale", "web", "4", NULL);
	lbctl_ok("set-policy", "web", "rr", NULL);
	wait_until(!is_holding(), RUN_MS);
	lbctl_ok("set-policy", "web", "least-latency", NULL);
	wait_until(is_holding(), RUN_MS);
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	print_message("%lu requests, longest %lu us\n", wrk.requests, wrk.longest_us);
	run_expect_no_failure(&run, &wrk);
	/* each keeper has counted anew meanwhile */
	wait_until(nothing_is_held() && !live_in(0, LB_ALL_SLOTS), RUN_MS);
	run_stop(&run);
}

/*
 * 1. the only worker is stopped, five connections are held; it is killed
 * 2. the next one has them all
 */
static void test_last_worker_dies(void **state)
{
	pid_t pid;

	(void)state;
	start("1", "1000", "hold_ms=60000");
	wait_until(is_holding(), RUN_MS);
	run_pids(&run, &pid, 1);
	stop_all(&pid, 1);
	clients_begin(&clients, (struct client_plan){ .connections = 5, .at_once = 5 });
	wait_until(__builtin_popcountll(holding_now().occupied) == 5, RUN_MS);
	kill(pid, SIGKILL);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 5);
	run_stop(&run);
}

/* All are drained by hand: the kernel's hash goes to them, and to no waiting listener for long. */
static void test_all_drained(void **state)
{
	(void)state;
	start("2", "1000", "hold_ms=20000");
	wait_until(is_holding(), RUN_MS);
	lbctl_ok("drain", "web", "0", NULL);
	lbctl_ok("drain", "web", "1", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 40, .at_once = 4 });
	assert_true(clients.longest_ns < 5000000000ULL);
	run_stop(&run);
}

/* Empties the memory of handshakes, over and over, until it is killed. */
static pid_t forget_handshakes(void)
{
	static uint32_t keys[LB_RECENT_ENTRIES];
	static uint64_t nothing[LB_RECENT_ENTRIES];
	int fd = map_open("web", "lb_recent");
	pid_t child;

	for (uint32_t i = 0; i < LB_RECENT_ENTRIES; i++)
		keys[i] = i;
	child = fork();
	while (!child) {
		uint32_t count = LB_RECENT_ENTRIES;

		bpf_map_update_batch(fd, keys, nothing, &count, NULL);
	}
	close(fd);
	assert_true(child > 0);
	return child;
}

/*
 * With SYN cookies the end of a handshake may find nothing that says who was chosen. The kernel's
 * hash is over waiting listeners, too: it must be a worker all the same, for these wait for nobody.
 */
static void test_forgotten_choice(void **state)
{
	struct counters after = { 0 };
	pid_t forgetting;

	(void)state;
	kernel_set("net/ipv4/tcp_syncookies", "2");
	start("2", "0", "hold_ms=20000");
	wait_until(is_holding(), RUN_MS);
	forgetting = forget_handshakes();
	for (int i = 0; i < 2000 && after.ack_stray < 3; i++) {
		clients_run(&clients, (struct client_plan){ .connections = 100 });
		assert_int_equal(clients.answered, 100);
		counters_read("web", &after);
	}
	kill(forgetting, SIGKILL);
	waitpid(forgetting, NULL, 0);
	counters_read("web", &after);
	assert_true(after.ack_stray > 0);
	assert_true(after.waited[0] + after.waited[1] <= after.held);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_each_gets_the_next),   runs_test(test_more_than_places),
		runs_test(test_not_for_ever),	      runs_test(test_begins_where_it_pays),
		runs_test(test_clients_that_give_up), runs_test(test_limit_admits),
		runs_test(test_nothing_is_lost),      runs_test(test_last_worker_dies),
		runs_test(test_all_drained),	      runs_test(test_next_keeper_counts),
		runs_test(test_forgotten_choice),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
