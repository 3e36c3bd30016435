/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * lb-bench: what the load generator counts is what happened, each kind of peer that needs no more
 * than this repository serves, and nothing is left of a comparison, however it ends. No speed.
 */
#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "harness.h"

#define URL "127.0.0.1:8080/"
#define URL_LISTEN "127.0.0.1:8080"

static void bench_run(struct output *output, const char *const *args, size_t n)
{
	const char *argv[24] = { harness_build_path("lb-bench") };

	assert_true(n + 2 < ARRAY_SIZE(argv));
	memcpy(argv + 1, args, n * sizeof(*args));
	command_run(output, argv, 60000);
}

#define bench(output, ...)                                                                         \
	bench_run(output, (const char *const[]){ __VA_ARGS__ },                                    \
		  ARRAY_SIZE(((const char *const[]){ __VA_ARGS__ })))

static json_t *parse(const struct output *output)
{
	json_t *object = json_loads(output->out, 0, NULL);

	if (!object)
		fail_msg("not JSON: %s%s", output->out, output->err);
	return object;
}

static long long number_at(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_number(value))
		fail_msg("no number %s", key);
	return json_number_value(value);
}

/* 1. lbctl steers in turn. 2. The generator's count per worker is lbctl's own. */
static void test_load_counts_per_worker(void **state)
{
	_cleanup_output_ struct output output = { 0 };
	struct demo demos[4];
	json_t *result, *workers;

	(void)state;
	demo_start_many(demos, 4, URL_LISTEN);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	bench(&output, "load", "-b", "-c", "100", "-r", "2", "--json", "-q", "http://" URL);
	assert_int_equal(output.status, 0);
	result = parse(&output);
	assert_int_equal(number_at(result, "transactions"), 200);
	assert_int_equal(number_at(result, "failed"), 0);
	assert_int_equal(number_at(result, "connections"), 200);
	workers = json_object_get(result, "workers");
	assert_int_equal(json_array_size(workers), 4);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(number_at(json_array_get(workers, i), "connections"), 50);
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
	result = parse(&output);
	assert_true(number_at(result, "transactions") >= 98);
	/* the last one begins a second late, and is charged for it, not for its own 20 ms only */
	assert_true(number_at(result, "longest_ms") >= 800);
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
	result = parse(&refused);
	assert_int_equal(number_at(result, "failed"), 3);
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
	result = parse(&output);
	assert_int_equal(json_array_size(json_object_get(result, "peers")), 5);
	json_array_foreach(json_object_get(result, "peers"), i, peer) {
		if (json_object_get(peer, "missing"))
			fail_msg("%s: %s", json_string_value(json_object_get(peer, "peer")),
				 json_string_value(json_object_get(peer, "missing")));
		sample = json_array_get(json_object_get(peer, "samples"), 0);
		assert_true(number_at(sample, "rate") > 0);
		assert_int_equal(number_at(sample, "failed"), 0);
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_load_counts_per_worker),
		harness_test(test_open_loop_charges_the_wait),
		harness_test(test_failures_are_told_apart),
		harness_test(test_peers_serve_and_leave_nothing),
		harness_test(test_an_interrupt_leaves_nothing),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
