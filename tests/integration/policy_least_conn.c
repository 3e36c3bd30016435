// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* least-conn, which picks by the kernel's own counters of connections. */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/obey.h"
#include "harness/show.h"
#include "harness/world.h"

#include <signal.h>

static uint64_t selected_sum(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < WORKERS; i++)
		sum += stats[i].selected;
	return sum;
}

static void expect_even(void)
{
	uint64_t least = stats[0].selected, most = least;

	for (int i = 1; i < WORKERS; i++) {
		least = stats[i].selected < least ? stats[i].selected : least;
		most = stats[i].selected > most ? stats[i].selected : most;
	}
	assert_in_range(most - least, 0, 2);
}

/* 100 at the same time on idle workers differ by 2 at most; and so do 100 more, ten times. */
static void test_burst_spreads(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	workers_start(pids);
	attach("least-conn");
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 100; i++)
			open_fds[nr_open++] = client_socket("127.0.0.1");
		for (size_t i = nr_open - 100; i < nr_open; i++)
			client_wait(open_fds[i]);
		expect_even();
	}
	close_all();
}

/* Without a word it is least-conn, and what was set since is kept. */
static void test_is_the_default(void **state)
{
	struct show show;
	pid_t pids[WORKERS];

	(void)state;
	workers_start(pids);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	show_read("web", &show);
	assert_string_equal(show.policy, "least-conn");
	lbctl_ok("set-policy", "web", "rr", NULL);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	show_read("web", &show);
	assert_string_equal(show.policy, "rr");
}

/* The same from four processes at once. */
static void test_burst_from_many_sides(void **state)
{
	pid_t pids[WORKERS], clients[4];
	uint64_t before;

	(void)state;
	workers_start(pids);
	attach("least-conn");
	for (int round = 0; round < 10; round++) {
		before = selected_sum();
		for (int i = 0; i < 4; i++) {
			clients[i] = fork();
			for (int j = 0; !clients[i] && j < 25; j++)
				client_socket("127.0.0.1");
			if (!clients[i])
				pause();
		}
		wait_until(selected_sum() == before + 100, QUIET_MS);
		expect_even();
		for (int i = 0; i < 4; i++)
			worker_kill(clients[i]);
	}
}

/*
 * 1. worker 0 hangs; one connection at a time, ended by its server: worker 0 keeps what it gets, so
 *    it gets one, and others only when they tie
 * 2. worker 0 goes on: it ends its own and takes its share again
 */
static void test_slow_worker_gets_less(void **state)
{
	pid_t pids[WORKERS];
	uint64_t before;

	(void)state;
	workers_start(pids);
	attach("least-conn");
	kill(pids[0], SIGSTOP);
	for (int i = 0; i < 200; i++) {
		open_one("127.0.0.1");
		tell(open_fds[nr_open - 1], CLOSE);
		wait_until(stats[1].live + stats[2].live + stats[3].live == 0, QUIET_MS);
	}
	assert_in_range(stats[0].selected, 1, 2);
	kill(pids[0], SIGCONT);
	wait_until(live_sum() == 0, QUIET_MS);
	close_all();
	before = stats[0].selected;
	open_many(40);
	assert_int_equal(stats[0].selected - before, 10);
	close_all();
}

/*
 * A dead worker has no connections, and a hung one with a short queue has few: neither is taken
 * for the least busy, even while nobody has told lbctl.
 * 1. worker 3 dies: one connection finds out, and all are spread over the others
 * 2. worker 0 hangs, its queue takes two: the third finds out
 * 3. worker 0 goes on and is as good as the others
 */
static void test_dead_and_full_workers(void **state)
{
	struct counters before, after;
	pid_t pids[WORKERS];

	(void)state;
	workers_start(pids);
	attach("least-conn");
	worker_kill(pids[3]);
	counters_read("web", &before);
	open_many(30);
	wait_until(live_sum() == 30, QUIET_MS);
	expect_live(10, 10, 10, 0);
	/* its redraws are at random, and may name the dead one again */
	counters_read("web", &after);
	assert_int_equal(after.cursor - before.cursor, 30);
	assert_in_range(after.skipped[3] - before.skipped[3], 1, LB_DRAWS);
	assert_int_equal(after.redraws - before.redraws, after.skipped[3] - before.skipped[3]);
	wait_until(slot_is_right(0), QUIET_MS);
	kill(pids[0], SIGUSR2);
	wait_until(shortest_queue() == 1, QUIET_MS);
	kill(pids[0], SIGSTOP);
	open_many(40);
	wait_until(live_sum() == 70, QUIET_MS);
	expect_live(12, 29, 29, 0);
	kill(pids[0], SIGCONT);
	for (int i = 0; i < 17; i++) {
		wait_until(slot_is_right(0), QUIET_MS);
		open_one("127.0.0.1");
	}
	wait_until(live_sum() == 87, QUIET_MS);
	expect_live(29, 29, 29, 0);
}

/* A weight of 3 counts as three times the room. */
static void test_weight(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	workers_start(pids);
	attach("least-conn");
	lbctl_ok("set-weight", "web", "0", "3", NULL);
	open_many(60);
	wait_until(live_sum() == 60, QUIET_MS);
	expect_live(30, 10, 10, 10);
	close_all();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		obey_test(test_is_the_default),	       obey_test(test_burst_spreads),
		obey_test(test_burst_from_many_sides), obey_test(test_slow_worker_gets_less),
		obey_test(test_dead_and_full_workers), obey_test(test_weight),
	};

	(void)argc;
	return obey_run(argv[0], tests);
}
