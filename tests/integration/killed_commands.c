// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl is killed at any moment, or runs twice at once: traffic does not notice, and the next
 * command finds a service it can work with. LB_TEST_COMMAND_KILLS (environment) is how often under
 * traffic, and half as often without.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/load.h"
#include "harness/pins.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define WORKERS 4
#define KILLS 40
#define FULL_KILLS 100
#define SEED 20240229

static struct demo demos[WORKERS];
static struct clients clients;
static struct show show;

static unsigned int kills(void)
{
	return load_asked("LB_TEST_COMMAND_KILLS", full_load(KILLS, FULL_KILLS));
}

static void nap_us(long us)
{
	const struct timespec nap = { us / 1000000, us % 1000000 * 1000 };

	nanosleep(&nap, NULL);
}

/*
 * What is killed, and within which time of its start: a little longer than it takes, so that all
 * of it is hit.
 */
static const struct {
	const char *args[4];
	long most_us;
} victims[] = {
	{ { "attach", "--name", "web", ":8080" }, 100000 }, /* anew: see kill_one() */
	{ { "set-policy", "web", "random" }, 20000 },
	{ { "attach", "--name", "web", ":8080" }, 60000 },
	{ { "drain", "web", "1" }, 20000 },
	{ { "detach", "web" }, 40000 },
};

/* list works; show knows the service or says 3; attach, resume, set-policy make it whole. */
static void expect_consistent_service(unsigned int turn)
{
	struct output output;

	json_decref(lbctl_json("list", "--json", NULL));
	lbctl_run(&output, "show", "web", "--json", NULL);
	if (output.status != 0 && output.status != 3)
		fail_msg("turn %u: show: status %d: %s", turn, output.status, output.err);
	output_free(&output);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	lbctl_ok("resume", "web", "all", NULL);
	lbctl_ok("set-policy", "web", "rr", NULL);
	show_read("web", &show);
	assert_string_equal(show.policy, "rr");
	assert_int_equal(show.nr_workers, WORKERS);
	assert_int_equal(show.unregistered, 0);
	assert_int_equal(show.fallback, 0);
	for (int i = 0; i < WORKERS; i++) {
		assert_string_equal(show.worker[i].state, "up");
		assert_int_equal(show.worker[i].pid, demos[i].pid);
	}
}

/* A command begins and is killed at a random moment; returns whether that was before its end. */
static bool kill_one(unsigned int turn)
{
	size_t i = turn % ARRAY_SIZE(victims);
	const char *const *args = victims[i].args;
	struct output output;
	struct job job;

	if (i == 0)
		lbctl_ok("detach", "web", NULL);
	lbctl_start(&job, args[0], args[1], args[2], args[3], NULL);
	nap_us(rand() % scaled_ms(victims[i].most_us));
	kill(job.pid, SIGKILL);
	job_wait(&job, &output);
	output_free(&output);
	expect_consistent_service(turn);
	return output.status == 128 + SIGKILL;
}

static void expect_exact(unsigned int each)
{
	const unsigned int want[] = { each, each, each, each };
	struct counters before;

	counters_read("web", &before);
	clients_run(&clients, (struct client_plan){ .connections = WORKERS * each, .at_once = 8 });
	clients_expect(&clients, WORKERS, want);
	counters_expect("web", &before, .cursor = WORKERS * each,
			.selected = { each, each, each, each });
}

/*
 * 1. wrk runs; again and again a command is killed, and a consistent service is found
 * 2. not one request of wrk failed; round-robin is exact; detach leaves nothing
 */
static void test_killed_under_traffic(void **state)
{
	const unsigned int turns = kills();
	unsigned int killed = 0;
	struct job traffic;
	struct wrk wrk;

	(void)state;
	srand(SEED);
	demo_start_many(demos, WORKERS, ":8080");
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	wrk_start(&traffic, "http://127.0.0.1:8080/", "16", WRK_UNTIL_STOPPED);
	for (unsigned int turn = 0; turn < turns; turn++)
		killed += kill_one(turn);
	wrk_stop(&traffic);
	wrk_wait(&traffic, &wrk);
	print_message("%u of %u commands killed before their end, %lu requests\n", killed, turns,
		      wrk.requests);
	wrk_expect_no_failure(&wrk);
	assert_in_range(killed, turns / 10, turns);
	expect_exact(50);
	lbctl_ok("detach", "web", NULL);
	assert_true(pins_are_gone());
	wait_until(pinned_objects_are_freed(), 5000);
}

