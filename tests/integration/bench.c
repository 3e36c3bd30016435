/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "harness/benches.h"
#include "harness/commands.h"
#include "harness/servers.h"
#include "harness/world.h"
/*
 * lb-bench: what the load generator counts is what happened, each kind of peer that needs no more
 * than this repository serves, and nothing is left of a comparison, however it ends. No speed.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/cgroup.h"

#define URL "127.0.0.1:8080/"
#define URL_LISTEN "127.0.0.1:8080"

/* 1. lbctl steers in turn. 2. The generator's count per worker is lbctl's own. */
static void test_load_counts_per_worker(void **state)
{
	_cleanup_output_ struct output output = { 0 };
	struct demo demos[4];
	json_t *result, *workers;

	(void)state;
	demo_start_many(demos, 4, URL_LISTEN);
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", NULL);
	bench(&output, "load", "-b", "-c", "100", "-r", "2", "--json", "-q", "http://" URL);
	assert_int_equal(output.status, 0);
	result = bench_json(&output);
	assert_int_equal(bench_number(result, "transactions"), 200);
	assert_int_equal(bench_number(result, "failed"), 0);
	assert_int_equal(bench_number(result, "connections"), 200);
	workers = json_object_get(result, "workers");
	assert_int_equal(json_array_size(workers), 4);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(bench_number(json_array_get(workers, i), "connections"), 50);
	json_decref(result);
}

/* A worker takes 20 ms a request, so 50 a second; 100 a second are due, one can be on its way. */
static void test_open_loop_charges_the_wait(void **state)
{
	_cleanup_output_ struct output output = { 0 };
	struct demo demo;
	json_t *result;

	(void)state;
	demo_start(&demo, 0, "--listen", URL_LISTEN, "--sleep-us", "20000", NULL);
	bench(&output, "load", "--rate", "100", "-c", "1", "-t", "1S", "--json", "-q", URL);
	result = bench_json(&output);
	assert_true(bench_number(result, "transactions") >= 98);
	/* the last one begins a second late, and is charged for it, not for its own 20 ms only */
	assert_true(bench_number(result, "longest_ms") >= 800);
	assert_true(json_number_value(json_object_get(json_object_get(result, "percentiles_ms"),
						      "p50")) >= 350);
	json_decref(result);
}

static void test_failures_are_told_apart(void **state)
{
	_cleanup_output_ struct output refused = { 0 }, usage = { 0 };
	json_t *result, *failure;

	(void)state;
	bench(&refused, "load", "-c", "3", "-r", "1", "--json", "-q", URL);
	assert_int_equal(refused.status, 1);
	result = bench_json(&refused);
	assert_int_equal(bench_number(result, "failed"), 3);
	failure = json_array_get(json_object_get(result, "failures"), 0);
	assert_string_equal(json_string_value(json_object_get(failure, "why")),
			    "connection refused");
	json_decref(result);
	bench(&usage, "load", "-r", "1", "-t", "1S", URL);
	assert_int_equal(usage.status, 2);
	assert_non_null(strstr(usage.err, "-r and -t: either"));
}

/* A cgroup that nobody else makes any in. */
struct cgroup_stay {
	char home[PATH_MAX];
	char own[PATH_MAX + 32];
};

static void cgroup_move_to(const char *cgroup)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	file_write(path, "0");
}

static void cgroup_enter(struct cgroup_stay *stay)
{
	assert_int_equal(cgroup_own(stay->home), 0);
	snprintf(stay->own, sizeof(stay->own), "%s/test-bench-%llx", stay->home,
		 (unsigned long long)now_ns());
	assert_int_equal(mkdir(stay->own, 0755), 0);
	cgroup_move_to(stay->own);
}

/* Fails the test if there is anything left in it. */
static void cgroup_leave(const struct cgroup_stay *stay)
{
	cgroup_move_to(stay->home);
	assert_int_equal(rmdir(stay->own), 0);
}

static bool cgroup_has_child(const struct cgroup_stay *stay)
{
	DIR *dir = opendir(stay->own);
	struct dirent *entry;
	bool found = false;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		found |= !strncmp(entry->d_name, "lb-bench-", 9);
	closedir(dir);
	return found;
}

