// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * least-latency. What a worker takes for a connection is up to the client here: it tells the worker
 * when to close. So a worker is slow because the test lets it be; the fast ones take a time, too,
 * so that what a busy machine adds to it does not make one slow.
 */
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/maps.h"
#include "harness/obey.h"
#include "harness/world.h"

#include <bpf/bpf.h>
#include <time.h>
#include <unistd.h>

#include "lb_pace.h"

#define SLOW_MS 100
#define FAST_MS 5
#define SLOW_WORKER 2

static void nap_ms(unsigned int ms)
{
	const struct timespec nap = { .tv_nsec = ms * 1000000L };

	nanosleep(&nap, NULL);
}

/* Opens a connection and returns the slot that has it. */
static int open_somewhere(void)
{
	int64_t before[WORKERS], sum = live_sum();
	int slot = 0;

	for (int i = 0; i < WORKERS; i++)
		before[i] = stats[i].live;
	open_one("127.0.0.1");
	wait_until(live_sum() == sum + 1, QUIET_MS);
	while (slot < WORKERS && stats[slot].live == before[slot])
		slot++;
	assert_in_range(slot, 0, WORKERS - 1);
	return slot;
}

/* Lets the newest connection's worker end it. */
static void end_newest(void)
{
	int64_t sum = live_sum();

	tell(open_fds[nr_open - 1], CLOSE);
	wait_until(live_sum() == sum - 1, QUIET_MS);
	forget(nr_open - 1);
}

/* One connection after another, of FAST_MS; those of SLOW_WORKER take slow_ms. */
static void serve(unsigned int connections, unsigned int slow_ms)
{
	for (unsigned int i = 0; i < connections; i++) {
		nap_ms(open_somewhere() == SLOW_WORKER ? slow_ms : FAST_MS);
		end_newest();
	}
}

static struct lb_counters counters_now(void)
{
	int fd = map_open("web", "lb_counters");
	struct lb_counters counters;
	uint32_t zero = 0;

	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &counters), 0);
	close(fd);
	return counters;
}

static bool is_slow(int slot)
{
	return lb_is_slow(lb_slowness(&stats[slot].pace, counters_now().inverse_pace));
}

static void start(const char *policy)
{
	pid_t pids[WORKERS];

	workers_start(pids);
	attach(policy);
}

/*
 * All are idle, so least-conn would give the slow one a quarter.
 * 1. it gets some until it has shown what it is, then no more
 * 2. with the others as good as idle it gets none even when each of them has a few open
 */
static void test_slow_worker_gets_few(void **state)
{
	struct counters before, after;

	(void)state;
	start("least-latency");
	lbctl_ok("set", "web", "stale_ms=3600000", NULL);
	counters_read("web", &before);
	serve(120, SLOW_MS);
	counters_read("web", &after);
	assert_true(is_slow(SLOW_WORKER));
	assert_in_range(after.selected[SLOW_WORKER] - before.selected[SLOW_WORKER], 1, 10);
	assert_int_equal(counters_selected(&after) - counters_selected(&before), 120);
	assert_int_equal(after.cursor - before.cursor, 120);
	assert_int_equal(after.slow_probes, before.slow_probes);
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(after.skipped[i], before.skipped[i]);
	for (int i = 0; i < 9; i++)
		assert_int_not_equal(open_somewhere(), SLOW_WORKER);
}

/* Gives the slow worker connections as probes find it, until it is not slow any more. */
static bool probe_is_fast(void)
{
	nap_ms(25);
	serve(1, FAST_MS);
	return !is_slow(SLOW_WORKER);
}

/*
 * 1. it is slow; after stale_ms it gets one connection, at once, and the next go to others
 * 2. still slow: again only one
 * 3. fast: it takes part as any other
 */
static void test_probe(void **state)
{
	struct counters before, after;

	(void)state;
	start("least-latency");
	lbctl_ok("set", "web", "stale_ms=3600000", NULL);
	serve(60, SLOW_MS);
	assert_true(is_slow(SLOW_WORKER));
	for (int round = 0; round < 2; round++) {
		counters_read("web", &before);
		nap_ms(20);
		lbctl_ok("set", "web", "stale_ms=20", NULL);
		assert_int_equal(open_somewhere(), SLOW_WORKER);
		lbctl_ok("set", "web", "stale_ms=3600000", NULL);
		nap_ms(SLOW_MS);
		end_newest();
		assert_true(is_slow(SLOW_WORKER));
		serve(8, SLOW_MS);
		counters_read("web", &after);
		assert_int_equal(after.slow_probes - before.slow_probes, 1);
		assert_int_equal(after.selected[SLOW_WORKER] - before.selected[SLOW_WORKER], 1);
	}
	lbctl_ok("set", "web", "stale_ms=20", NULL);
	wait_until(probe_is_fast(), QUIET_MS);
	counters_read("web", &before);
	for (int i = 0; i < 40; i++)
		open_somewhere();
	expect_live(10, 10, 10, 10);
	counters_expect("web", &before, .cursor = 40, .selected = { 10, 10, 10, 10 });
}

