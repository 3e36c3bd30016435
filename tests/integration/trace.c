// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl trace: it tells of each decision as it was made, says what it missed, and leaves nothing,
 * however it ends.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/load.h"
#include "harness/maps.h"
#include "harness/runs.h"
#include "harness/show.h"
#include "harness/world.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 4
#define LINES HARNESS_DIR "/trace"
#define ERRORS HARNESS_DIR "/trace.err"

static struct run run;
static struct clients clients;
static pid_t tracer;

/* --- a trace in the background --- */

static bool can_trace(void)
{
	return !access(HARNESS_PINS "/web/lb_trace", F_OK);
}

static bool is_tracing(void)
{
	struct lb_config *config = map_mmap("web", "lb_config", sizeof(*config));
	bool is = config->trace_until_ns >= now_ns();

	munmap(config, sizeof(*config));
	return is;
}

static bool has_ring(void)
{
	int outer = map_open("web", "lb_trace");
	uint32_t zero = 0, id = 0;
	bool has = !bpf_map_lookup_elem(outer, &zero, &id) && id;

	close(outer);
	return has;
}

static pid_t trace_start(const char *option, const char *value)
{
	pid_t pid;

	if (!can_trace()) {
		print_message("needs programs that trace, which this kernel refuses\n");
		skip();
	}
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		int out = open(LINES, O_WRONLY | O_CREAT | O_TRUNC, 0644);
		int err = open(ERRORS, O_WRONLY | O_CREAT | O_TRUNC, 0644);

		dup2(out, STDOUT_FILENO);
		dup2(err, STDERR_FILENO);
		execl(harness_build_path("lbctl"), "lbctl", "trace", "web", "--json", option, value,
		      NULL);
		_exit(127);
	}
	wait_until(is_tracing(), RUN_MS);
	return pid;
}

static void trace_end(pid_t pid, int signal)
{
	int status = 0;

	if (signal)
		kill(pid, signal);
	wait_until(waitpid(pid, &status, WNOHANG) == pid, RUN_MS);
	if (signal != SIGKILL)
		assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	wait_until(!is_tracing() && !has_ring(), RUN_MS);
}

static size_t lines_so_far(void)
{
	char *text = file_read(LINES);
	size_t n = 0;

	for (const char *at = text; (at = strchr(at, '\n')); at++)
		n++;
	free(text);
	return n;
}

/* Each line, as JSON, in an array. */
static json_t *lines_read(void)
{
	char *text = file_read(LINES), *rest = text, *line;
	json_t *rows = json_array();

	while ((line = strsep(&rest, "\n"))) {
		json_t *row = *line ? json_loads(line, 0, NULL) : NULL;

		if (*line && !row)
			fail_msg("not JSON: %s", line);
		if (row)
			json_array_append_new(rows, row);
	}
	free(text);
	return rows;
}

static json_int_t int_of(const json_t *row, const char *key)
{
	const json_t *value = json_object_get(row, key);

	return json_is_integer(value) ? json_integer_value(value) : -1;
}

static const char *text_of(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text ? text : "";
}

static const json_t *candidate(const json_t *row, int worker)
{
	const json_t *rows = json_object_get(row, "candidates");

	for (size_t i = 0; i < json_array_size(rows); i++) {
		if (int_of(json_array_get(rows, i), "worker") == worker)
			return json_array_get(rows, i);
	}
	fail_msg("worker %d is not among those that were looked at", worker);
	return NULL;
}

/* --- what it tells --- */

/*
 * 1. rr: each is as its client has it
 * 2. worker 2 drained: it is never taken, and that is why
 * 3. least-conn: who is taken has the least cost
 */