/* Without traffic each kill can be followed by a count to the connection. */
static void test_killed_and_exact(void **state)
{
	(void)state;
	srand(SEED + 1);
	demo_start_many(demos, WORKERS, ":8080");
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	for (unsigned int turn = 0; turn < kills() / 2; turn++) {
		kill_one(turn);
		expect_exact(2);
	}
}

/* A command of strace that kills lbctl when it gives the service that it has made its name. */
static void attach_killed_before_its_end(void)
{
	const char *const attach[] = { "strace",
				       "-f",
				       "-o",
				       "/dev/null",
				       "-e",
				       "trace=renameat2",
				       "-e",
				       "inject=renameat2:error=EIO:signal=KILL",
				       harness_build_path("lbctl"),
				       "attach",
				       ":8080",
				       NULL };
	struct output output;

	command_run(&output, attach, COMMAND_MS);
	assert_int_equal(output.status, 128 + SIGKILL);
	output_free(&output);
}

/*
 * 1. attach is killed before there is a service: what it has pinned is left, and no service is
 *    listed
 * 2. detach --all removes that as well, and of --dry-run nothing; beside a service, too
 */
static void test_detach_all_after_a_killed_attach(void **state)
{
	(void)state;
	demo_start_many(demos, 2, ":8080");
	demo_start_many(demos + 2, 2, ":8081");
	for (int services = 0; services < 2; services++) {
		json_t *list;

		if (services)
			lbctl_ok("attach", "--name", "web", ":8081", NULL);
		attach_killed_before_its_end();
		list = lbctl_json("list", "--json", NULL);
		assert_int_equal(json_array_size(list), services);
		json_decref(list);
		assert_false(pins_are_gone());
		lbctl_ok("detach", "--all", "--dry-run", NULL);
		assert_false(pins_are_gone());
		lbctl_ok("detach", "--all", NULL);
		assert_true(pins_are_gone());
		wait_until(pinned_objects_are_freed(), 5000);
	}
}

#define AT_ONCE 8

/* Starts all commands together; returns a bit set of the statuses that were seen. */
static unsigned int run_at_once(const char *const commands[][6], size_t n)
{
	struct job jobs[AT_ONCE];
	unsigned int statuses = 0;

	for (size_t i = 0; i < AT_ONCE; i++) {
		const char *const *args = commands[i % n];

		lbctl_start(&jobs[i], args[0], args[1], args[2], args[3], args[4], args[5], NULL);
	}
	for (size_t i = 0; i < AT_ONCE; i++) {
		struct output output;

		job_wait(&jobs[i], &output);
		statuses |= 1U << output.status;
		if (output.status != 0 && output.status != 3)
			print_message("%s: status %d: %s", commands[i % n][0], output.status,
				      output.err);
		output_free(&output);
	}
	return statuses;
}

/*
 * 1. eight attach at once: one service, every one of them content
 * 2. changes of all kinds at once: each is done whole, in some order
 * 3. eight detach at once: one does it, the others find nothing (3)
 */
static void test_many_at_once(void **state)
{
	static const char *const attach[][6] = { { "attach", "--name", "web", ":8080" } };
	static const char *const changes[][6] = {
		{ "set-policy", "web", "random" }, { "set-weight", "web", "0", "3" },
		{ "drain", "web", "1" },	   { "attach", "--name", "web", ":8080" },
		{ "set-policy", "web", "rr" },	   { "set-weight", "web", "2", "2" },
		{ "resume", "web", "3" },	   { "set", "web", "stale_ms=500" },
	};
	static const char *const detach[][6] = { { "detach", "web" } };

	(void)state;
	demo_start_many(demos, WORKERS, ":8080");
	for (int round = 0; round < (int)scaled_load(5); round++) {
		assert_int_equal(run_at_once(attach, 1), 1U << 0);
		show_read("web", &show);
		assert_int_equal(show.nr_workers, WORKERS);
		assert_int_equal(run_at_once(changes, ARRAY_SIZE(changes)), 1U << 0);
		show_read("web", &show);
		assert_int_equal(show.worker[0].weight, 3);
		assert_string_equal(show.worker[1].state, "draining");
		assert_int_equal(show.worker[2].weight, 2);
		clients_run(&clients, (struct client_plan){ .connections = 60 });
		assert_int_equal(clients_of(&clients, 1), 0);
		assert_int_equal(run_at_once(detach, 1), 1U << 0 | 1U << 3);
		assert_true(pins_are_gone());
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_killed_under_traffic),
		harness_test(test_killed_and_exact),
		harness_test(test_detach_all_after_a_killed_attach),
		harness_test(test_many_at_once),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
