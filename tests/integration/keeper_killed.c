// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The keeper is killed at random moments of a start, a reload, a restart, a scale and a stop, and
 * started again: what was promised is there, and while clients send requests none fails.
 * LB_TEST_KEEPER_KILLS (environment) is how often, in each test.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/load.h"
#include "harness/runs.h"
#include "harness/show.h"
#include "harness/world.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define WORKERS 4
#define URL "http://127.0.0.1:8080/"

static struct run run;
static struct show show;
static struct clients clients;
static unsigned int in_time; /* kills that came before the end of what they were to disturb */

static unsigned int kills(void)
{
	return load_asked("LB_TEST_KEEPER_KILLS", full_load(8, 40));
}

/* Mostly much less than that: where there is less to do, it comes earlier to its end. */
static void nap_at_most(unsigned int ms)
{
	usleep(rand() % (ms * 1000 >> rand() % 6));
}

/* A take-over is disturbed: the keeper before it has been killed as well. */
static void begin_start(struct job *job)
{
	(void)job;
	run_kill(&run);
	run_start_again(&run);
}

static void begin_reload(struct job *job)
{
	lbctl_start(job, "reload", "web", NULL);
}

static void begin_restart(struct job *job)
{
	lbctl_start(job, "restart", "web", "1", NULL);
}

static void begin_scale_up(struct job *job)
{
	lbctl_start(job, "scale", "web", "7", NULL);
}

static void begin_scale_down(struct job *job)
{
	lbctl_start(job, "scale", "web", "2", NULL);
}

static const struct disturbance {
	void (*begin)(struct job *);
	unsigned int usual_ms; /* to its end, about */
} disturbances[] = {
	{ begin_start, 150 },	 { begin_reload, 500 },	    { begin_restart, 150 },
	{ begin_scale_up, 150 }, { begin_scale_down, 300 },
};

/* What a new keeper finds half done it undoes or finishes: in the end there are as many as told. */
static void kill_in(const struct disturbance *what)
{
	struct job job = { 0 };
	struct output output;

	what->begin(&job);
	nap_at_most(what->usual_ms);
	in_time += !job.pid || job_is_running(&job);
	run_kill(&run);
	if (job.pid) {
		job_wait(&job, &output);
		output_free(&output);
	}
	run_start_again(&run);
	run_expect_keeper(&run);
	run_expect_up(&run, WORKERS);
}

static void kill_under_load(void)
{
	const unsigned int n = kills();
	struct wrk wrk;
	struct job load;

	in_time = 0;
	srand(20241129);
	wrk_start(&load, URL, "8", WRK_UNTIL_STOPPED);
	load_steps_back(&load);
	for (unsigned int i = 0; i < n; i++)
		kill_in(&disturbances[i % ARRAY_SIZE(disturbances)]);
	wrk_stop(&load);
	wrk_wait(&load, &wrk);
	print_message("%u kills, %u in time; %lu requests\n", n, in_time, wrk.requests);
	run_expect_no_failure(&run, &wrk);
	assert_true(in_time >= n / 4);
	show_read("web", &show);
	assert_int_equal(show.fallback, 0);
	run_stop(&run);
}

static void test_under_load(void **state)
{
	(void)state;
	run_start_shared(&run, WORKERS);
	kill_under_load();
}

static void test_under_load_with_listen(void **state)
{
	(void)state;
	run_start_with_listen(&run, WORKERS, ":8080");
	kill_under_load();
}

static void end_killed(void)
{
	kill(run.pid, SIGKILL);
	run_wait(&run); /* a stop may have come to its end before */
}

/* Stopped, killed meanwhile, started, killed meanwhile, started: it serves. */
static void kill_in_stop_and_start(void)
{
	const unsigned int n = kills() / 2;
	struct output output;
	struct job job;

	srand(20241129);
	for (unsigned int i = 0; i < n; i++) {
		lbctl_start(&job, "stop", "web", NULL);
		nap_at_most(60);
		end_killed();
		job_wait(&job, &output);
		output_free(&output);
		run_start_again(&run);
		nap_at_most(200);
		run_kill(&run);
		run_start_again(&run);
		run_expect_keeper(&run);
		run_expect_up(&run, WORKERS);
		clients_run(&clients, (struct client_plan){ .connections = 20 });
		for (int worker = 0; worker < WORKERS; worker++)
			assert_true(clients_of(&clients, worker) > 0);
	}
	run_stop(&run);
}

static void test_stop_and_start(void **state)
{
	(void)state;
	run_start_shared(&run, WORKERS);
	kill_in_stop_and_start();
}

static void test_stop_and_start_with_listen(void **state)
{
	(void)state;
	run_start_with_listen(&run, WORKERS, ":8080");
	kill_in_stop_and_start();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_under_load),
		runs_test(test_under_load_with_listen),
		runs_test(test_stop_and_start),
		runs_test(test_stop_and_start_with_listen),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