static void test_each_decision(void **state)
{
	static struct clients in_turn;
	json_t *rows;

	(void)state;
	run_start_shared(&run, WORKERS);
	stalls_forgive();
	lbctl_ok("set-policy", "web", "rr", NULL);
	tracer = trace_start(NULL, NULL);
	clients_run(&in_turn, (struct client_plan){ .connections = 8 });
	lbctl_ok("drain", "web", "2", NULL);
	lbctl_ok("set-policy", "web", "least-conn", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 9, .at_once = 3 });
	wait_until(lines_so_far() == 17, RUN_MS);
	trace_end(tracer, SIGINT);
	rows = lines_read();
	for (size_t i = 0; i < 17; i++) {
		const json_t *row = json_array_get(rows, i);
		int worker = int_of(row, "worker");
		double least, cost;

		assert_int_equal(json_array_size(json_object_get(row, "candidates")), WORKERS);
		assert_int_equal(strncmp(text_of(row, "client"), "127.0.0.1:", 10), 0);
		assert_string_equal(text_of(row, "listener"), "0.0.0.0:8080");
		assert_string_equal(text_of(row, "policy"), i < 8 ? "rr" : "least-conn");
		assert_true(json_is_false(json_object_get(row, "migrated")));
		assert_string_equal(text_of(candidate(row, 2), "out"), i < 8 ? "" : "draining");
		if (i < 8) {
			assert_int_equal(worker, in_turn.worker[i]);
			assert_int_equal(worker, int_of(row, "picked"));
			assert_true(json_is_null(json_object_get(candidate(row, 0), "cost")));
			continue;
		}
		assert_int_not_equal(worker, 2);
		least = json_real_value(json_object_get(candidate(row, worker), "cost"));
		for (int other = 0; other < WORKERS; other++) {
			cost = json_real_value(json_object_get(candidate(row, other), "cost"));
			assert_true(other == 2 || least <= cost);
		}
		assert_true(least >= 1);
	}
	json_decref(rows);
	run_stop(&run);
}

/* Only one worker's, and an end after so many; who is not there is an error. */
static void test_options(void **state)
{
	json_t *rows;

	(void)state;
	run_start_shared(&run, WORKERS);
	stalls_forgive();
	lbctl_ok("set-policy", "web", "rr", NULL);
	tracer = trace_start("--worker", "1");
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	wait_until(lines_so_far() == 5, RUN_MS);
	trace_end(tracer, SIGTERM);
	rows = lines_read();
	for (size_t i = 0; i < json_array_size(rows); i++)
		assert_int_equal(int_of(json_array_get(rows, i), "worker"), 1);
	json_decref(rows);
	tracer = trace_start("--count", "3");
	clients_run(&clients, (struct client_plan){ .connections = 8 });
	trace_end(tracer, 0);
	assert_int_equal(lines_so_far(), 3);
	lbctl_expect(3, "no worker 4 in web: it has 4", "trace", "web", "--worker", "4", NULL);
	lbctl_expect(2, "not a worker's number", "trace", "web", "--worker", "x", NULL);
	lbctl_expect(2, "not a number of decisions", "trace", "web", "--count", "0", NULL);
	run_stop(&run);
}

/* Each worker stands there once, and not with the slot that it had before. */
static void test_after_a_reload(void **state)
{
	json_t *rows;

	(void)state;
	run_start_shared(&run, WORKERS);
	stalls_forgive();
	lbctl_ok("reload", "web", NULL);
	tracer = trace_start("--count", "1");
	clients_run(&clients, (struct client_plan){ .connections = 1 });
	trace_end(tracer, 0);
	rows = lines_read();
	assert_int_equal(json_array_size(json_object_get(json_array_get(rows, 0), "candidates")),
			 WORKERS);
	for (int worker = 0; worker < WORKERS; worker++)
		assert_string_equal(text_of(candidate(json_array_get(rows, 0), worker), "out"), "");
	json_decref(rows);
	run_stop(&run);
}

/* What waits at a worker that ends: where it came from, and who has it then. */
static void test_migration_and_stall(void **state)
{
	unsigned int migrated = 0, stalled = 0;
	static struct show show;
	json_t *rows;
	pid_t stuck;

	(void)state;
	needs(migrate);
	stalls_count = true;
	run_start_shared(&run, 2);
	lbctl_ok("set-policy", "web", "rr", NULL);
	lbctl_ok("set", "web", "rescue_ms=0", NULL);
	show_read("web", &show);
	stuck = show.worker[1].pid;
	kill(stuck, SIGSTOP);
	tracer = trace_start(NULL, NULL);
	clients_begin(&clients, (struct client_plan){ .connections = 6, .at_once = 6 });
	clients_collect(&clients, 3);
	usleep(scaled_ms(300) * 1000);
	clients_run(&(struct clients){ 0 }, (struct client_plan){ .connections = 2 });
	kill(stuck, SIGKILL);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 6);
	wait_until(lines_so_far() >= 11, RUN_MS);
	trace_end(tracer, SIGINT);
	rows = lines_read();
	for (size_t i = 0; i < json_array_size(rows); i++) {
		const json_t *row = json_array_get(rows, i);

		stalled += !strcmp(text_of(candidate(row, 1), "out"), "stalled") &&
			   !json_is_true(json_object_get(row, "migrated"));
		if (!json_is_true(json_object_get(row, "migrated")))
			continue;
		migrated++;
		assert_int_equal(int_of(row, "from"), 1);
		assert_int_equal(int_of(row, "worker"), 0);
		assert_int_equal(strncmp(text_of(row, "client"), "127.0.0.1:", 10), 0);
	}
	assert_int_equal(migrated, 3);
	assert_true(stalled >= 1);
	stalls_count = false;
	json_decref(rows);
	run_stop(&run);
}

