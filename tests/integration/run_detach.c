// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A service that a keeper has is not detached by the way; and where its pins go all the same, the
 * keeper brings it back as it was set.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/pins.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/detach.h"
#include "service/latency.h"
#include "service/state.h"

#define WORKERS 3

static struct run run;
static struct show show;
static struct clients clients;

/* --- refused --- */

/* Of lbctl run, with or without --force, one by name or all. */
static void test_of_a_run_is_refused(void **state)
{
	static const char *const ways[][2] = {
		{ "web", NULL },	{ "--all", NULL },	{ "web", "--force" },
		{ "--all", "--force" }, { "web", "--dry-run" },
	};
	pid_t pids[WORKERS];
	char words[96];

	(void)state;
	run_start_shared(&run, WORKERS);
	run_pids(&run, pids, WORKERS);
	lbctl_ok("set-weight", "web", "1", "3", NULL);
	snprintf(words, sizeof(words), "lbctl run (pid %d) keeps it", run.pid);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		lbctl_expect(1, words, "detach", ways[i][0], ways[i][1], NULL);
		lbctl_expect(1, "lbctl stop web ends the service and its workers", "detach",
			     ways[i][0], ways[i][1], NULL);
	}
	show_read("web", &show);
	assert_int_equal(show.worker[1].weight, 3);
	clients_run(&clients, (struct client_plan){ .connections = 10 });
	assert_int_equal(clients.answered, 10);
	run_expect_same(&run, pids, WORKERS);
	run_stop(&run);
}

/* What the refusal names does it; so does detach once the keeper is dead. */
static void test_of_a_dead_run(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	run_start_shared(&run, WORKERS);
	run_pids(&run, pids, WORKERS);
	run_kill(&run);
	lbctl_ok("detach", "web", NULL);
	assert_int_equal(access(HARNESS_PINS "/web", F_OK), -1);
	lbctl_ok("stop", "web", NULL);
	run_expect_nothing_left();
}

/* --all does what can be done, and fails for the rest. */
static void test_all_but_those_that_are_kept(void **state)
{
	struct demo demos[2];

	(void)state;
	demo_start_many(demos, 2, "127.0.0.1:9090");
	lbctl_ok("attach", "--name", "other", "127.0.0.1:9090", NULL);
	run_start_shared(&run, WORKERS);
	lbctl_expect(1, "keeps it", "detach", "--all", NULL);
	assert_false(show_try("other", &show));
	assert_true(show_try("web", &show));
	demo_kill(&demos[0], SIGTERM);
	demo_kill(&demos[1], SIGTERM);
	run_stop(&run);
}

/* Of lbctl watch: refused; --force ends that as well, for good, and the server goes on. */
static void test_of_a_watch(void **state)
{
	struct demo demos[2];
	char words[96];

	(void)state;
	demo_start_many(demos, 2, "0.0.0.0:8080");
	run_start_verb(&run, "tcp-8080", "watch", "8080", NULL);
	run_expect_keeper(&run);
	wait_until(show_try("tcp-8080", &show), RUN_MS);
	snprintf(words, sizeof(words), "lbctl watch (pid %d) keeps it", run.pid);
	lbctl_expect(1, words, "detach", "tcp-8080", NULL);
	lbctl_expect(1, "give --force to end that as well", "detach", "--all", NULL);
	lbctl_ok("detach", "tcp-8080", "--force", "--dry-run", NULL);
	assert_true(process_lives(run.pid));
	assert_true(show_try("tcp-8080", &show));
	lbctl_ok("detach", "tcp-8080", "--force", NULL);
	assert_int_equal(run_wait(&run), 0);
	assert_false(show_try("tcp-8080", &show));
	assert_int_equal(count_entries(FILES_DIR, false), 0);
	clients_run(&clients, (struct client_plan){ .connections = 10 });
	assert_int_equal(clients.answered, 10);
	lbctl_expect(3, "no such service", "detach", "tcp-8080", "--force", NULL);
}

/* --- repaired --- */

