// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lb-bench: what it writes is as schema.json says, failures after kills are told apart from what
 * was accepted, and report.py makes one page of results.
 */
#include "harness/benches.h"
#include "harness/commands.h"
#include "harness/servers.h"
#include "harness/world.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define URL "127.0.0.1:8080"
#define RESULTS HARNESS_DIR "/results"

/* Runs tools/bench/NAME with one argument; returns its exit status. */
static int run_script(const char *name, const char *arg, struct output *output)
{
	const char *const argv[] = { "python3", name, arg, NULL };

	command_run(output, argv, 60000);
	return output->status;
}

static const struct {
	const char *name, *args[16];
	size_t nr_args;
} results[] = {
	{ "two scenarios",
	  { "S1", "S5", "--rounds", "2", "--seconds", "0.2", "--users", "8", "--peers",
	    "hash,nginx,lbctl-rr" },
	  10 },
	{ "a peer that can't", { "S8", "--rounds", "1", "--peers", "master" }, 5 },
	{ "kills", { "S7", "--rounds", "1", "--users", "8", "--peers", "hash,lbctl-rr" }, 7 },
	{ "a sweep",
	  { "sweep", "--to", "20", "--steps", "4", "--seconds", "0.1", "--rounds", "1", "--reps",
	    "2", URL },
	  12 },
	{ "idle", { "idle", "--seconds", "0.2", "--peers", "lbctl-rr,master" }, 5 },
};

/* What is printed, taken as a whole. */
static void test_results_fit_the_schema(void **state)
{
	const char *validate = strdupa(harness_build_path("../tools/bench/validate.py"));
	struct demo demo;

	(void)state;
	demo_start(&demo, 0, "--listen", URL, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
		_cleanup_output_ struct output output = { 0 }, verdict = { 0 };
		const char *args[24];

		memcpy(args, results[i].args, sizeof(results[i].args));
		args[results[i].nr_args] = "--json";
		bench_run(&output, args, results[i].nr_args + 1);
		if (output.status)
			fail_msg("%s: %s", results[i].name, output.err);
		file_write(RESULTS, output.out);
		if (run_script(validate, RESULTS, &verdict))
			fail_msg("%s: %s%s", results[i].name, verdict.out, verdict.err);
	}
}

/* A result that lacks something, has too much, or a word for a number is refused. */
static void test_the_schema_refuses(void **state)
{
	const char *validate = strdupa(harness_build_path("../tools/bench/validate.py"));
	_cleanup_output_ struct output output = { 0 };
	json_t *whole;

	(void)state;
	bench(&output, "S1", "--rounds", "1", "--seconds", "0.1", "--users", "2", "--json", "-q",
	      "--peers", "hash");
	whole = bench_json(&output);
	for (int i = 0; i < 4; i++) {
		_cleanup_output_ struct output verdict = { 0 };
		json_t *copy = json_deep_copy(whole);
		json_t *peer = json_array_get(json_object_get(copy, "peers"), 0);

		if (i == 1)
			json_object_del(copy, "goals");
		if (i == 2)
			json_object_set_new(peer, "more", json_true());
		if (i == 3)
			json_object_set_new(copy, "seed", json_string("1"));
		assert_int_equal(json_dump_file(copy, RESULTS, 0), 0);
		assert_int_equal(run_script(validate, RESULTS, &verdict), i != 0);
		json_decref(copy);
	}
	json_decref(whole);
}

/* What failed was accepted by the one killed, but for one a kill: see run_reload. */
static void test_kills_cost_what_was_accepted(void **state)
{
	_cleanup_output_ struct output output = { 0 };
	json_t *result, *sample;

	(void)state;
	bench(&output, "S7", "--rounds", "1", "--users", "32", "--json", "-q", "--peers",
	      "lbctl-rr");
	result = bench_json(&output);
	sample = json_array_get(
		json_object_get(json_array_get(json_object_get(result, "peers"), 0), "samples"), 0);
	assert_true(json_is_integer(json_object_get(sample, "lost")));
	assert_in_range(bench_number(sample, "failed"), 0, bench_number(sample, "lost") + 4);
	json_decref(result);
}

/* One page, with each peer in it, that needs no other file and no network. */
static void test_the_report_is_one_page(void **state)
{
	const char *report = strdupa(harness_build_path("../tools/bench/report.py"));
	static const char *const wanted[] = { "S1: empty work", "lbctl-rr", "S8", "it can",
					      "lb-bench S1 S8" };
	_cleanup_output_ struct output output = { 0 }, made = { 0 };
	char *page;

	(void)state;
	bench(&output, "S1", "S8", "--rounds", "1", "--seconds", "0.2", "--users", "8", "--peers",
	      "master,lbctl-rr", "-q", "--out", HARNESS_DIR "/bench");
	assert_int_equal(output.status, 0);
	if (run_script(report, HARNESS_DIR "/bench", &made))
		fail_msg("%s", made.err);
	assert_string_equal(made.out, HARNESS_DIR "/bench/report.html\n");
	page = file_read(HARNESS_DIR "/bench/report.html");
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (!strstr(page, wanted[i]))
			fail_msg("not on the page: %s", wanted[i]);
	}
	assert_non_null(strstr(page, "<svg"));
	assert_int_equal(access(HARNESS_DIR "/bench/S1-latency.png", R_OK), 0);
	assert_null(strstr(page, "http:"));
	assert_null(strstr(page, "https:"));
	assert_null(strstr(page, "src="));
	free(page);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_results_fit_the_schema),
		harness_test(test_the_schema_refuses),
		harness_test(test_kills_cost_what_was_accepted),
		harness_test(test_the_report_is_one_page),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