/* A connection that waits for an idle worker is held, and then comes from nowhere. */
static void test_held(void **state)
{
	unsigned int held = 0, let_go = 0, busy = 0;
	json_t *rows;

	(void)state;
	needs(hold);
	run_start(&run, "web", "-n", "2", "--policy", "least-conn", "--", run_demo(), "-q", "-n",
		  "1", "--listen", "127.0.0.1:8080", "--sleep-us", "20000", NULL);
	run_expect_up(&run, 2);
	stalls_forgive();
	lbctl_ok("set", "web", "hold_ms=2000", NULL);
	tracer = trace_start(NULL, NULL);
	clients_run(&clients, (struct client_plan){ .connections = 30, .at_once = 6 });
	trace_end(tracer, SIGINT);
	rows = lines_read();
	for (size_t i = 0; i < json_array_size(rows); i++) {
		const json_t *row = json_array_get(rows, i);
		bool is_held = json_is_true(json_object_get(row, "held"));

		held += is_held;
		let_go += json_is_true(json_object_get(row, "migrated")) &&
			  int_of(row, "worker") >= 0;
		if (is_held) {
			assert_int_equal(int_of(row, "worker"), -1);
			busy += json_is_true(json_object_get(candidate(row, 0), "busy")) &&
				json_is_true(json_object_get(candidate(row, 1), "busy"));
		}
	}
	assert_true(held && let_go && busy);
	json_decref(rows);
	run_stop(&run);
}

/* --- how it ends --- */

/* One at a time; killed, its ring goes all the same, and the next one can begin. */
static void test_one_at_a_time(void **state)
{
	(void)state;
	run_start_shared(&run, 2);
	for (int i = 0; i < 3; i++) {
		tracer = trace_start(NULL, NULL);
		assert_true(has_ring());
		lbctl_expect(1, "another lbctl trace reads web", "trace", "web", NULL);
		trace_end(tracer, SIGKILL);
	}
	tracer = trace_start(NULL, NULL);
	clients_run(&clients, (struct client_plan){ .connections = 4 });
	wait_until(lines_so_far() == 4, RUN_MS);
	trace_end(tracer, SIGINT);
	run_stop(&run);
}

/* The service ends: so does the trace. */
static void test_service_ends(void **state)
{
	(void)state;
	run_start_shared(&run, 2);
	tracer = trace_start(NULL, NULL);
	run_stop(&run);
	/* who looks for what is left may have been told of its end before us */
	wait_until(waitpid(tracer, NULL, WNOHANG) != 0, RUN_MS);
}

/* --- under load --- */

/*
 * A reader that stands still: all is served, and what it did not get is counted and said; what it
 * got and what is missing is every decision.
 */
static void test_dropped(void **state)
{
	struct counters before, after;
	struct job load;
	struct wrk wrk;
	uint64_t decisions;
	char *errors, *end;

	(void)state;
	run_start_shared(&run, WORKERS);
	stalls_forgive();
	/* what is held is told twice, and decided once */
	lbctl_ok("set", "web", "hold_ms=0", NULL);
	counters_read("web", &before);
	decisions = counters_decisions("web");
	tracer = trace_start(NULL, NULL);
	/* in shorter stops than the programs' patience */
	wrk_start(&load, "http://127.0.0.1:8080/", "16", 4);
	for (int i = 0; i < 4; i++) {
		kill(tracer, SIGSTOP);
		usleep(scaled_load(900) * 1000);
		kill(tracer, SIGCONT);
		usleep(scaled_ms(100) * 1000);
	}
	wrk_wait(&load, &wrk);
	wrk_expect_no_failure(&wrk);
	decisions = counters_decisions("web") - decisions;
	usleep(scaled_ms(1500) * 1000);
	trace_end(tracer, SIGINT);
	counters_read("web", &after);
	errors = file_read(ERRORS);
	end = strstr(errors, " decisions are missing here");
	if (after.untraced == before.untraced) {
		free(errors);
		print_message("%lu decisions: too few to be dropped\n", (unsigned long)decisions);
		skip();
	}
	assert_non_null(end);
	assert_int_equal(lines_so_far() + after.untraced - before.untraced, decisions);
	free(errors);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_each_decision),	runs_test(test_options),
		runs_test(test_after_a_reload), runs_test(test_migration_and_stall),
		runs_test(test_held),		runs_test(test_one_at_a_time),
		runs_test(test_service_ends),	runs_test(test_dropped),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