/* As an lbctl before this one, or who does not ask: nobody is asked. */
static void take_away(const char *name)
{
	struct trouble trouble = { 0 };
	pid_t child = fork();
	int status;

	if (!child)
		_exit(detach_run(name, &trouble));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static bool is_back(const char *name, size_t workers)
{
	size_t open = 0;

	if (!show_try(name, &show))
		return false;
	for (size_t i = 0; i < show.nr_workers; i++)
		open += strcmp(show.worker[i].state, "down") != 0;
	return open == workers;
}

static void make_settings(const char *name)
{
	lbctl_ok("set-policy", name, "hash", NULL);
	lbctl_ok("set-weight", name, "1", "3", NULL);
	lbctl_ok("set", name, "limit=50", "stall_ms=77", "rescue_ms=0", "stale_ms=2000",
		 "hash_prefix4=24", "hash_prefix6=64", NULL);
	lbctl_ok("set", name, "latency=on", NULL);
	lbctl_ok("set-limit", name, "0", "7", NULL);
	lbctl_ok("drain", name, "2", NULL);
}

static void expect_settings(const char *name)
{
	static const struct {
		const char *name;
		unsigned int weight, limit;
		const char *state;
	} want[WORKERS] = { { "worker 0", 1, 7, "up" },
			    { "worker 1", 3, 50, "up" },
			    { "worker 2", 1, 50, "draining" } };
	struct state of;

	assert_string_equal(show.policy, "hash");
	for (size_t i = 0; i < WORKERS; i++) {
		const struct show_worker *got = &show.worker[i];

		if (got->weight != want[i].weight || got->limit != want[i].limit ||
		    strcmp(got->state, want[i].state))
			fail_msg("%s: weight %u, limit %u, %s", want[i].name, got->weight,
				 got->limit, got->state);
	}
	assert_int_equal(state_open(&of, name, STATE_READ), 0);
	assert_int_equal(of.config->limit, 50);
	assert_int_equal(of.config->stall_ns, 77000000);
	assert_int_equal(of.config->rescue_ns, 0);
	assert_int_equal(of.config->stale_ns, 2000000000);
	assert_int_equal(of.config->hash_prefix4, 24);
	assert_int_equal(of.config->hash_prefix6, 64);
	assert_true(latency_is_on(&of));
	state_close(&of);
}

static bool has_settings_again(const char *name)
{
	return is_back(name, WORKERS) && !strcmp(show.worker[2].state, "draining");
}

/* Twice: what was brought back is remembered as well. */
static void expect_repaired(const char *name)
{
	make_settings(name);
	for (int i = 0; i < 2; i++) {
		take_away(name);
		wait_until(has_settings_again(name), RUN_MS);
		expect_settings(name);
	}
}

static void test_run_brings_it_back(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	needs(track);
	run_start_shared(&run, WORKERS);
	run_pids(&run, pids, WORKERS);
	expect_repaired("web");
	clients_run(&clients, (struct client_plan){ .connections = 10 });
	assert_int_equal(clients.answered, 10);
	for (size_t i = 0; i < WORKERS; i++)
		assert_int_equal(show.worker[i].pid, pids[i]);
	lbctl_ok("set-weight", "web", "1", "1", NULL);
	lbctl_ok("resume", "web", "all", NULL);
	run_stop(&run);
}

static void test_watch_brings_it_back(void **state)
{
	struct demo demos[WORKERS];

	(void)state;
	needs(track);
	demo_start_many(demos, WORKERS, "0.0.0.0:8080");
	run_start_verb(&run, "tcp-8080", "watch", "8080", NULL);
	run_expect_keeper(&run);
	wait_until(is_back("tcp-8080", WORKERS), RUN_MS);
	expect_repaired("tcp-8080");
	lbctl_ok("detach", "--force", NULL);
	assert_int_equal(run_wait(&run), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_of_a_run_is_refused),	     runs_test(test_of_a_dead_run),
		runs_test(test_all_but_those_that_are_kept), runs_test(test_of_a_watch),
		runs_test(test_run_brings_it_back),	     runs_test(test_watch_brings_it_back),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
