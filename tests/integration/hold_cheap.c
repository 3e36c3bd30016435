// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where work is cheap no connection waits for an idle worker: hold_ms=auto, the default. */
#include "harness/clients.h"
#include "harness/counters.h"
#include "harness/holding.h"
#include "harness/maps.h"
#include "harness/runs.h"
#include "harness/world.h"

#include "lb_hold.h"

static struct run run;
static struct clients clients;

/* Cheap work: nothing is held, and there is no socket beside the workers'. */
static void test_cheap_work_is_not_held(void **state)
{
	struct counters after;
	struct lb_hold hold;

	(void)state;
	needs(hold);
	run_start(&run, "web", "-n", "4", "--policy", "least-conn", "--", run_demo(), "-n", "1",
		  "--listen", "127.0.0.1:8080", NULL);
	run_expect_up(&run, 4);
	stalls_forgive();
	clients_run(&clients, (struct client_plan){ .connections = 400, .at_once = 40 });
	counters_read("web", &after);
	hold = holding_now();
	/* on a machine that takes 3 ms for nothing it pays, and may have at the beginning only */
	if ((scaled_load(4) < 4 ? hold.longest_ns : hold.work_ns) < LB_HOLD_LEAST_WORK_NS) {
		assert_int_equal(after.held, 0);
		assert_false(is_holding());
	}
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_cheap_work_is_not_held),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