static void test_peers_serve_and_leave_nothing(void **state)
{
	_cleanup_output_ struct output output = { 0 };
	struct cgroup_stay stay;
	json_t *result, *peer, *sample;
	size_t i;

	(void)state;
	cgroup_enter(&stay);
	bench(&output, "S1", "--rounds", "1", "--seconds", "0.2", "--users", "8", "--json", "-q",
	      "--peers", "hash,shared,exclusive,master,lbctl-rr");
	if (output.status)
		fail_msg("%s", output.err);
	result = bench_json(&output);
	assert_int_equal(json_array_size(json_object_get(result, "peers")), 5);
	json_array_foreach(json_object_get(result, "peers"), i, peer) {
		if (json_object_get(peer, "missing"))
			fail_msg("%s: %s", json_string_value(json_object_get(peer, "peer")),
				 json_string_value(json_object_get(peer, "missing")));
		sample = json_array_get(json_object_get(peer, "samples"), 0);
		assert_true(bench_number(sample, "rate") > 0);
		assert_int_equal(bench_number(sample, "failed"), 0);
	}
	json_decref(result);
	cgroup_leave(&stay);
}

static void test_an_interrupt_leaves_nothing(void **state)
{
	_cleanup_output_ struct output output = { 0 };
	const char *const argv[] = {
		harness_build_path("lb-bench"), "S1", "--peers", "hash", "--seconds", "60", NULL
	};
	struct cgroup_stay stay;
	struct job job;

	(void)state;
	cgroup_enter(&stay);
	job_start(&job, argv, 60000);
	wait_until(cgroup_has_child(&stay), 10000);
	kill(job.pid, SIGTERM);
	job_wait(&job, &output);
	assert_int_not_equal(output.status, 0);
	cgroup_leave(&stay);
}

static bool has_program(const char *name)
{
	char line[128];

	snprintf(line, sizeof(line), "command -v %s >/dev/null", name);
	return !system(line);
}

#define SWEEP_DIR HARNESS_DIR "/sweep"

static void expect_sweep(const json_t *result)
{
	static const int users[] = { 1, 2, 4, 8, 16 }, repetitions[] = { 1, 2, 4 };
	const json_t *by_users = json_object_get(result, "by_users");
	const json_t *by_repetitions = json_object_get(result, "by_repetitions"), *step;

	assert_int_equal(json_array_size(by_users), ARRAY_SIZE(users));
	for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
		step = json_array_get(by_users, i);
		assert_int_equal(bench_number(step, "users"), users[i]);
		assert_true(bench_number(step, "rate") > 0);
		assert_int_equal(bench_number(step, "failed"), 0);
		assert_int_equal(json_array_size(json_object_get(step, "rates")), 2);
	}
	assert_int_equal(json_array_size(by_repetitions), ARRAY_SIZE(repetitions));
	for (size_t i = 0; i < ARRAY_SIZE(repetitions); i++) {
		step = json_array_get(by_repetitions, i);
		assert_int_equal(bench_number(step, "repetitions"), repetitions[i]);
		assert_true(bench_number(step, "rate") > 0);
	}
	assert_string_equal(json_string_value(json_object_get(result, "service")), "web");
	assert_int_equal(bench_number(result, "workers"), 4);
}

/*
 * Each worker serves one request at a time and holds it for 10 ms, so there is room for four users:
 * there the knee is, and the steps around it. The service is found by its address.
 */
static void test_sweep_finds_service_and_knee(void **state)
{
	_cleanup_output_ struct output output = { 0 };
	struct demo demos[4];
	const json_t *knee;
	json_t *result;

	(void)state;
	for (int i = 0; i < 4; i++)
		demo_start(&demos[i], i, "--listen", URL_LISTEN, "--sleep-us", "10000", NULL);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	bench(&output, "sweep", "--to", "16", "--steps", "5", "--reps", "4", "--rounds", "2",
	      "--seconds", "0.3", "--out", SWEEP_DIR, "--json", "-q", URL);
	if (output.status)
		fail_msg("%s", output.err);
	result = bench_json(&output);
	expect_sweep(result);
	knee = json_object_get(result, "knee");
	assert_string_equal(json_string_value(json_object_get(knee, "kind")), "found");
	assert_true(bench_number(knee, "users") == 4 || bench_number(knee, "users") == 8);
	assert_true(json_number_value(json_object_get(knee, "noise")) > 0);
	assert_true(bench_number(knee, "limit") >= 1 && bench_number(knee, "limit") <= 4);
	assert_in_range(bench_number(knee, "hold_ms"), 100, 60000);
	json_decref(result);
	assert_int_equal(count_entries(SWEEP_DIR, false), has_program("gnuplot") ? 4 : 2);
}

