// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The kernel's counters of connections while some wait for an idle worker: `live` of every worker
 * is what sock_diag says whenever nothing moves, and none stays behind with a waiting listener. The
 * test is its own worker: `hold_storm worker`. LB_TEST_STORM (environment) is how many steps the
 * storm has.
 */
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/events.h"
#include "harness/holding.h"
#include "harness/kernel.h"
#include "harness/maps.h"
#include "harness/obey.h"
#include "harness/runs.h"
#include "harness/storm.h"
#include "harness/world.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "lb_hold.h"

#define STORM 6000

static const char *self;
static struct run run;

/* Neither waits a connection, nor has one been counted for where it waited. */
static bool nothing_waits(void)
{
	struct lb_stats *all = map_mmap("web", "lb_stats", LB_ALL_SLOTS * sizeof(*all));
	bool waits = !nothing_is_held();

	for (uint32_t slot = LB_MAX_SLOTS; slot < LB_ALL_SLOTS; slot++)
		waits |= all[slot].live != 0;
	munmap(all, LB_ALL_SLOTS * sizeof(*all));
	return !waits;
}

static void expect_right(void)
{
	wait_until(nothing_waits(), RUN_MS);
	expect_right_counters(RUN_MS);
}

/* Once in a while. A worker's connections end with it; the next one may have its slot. */
static void disturb(void)
{
	pid_t pids[WORKERS];

	switch (storm_random() % 4) {
	case 0:
		run_expect_up(&run, WORKERS);
		run_pids(&run, pids, WORKERS);
		kill(pids[storm_random() % WORKERS], SIGKILL);
		break;
	case 1:
		run_kill(&run);
		run_start_again(&run);
		break;
	case 2:
		lbctl_ok("drain", "web", "0", NULL);
		lbctl_ok("resume", "web", "0", NULL);
		break;
	default:
		lbctl_ok("reload", "web", NULL);
	}
	run_expect_up(&run, WORKERS);
}

/*
 * 1. STORM opens, closes, resets and half-closes from either side while workers are busy at times
 * 2. every 500 steps a worker or the keeper is killed, or all workers are replaced
 * 3. at each quiet moment every worker's count is right; it is never below 0
 */
static void test_storm(void **state)
{
	const struct storm storm = { .busy = true };
	int steps = load_asked("LB_TEST_STORM", STORM);
	struct counters after;

	(void)state;
	needs(hold);
	run_start(&run, "web", "-n", "4", "--policy", "least-conn", "--drain-timeout", "50",
		  "--kill-timeout", "500", "--", self, "worker", NULL);
	run_expect_up(&run, WORKERS);
	lbctl_ok("set", "web", "hold_ms=60000", "stall_ms=0", NULL);
	run_expect_events(&run, 1, "holding", NULL);
	map_stats();
	for (int i = 1; i <= steps; i++) {
		storm_step(&storm);
		live_sum();
		if (i % 500 == 250)
			disturb();
		if (i % 100 == 0)
			expect_right();
	}
	counters_read("web", &after);
	print_message("%llu connections, %llu of them held\n", (unsigned long long)opened_sum(),
		      (unsigned long long)after.held);
	assert_true(after.held > (uint64_t)steps / 100);
	close_all();
	lbctl_ok("reload", "web", NULL);
	expect_right();
	assert_int_equal(live_sum(), 0);
	unmap_stats();
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_storm),
	};

	if (argc == 2 && !strcmp(argv[1], "worker"))
		obey_serve(false);
	self = argv[0];
	return runs_run(argv[0], tests);
}
