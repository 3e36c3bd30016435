// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Many workers, and few again, while clients send requests: nobody fails. Many that end together:
 * meanwhile others are answered.
 */
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/load.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/show.h"
#include "harness/world.h"

#include <stdio.h>
#include <unistd.h>

static struct run run;
static struct show show;

static const char *number(unsigned int n)
{
	static char text[16];

	snprintf(text, sizeof(text), "%u", n);
	return text;
}

/* `lbctl scale`, with as much time as many processes take. */
static void scale(unsigned int workers)
{
	const char *argv[] = { harness_build_path("lbctl"), "scale", "web", number(workers), NULL };
	struct output output;

	command_run(&output, argv, scaled_ms(full_load(60000, 240000)));
	if (output.status)
		fail_msg("scale to %u: status %d: %s", workers, output.status, output.err);
	output_free(&output);
	show_read("web", &show);
	assert_int_equal(show.nr_workers, workers);
	assert_int_equal(show.unregistered, 0);
}

static void scale_under_load(void)
{
	struct job load;
	struct wrk wrk;

	wrk_start(&load, "http://127.0.0.1:8080/", "8", WRK_UNTIL_STOPPED);
	load_steps_back(&load);
	scale(full_load(64, 1024));
	scale(4);
	wrk_stop(&load);
	wrk_wait(&load, &wrk);
	run_expect_no_failure(&run, &wrk);
	run_stop(&run);
}

static void test_scale_far_and_back(void **state)
{
	(void)state;
	run_start_shared(&run, 4);
	scale_under_load();
}

static void test_scale_far_and_back_with_listen(void **state)
{
	(void)state;
	run_start_with_listen(&run, 4, ":8080");
	scale_under_load();
}

/* Many questions are answered before all have ended: none waits for the end. */
static void test_stop_of_many(void **state)
{
	const unsigned int workers = full_load(64, 999);
	struct output output;
	struct job stop;
	unsigned int answers = 0;
	unsigned long before_kib, after_kib;

	(void)state;
	run_start_shared(&run, 4);
	before_kib = process_resident_kib(run.pid);
	scale(workers);
	/* each start of a process copies it: 64 KiB for each made starts dear; ASan has its own */
	after_kib = process_resident_kib(run.pid);
	if (!getenv("SANITIZE") && after_kib > before_kib + 16 * workers)
		fail_msg("lbctl has %lu KiB, and had %lu with 4 workers", after_kib, before_kib);
	lbctl_start(&stop, "stop", "web", NULL);
	run_expect_events(&run, 1, "stop", NULL);
	while (job_is_running(&stop)) {
		lbctl_ok("list", NULL);
		answers++;
	}
	job_wait(&stop, &output);
	assert_int_equal(output.status, 0);
	output_free(&output);
	print_message("%u answers while %u workers ended\n", answers, workers);
	assert_true(answers >= full_load(1, 10));
	assert_int_equal(run_wait(&run), 0);
	run_expect_nothing_left();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_scale_far_and_back),
		runs_test(test_scale_far_and_back_with_listen),
		runs_test(test_stop_of_many),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
