// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Every setting changes all the time while wrk makes one connection per request: not one
 * connection may fail. LB_TEST_CHURN_SECONDS (environment) is the seconds that each run takes.
 */
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/kernel.h"
#include "harness/load.h"
#include "harness/pins.h"
#include "harness/servers.h"
#include "harness/world.h"

#include <stdio.h>

#define CHURN_SECONDS 5
#define FULL_CHURN_SECONDS 20
#define POLICY_CHANGES 200

static const char *const policies[] = { "rr", "random", "least-load", "kernel" };
static const char *const numbers[] = { "0", "1", "2", "3" };

static int churn_seconds(void)
{
	return load_asked("LB_TEST_CHURN_SECONDS",
			  scaled_load(full_load(CHURN_SECONDS, FULL_CHURN_SECONDS)));
}

/* What only a growing turn number chooses: each worker is drained, resumed, weighted in turn. */
static void change_something(unsigned int turn)
{
	const char *worker = numbers[turn / 8 % 4];
	char weight[8];

	lbctl_ok("set-policy", "web", policies[turn % ARRAY_SIZE(policies)], NULL);
	switch (turn % 8) {
	case 2:
		lbctl_ok("drain", "web", worker, NULL);
		break;
	case 4:
		snprintf(weight, sizeof(weight), "%u", 1 + turn % 9);
		lbctl_ok("set-weight", "web", worker, weight, NULL);
		break;
	case 6:
		lbctl_ok("resume", "web", worker, NULL);
		break;
	}
}

/*
 * 1. wrk runs; every policy in turn, 200 times and until wrk ends, with drains and weights
 * 2. no failure; every connection that the kernel opened is one decision
 */
static void test_settings(void **state)
{
	uint64_t passive_opens, decisions;
	struct counters before, after;
	unsigned int turns = 0;
	struct nginx nginx;
	struct wrk wrk;
	struct job job;

	(void)state;
	nginx_start(&nginx, "listen 8080 reuseport;", "127.0.0.1", 8080);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	counters_read("web", &before);
	passive_opens = kernel_counter("TcpPassiveOpens");
	wrk_start(&job, "http://127.0.0.1:8080/", "64", churn_seconds());
	while (turns < scaled_load(POLICY_CHANGES) || job_is_running(&job))
		change_something(turns++);
	wrk_wait(&job, &wrk);
	print_message("%u changes of policy, %lu requests\n", turns, wrk.requests);
	wrk_expect_no_failure(&wrk);
	counters_read("web", &after);
	passive_opens = kernel_counter("TcpPassiveOpens") - passive_opens;
	decisions = counters_selected(&after) + after.kernel_policy - counters_selected(&before);
	/* two CPUs with a connection's first two segments make it twice, and one of them goes */
	assert_in_range(passive_opens, decisions, decisions + decisions / 50);
	assert_int_equal(after.fallback_empty + after.fallback_none + after.fallback_config, 0);
	nginx_stop(&nginx);
}

/* 1. wrk runs while detach and attach follow each other  2. no failure, nothing left */
static void test_detach_and_attach(void **state)
{
	struct nginx nginx;
	unsigned int turns = 0;
	struct wrk wrk;
	struct job job;

	(void)state;
	nginx_start(&nginx, "listen 8080 reuseport;", "127.0.0.1", 8080);
	wrk_start(&job, "http://127.0.0.1:8080/", "64", churn_seconds());
	while (turns < 10 || job_is_running(&job)) {
		lbctl_ok("attach", "--name", "web", "--policy", policies[turns % 3], ":8080", NULL);
		lbctl_ok("detach", "web", NULL);
		turns++;
	}
	wrk_wait(&job, &wrk);
	print_message("%u times attached and detached, %lu requests\n", turns, wrk.requests);
	wrk_expect_no_failure(&wrk);
	assert_true(pins_are_gone());
	nginx_stop(&nginx);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_settings),
		harness_test(test_detach_and_attach),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