static void test_wrong_input_is_one_sentence(void **state)
{
	static const struct {
		const char *args[6];
		int status;
		const char *error;
	} rows[] = {
		{ { "sweep" }, 2, "what is to be swept? give a URL" },
		{ { "sweep", "a:1", "b" }, 2, "what is 'b'? one URL is taken" },
		{ { "sweep", "https://localhost/" },
		  2,
		  "'https://localhost/' is not a URL for this: only http:// is spoken" },
		{ { "sweep", "--from", "10", "--to", "10", URL },
		  2,
		  "--from 10 is not below --to 10" },
		{ { "sweep", "--to", "x", URL }, 2, "--to: 'x' is not a number from 1 to 65536" },
		{ { "sweep", "--steps", "3", URL },
		  2,
		  "--steps: '3' is not a number from 4 to 100" },
		{ { "sweep", "--secs", "3", URL },
		  2,
		  "unknown option '--secs'; see lb-bench sweep --help" },
		{ { "sweep", "-q", "--to", "4", URL },
		  1,
		  URL ": no request was answered (connection refused); is it the right URL?" },
		{ { "sweep", "--out", "/proc/x", URL },
		  1,
		  "--out: can't write to /proc/x: No such file or directory" },
		{ { "tools", URL }, 2, "what is '" URL "'? see lb-bench tools --help" },
		{ { "tools", "--seconds", "0.5" },
		  2,
		  "--seconds: '0.5' is not a number from 1 to 60" },
		{ { "tools", "--peer", "hahs" },
		  2,
		  "no peer 'hahs' (did you mean hash?); lb-bench peers lists them" },
		{ { "story", "--peers", "node-shard" },
		  2,
		  "no peer 'node-shard' (did you mean node-shared?); lb-bench peers lists them" },
		{ { "storry" },
		  2,
		  "no scenario 'storry' (did you mean story?); lb-bench --help lists them" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_output_ struct output output = { 0 };
		char want[256];
		size_t n = 0;

		while (n < ARRAY_SIZE(rows[i].args) && rows[i].args[n])
			n++;
		bench_run(&output, rows[i].args, n);
		snprintf(want, sizeof(want), "lb-bench: %s\n", rows[i].error);
		assert_string_equal(output.err, want);
		assert_string_equal(output.out, "");
		assert_int_equal(output.status, rows[i].status);
	}
}

static void expect_measured(void)
{
	_cleanup_output_ struct output output = { 0 };
	struct cgroup_stay stay;
	json_t *result, *tool;
	size_t i;

	cgroup_enter(&stay);
	bench(&output, "tools", "--rounds", "1", "--seconds", "1", "--users", "4", "--json", "-q");
	if (output.status)
		fail_msg("%s", output.err);
	result = bench_json(&output);
	json_array_foreach(json_object_get(result, "tools"), i, tool) {
		const char *name = json_string_value(json_object_get(tool, "tool"));

		/* ours is in build/ */
		if (i && !has_program(name)) {
			assert_non_null(json_object_get(tool, "missing"));
			continue;
		}
		if (json_object_get(tool, "missing"))
			fail_msg("%s: %s", name,
				 json_string_value(json_object_get(tool, "missing")));
		assert_true(bench_number(json_object_get(tool, "medians"), "rate") > 0);
		assert_int_equal(bench_number(json_object_get(tool, "medians"), "failed"), 0);
	}
	assert_int_equal(i, 4);
	json_decref(result);
	cgroup_leave(&stay);
}

static void test_tools_say_what_they_measured(void **state)
{
	(void)state;
	expect_measured();
}

static const char hangs_once[] = "#!/bin/sh\n"
				 "hung=${0%/*}/hung\n"
				 "PATH=${PATH#*:}\n"
				 "[ -e $hung ] && exec siege \"$@\"\n"
				 ": >$hung\n"
				 "exec sleep 1000\n";

/* siege seldom does not end; here it does not the first time. lb-bench has a /run of its own. */
static void test_tool_that_hangs_once(void **state)
{
	char dir[] = "/tmp/lb-bench-test-XXXXXX", file[64], path[PATH_MAX], *old;

	(void)state;
	if (!has_program("siege"))
		skip();
	old = strdup(getenv("PATH"));
	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/siege", dir);
	file_write(file, hangs_once);
	assert_return_code(chmod(file, 0755), errno);
	snprintf(path, sizeof(path), "%s:%s", dir, old);
	setenv("PATH", path, 1);
	expect_measured();
	setenv("PATH", old, 1);
	snprintf(file, sizeof(file), "%s/hung", dir);
	assert_int_equal(access(file, F_OK), 0);
	command_ok("rm", "-r", dir, NULL);
	free(old);
}

/* Who accepts and hands on in turn is exact; all of them answer every request. */
static void test_story_counts_each_worker(void **state)
{
	_cleanup_output_ struct output output = { 0 };
	json_t *result, *peer, *sample, *connections;
	size_t i, worker;

	(void)state;
	needs(bind_setsockopt);
	if (!has_program("node"))
		skip();
	bench(&output, "story", "--rounds", "1", "--node", "system", "--json", "-q");
	if (output.status)
		fail_msg("%s", output.err);
	result = bench_json(&output);
	assert_int_equal(json_array_size(json_object_get(result, "peers")), 5);
	json_array_foreach(json_object_get(result, "peers"), i, peer) {
		const char *name = json_string_value(json_object_get(peer, "peer"));
		long long sum = 0;

		if (json_object_get(peer, "missing"))
			fail_msg("%s: %s", name,
				 json_string_value(json_object_get(peer, "missing")));
		sample = json_array_get(json_object_get(peer, "samples"), 0);
		connections = json_object_get(sample, "connections");
		assert_int_equal(bench_number(json_object_get(sample, "siege"), "transactions"),
				 200);
		assert_int_equal(bench_number(json_object_get(sample, "siege"), "availability"),
				 100);
		assert_int_equal(json_array_size(connections), 4);
		for (worker = 0; worker < 4; worker++) {
			long long count = json_integer_value(json_array_get(connections, worker));

			sum += count;
			if (!strcmp(name, "node-master"))
				assert_int_equal(count, 50);
			/* on a busy machine a worker may be passed by for a moment */
			if (!strcmp(name, "lbctl-run-rr"))
				assert_in_range(count, 40, 60);
		}
		assert_int_equal(sum, 200);
	}
	json_decref(result);
}

/* Is there a process of that name in this very cgroup? */
static bool cgroup_runs(const struct cgroup_stay *stay, const char *name)
{
	char path[PATH_MAX + 64], comm[32] = "";
	FILE *procs, *file;
	bool found = false;
	int pid;

	snprintf(path, sizeof(path), "%s/cgroup.procs", stay->own);
	procs = fopen(path, "re");
	assert_non_null(procs);
	while (fscanf(procs, "%d", &pid) == 1) {
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		file = fopen(path, "re");
		if (file && fscanf(file, "%31s", comm) == 1)
			found |= !strcmp(comm, name);
		if (file)
			fclose(file);
	}
	fclose(procs);
	return found;
}

/* In the middle of a tool's run. */
static void test_an_interrupt_ends_the_tool(void **state)
{
	_cleanup_output_ struct output output = { 0 };
	const char *const argv[] = {
		harness_build_path("lb-bench"), "tools", "--seconds", "4", "--rounds", "9", NULL
	};
	struct cgroup_stay stay;
	struct job job;

	(void)state;
	if (!has_program("siege"))
		skip();
	cgroup_enter(&stay);
	job_start(&job, argv, 60000);
	wait_until(cgroup_runs(&stay, "siege"), 40000);
	kill(job.pid, SIGINT);
	job_wait(&job, &output);
	assert_int_equal(output.status, 128 + SIGINT);
	assert_non_null(strstr(output.err, "lb-bench: stopped\n"));
	cgroup_leave(&stay);
}

static void test_an_interrupt_ends_a_sweep(void **state)
{
	_cleanup_output_ struct output output = { 0 };
	const char *argv[] = { NULL, "sweep", "--out", SWEEP_DIR "-2", URL, NULL };
	uint64_t begin_ns;
	struct demo demo;
	struct job job;

	(void)state;
	demo_start(&demo, 0, "--listen", URL_LISTEN, NULL);
	argv[0] = harness_build_path("lb-bench"); /* demo_start() had its own there */
	job_start(&job, argv, 60000);
	wait_until(!access(SWEEP_DIR "-2", F_OK), 10000);
	begin_ns = now_ns();
	kill(job.pid, SIGINT);
	job_wait(&job, &output);
	assert_int_equal(output.status, 128 + SIGINT);
	assert_non_null(strstr(output.err, "lb-bench: stopped\n"));
	assert_string_equal(output.out, "");
	assert_int_equal(count_entries(SWEEP_DIR "-2", false), 0);
	assert_true(now_ns() - begin_ns < scaled_ms(10000) * 1000000); /* it takes some 45 s */
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_load_counts_per_worker),
		harness_test(test_open_loop_charges_the_wait),
		harness_test(test_failures_are_told_apart),
		harness_test(test_peers_serve_and_leave_nothing),
		harness_test(test_an_interrupt_leaves_nothing),
		harness_test(test_sweep_finds_service_and_knee),
		harness_test(test_wrong_input_is_one_sentence),
		harness_test(test_tools_say_what_they_measured),
		harness_test(test_tool_that_hangs_once),
		harness_test(test_story_counts_each_worker),
		harness_test(test_an_interrupt_ends_the_tool),
		harness_test(test_an_interrupt_ends_a_sweep),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
