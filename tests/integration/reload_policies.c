// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Reloads under load with each policy: no request fails. LB_TEST_RELOADS (environment) is how many
 * each policy gets; LB_TEST_REQUESTS how many requests it has to see, too.
 */
#include "harness/commands.h"
#include "harness/load.h"
#include "harness/runs.h"
#include "harness/show.h"
#include "harness/world.h"

#include "lb_policies.h"

#define WORKERS 4
#define URL "http://127.0.0.1:8080/"

static const char *const policies[] = {
#define X(number, id, name, summary) name,
	LB_POLICIES(X)
#undef X
};

static struct run run;
static struct show show;

static uint64_t decisions(void)
{
	show_read("web", &show);
	return show.decisions;
}

static void reload_with(const char *policy)
{
	unsigned int want = load_asked("LB_TEST_RELOADS", full_load(1, 3)), reloads = 0;
	uint64_t requests = load_asked("LB_TEST_REQUESTS", 1000), before = decisions();
	struct wrk wrk;
	struct job job;

	lbctl_ok("set-policy", "web", policy, NULL);
	wrk_start(&job, URL, "32", WRK_UNTIL_STOPPED);
	load_steps_back(&job);
	while (reloads < want || decisions() - before < requests) {
		lbctl_ok("reload", "web", NULL);
		reloads++;
	}
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	print_message("%-14s %4u reloads, %lu requests, %lu failed\n", policy, reloads,
		      wrk.requests, wrk.socket_errors + wrk.bad_answers);
	run_expect_no_failure(&run, &wrk);
}

static void reload_with_each(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++)
		reload_with(policies[i]);
	run_stop(&run);
}

static void test_each_policy(void **state)
{
	(void)state;
	run_start_shared(&run, WORKERS);
	reload_with_each();
}

static void test_each_policy_with_listen(void **state)
{
	(void)state;
	run_start_with_listen(&run, WORKERS, ":8080");
	reload_with_each();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_each_policy),
		runs_test(test_each_policy_with_listen),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