/* Each connection comes later than stale_ms after the one before: the slow one gets few still. */
static void test_few_come(void **state)
{
	struct counters before, after;

	(void)state;
	start("least-latency");
	lbctl_ok("set", "web", "stale_ms=3600000", NULL);
	serve(60, SLOW_MS);
	assert_true(is_slow(SLOW_WORKER));
	lbctl_ok("set", "web", "stale_ms=1", NULL);
	counters_read("web", &before);
	serve(40, SLOW_MS);
	counters_read("web", &after);
	assert_in_range(after.slow_probes - before.slow_probes, 1, 40 / LB_PROBE_EVERY + 1);
	assert_in_range(after.selected[SLOW_WORKER] - before.selected[SLOW_WORKER], 1,
			40 / LB_PROBE_EVERY + 1);
}

/* Nothing was ever completed, so nobody is slow: least-conn. */
static void test_unknown_is_not_slow(void **state)
{
	struct counters before;

	(void)state;
	start("least-latency");
	counters_read("web", &before);
	open_many(40);
	wait_until(live_sum() == 40, QUIET_MS);
	expect_live(10, 10, 10, 10);
	counters_expect("web", &before, .cursor = 40, .selected = { 10, 10, 10, 10 });
}

static uint64_t shown_pace_us(size_t worker)
{
	json_t *view = lbctl_json("show", "web", "--json", NULL);
	json_t *row = json_array_get(json_object_get(view, "workers"), worker);
	uint64_t us = json_integer_value(json_object_get(row, "pace_us"));

	json_decref(view);
	return us;
}

/*
 * A slow connection is no slow worker: one has a connection open that nothing happens on, while
 * short ones come and go with pauses. Its busy time is theirs. (Under rr: all policies keep the
 * counters.)
 */
static void test_idle_connection_is_no_work(void **state)
{
	uint64_t began_ns;

	(void)state;
	start("rr");
	assert_int_equal(open_somewhere(), 0);
	began_ns = now_ns();
	for (int i = 0; i < 100; i++) {
		int64_t sum = live_sum();

		nap_ms(10);
		open_somewhere();
		end_newest();
		assert_int_equal(live_sum(), sum);
	}
	/* the pauses of a round are 40 ms, and a connection takes next to nothing */
	assert_in_range(stats[0].pace.average_ns, 1, (now_ns() - began_ns) / 100);
	assert_int_equal(stats[0].pace.samples, 25);
	expect_live(1, 0, 0, 0);
	assert_int_equal(shown_pace_us(0), stats[0].pace.average_ns / 1000);
}

/*
 * 1. under another policy the average of all workers is left alone: CPUs would fight for its line
 * 2. from the switch on it is kept, and the slow worker is known after some connections
 */
static void test_switched_to(void **state)
{
	(void)state;
	start("rr");
	serve(40, SLOW_MS);
	assert_int_equal(counters_now().pace.samples, 0);
	assert_int_equal(stats[SLOW_WORKER].pace.samples, 10);
	lbctl_ok("set-policy", "web", "least-latency", NULL);
	lbctl_ok("set", "web", "stale_ms=3600000", NULL);
	serve(12, SLOW_MS);
	assert_true(is_slow(SLOW_WORKER));
}

/* Weights count as in least-conn. */
static void test_weight(void **state)
{
	(void)state;
	start("least-latency");
	lbctl_ok("set-weight", "web", "0", "3", NULL);
	open_many(60);
	wait_until(live_sum() == 60, QUIET_MS);
	expect_live(30, 10, 10, 10);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		obey_test(test_slow_worker_gets_few),
		obey_test(test_probe),
		obey_test(test_few_come),
		obey_test(test_unknown_is_not_slow),
		obey_test(test_idle_connection_is_no_work),
		obey_test(test_switched_to),
		obey_test(test_weight),
	};

	(void)argc;
	return obey_run(argv[0], tests);
}
