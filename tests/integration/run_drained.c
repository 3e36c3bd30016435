// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What an operator has drained stays so, whatever the keeper does for other reasons. */
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/maps.h"
#include "harness/runs.h"
#include "harness/show.h"
#include "harness/world.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lb_abi.h"

#define WORKERS 4
#define TRIES 20 /* at a moment that is short */

static struct run run;
static struct show show;

/* lbctl is killed and comes again. */
static void test_drained_by_hand(void **state)
{
	(void)state;
	run_start_shared(&run, WORKERS);
	lbctl_ok("drain", "web", "1", NULL);
	run_kill(&run);
	run_start_again(&run);
	run_expect_events(&run, WORKERS, "online", "{s:i}", "keeper", run.pid);
	show_read("web", &show);
	assert_string_equal(show.worker[1].state, "draining");
	lbctl_ok("resume", "web", "1", NULL);
	run_expect_up(&run, WORKERS);
	run_stop(&run);
}

/* NULL while the worker has no slot that is up, or that of this process alone. */
static struct lb_worker *row_that_is_up(struct lb_worker *rows, uint32_t worker, pid_t before)
{
	for (uint32_t slot = 0; slot < LB_MAX_SLOTS; slot++) {
		if (rows[slot].worker == worker && rows[slot].state == LB_SLOT_UP &&
		    rows[slot].pid != (uint32_t)before)
			return &rows[slot];
	}
	return NULL;
}

/* Worker 1 begins again, and is drained while lbctl does not know yet that it has a slot. */
static bool drain_before_online(struct lb_worker *rows)
{
	unsigned int online = run_events(&run, "online", "{s:i}", "worker", 1);
	struct lb_worker *row;
	uint64_t end_ns;
	bool in_time;
	pid_t pids[2];

	run_pids(&run, pids, 2);
	kill(pids[1], SIGKILL);
	end_ns = now_ns() + scaled_ms(RUN_MS) * 1000000;
	/* a nap between two looks would be too long */
	while (!(row = row_that_is_up(rows, 1, pids[1])))
		assert_true(now_ns() < end_ns);
	kill(run.pid, SIGSTOP);
	usleep(50000);
	in_time = run_events(&run, "online", "{s:i}", "worker", 1) == online;
	/* as lbctl drain does once it has the lock, which it may get before that */
	if (in_time)
		row->state = LB_SLOT_DRAINING;
	kill(run.pid, SIGCONT);
	run_expect_events(&run, online + 1, "online", "{s:i}", "worker", 1);
	return in_time;
}

/* It has had its slot for a moment only. */
static void test_drained_before_online(void **state)
{
	const size_t bytes = LB_MAX_SLOTS * sizeof(struct lb_worker);
	struct lb_worker *rows;

	(void)state;
	run_start_shared(&run, 2);
	rows = map_mmap("web", "lb_workers", bytes);
	for (int tries = 0; !drain_before_online(rows); tries++) {
		assert_true(tries < TRIES);
		run_expect_up(&run, 2);
	}
	run_expect_keeper(&run);
	usleep(200000);
	assert_null(row_that_is_up(rows, 1, 0));
	munmap(rows, bytes);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_drained_by_hand),
		runs_test(test_drained_before_online),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
