// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl run --forks: a program that makes its workers itself, each with a listening socket of its
 * own, which is a worker of the service.
 */
#include "harness/asks.h"
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/load.h"
#include "harness/maps.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS 4
#define EACH 50
#define URL "http://127.0.0.1:8080/"

static struct run run;
static struct show show;
static struct clients clients;

/* Below the source tree; static until the next call. */
static const char *source(const char *name)
{
	static char path[PATH_MAX];
	char relative[PATH_MAX];

	snprintf(relative, sizeof(relative), "../%s", name);
	if (!realpath(harness_build_path(relative), path))
		fail_msg("%s: not found", name);
	return path;
}

static void expect_spread(uint16_t port, unsigned int each)
{
	const unsigned int want[] = { each, each, each, each };

	clients_run(&clients, (struct client_plan){ .port = port, .connections = WORKERS * each });
	clients_expect(&clients, WORKERS, want);
}

/* As its number says; the events tell of all workers before. */
static void start(const char *option, const char *value)
{
	needs(bind_setsockopt);
	run_start(&run, "web", "--forks", "--policy", "rr", option ? option : "--ready-timeout",
		  option ? value : "20000", "--", "python3", source("tests/integration/prefork.py"),
		  "4", NULL);
	run_expect_up(&run, WORKERS);
	run_expect_events(&run, WORKERS, "joined", NULL);
}

/* The text of a key of a worker in show --json; static until the next call. */
static const char *shown(uint32_t worker, const char *key)
{
	static char text[256];
	json_t *view = lbctl_json("show", "web", "--json", NULL);
	const json_t *one = json_array_get(json_object_get(view, "workers"), worker);
	const json_t *value = json_object_get(one, key);

	snprintf(text, sizeof(text), "%s", json_is_string(value) ? json_string_value(value) : "");
	if (json_is_integer(value))
		snprintf(text, sizeof(text), "%lld", json_integer_value(value));
	json_decref(view);
	return text;
}

static bool is_up_with_another(uint32_t worker, pid_t before)
{
	show_read("web", &show);
	return show.nr_workers > worker && !strcmp(show.worker[worker].state, "up") &&
	       show.worker[worker].pid != before;
}

/* --- who is who --- */

/*
 * 1. the program tells its own events  2. 200 connections: 50 each  3. show names each by what
 * Node.js says of it
 */
static void test_cluster_as_it_is(void **state)
{
	char name[24];

	(void)state;
	needs_node();
	needs(bind_setsockopt);
	run_start(&run, "web", "--forks", "--policy", "rr", "--", "node",
		  source("tools/examples/cluster.js"), "4", NULL);
	run_expect_up(&run, WORKERS);
	run_expect_lines(&run, "[master] listening: worker", WORKERS);
	run_expect_events(&run, WORKERS, "joined", NULL);
	expect_spread(8124, EACH);
	for (uint32_t w = 0; w < WORKERS; w++) {
		snprintf(name, sizeof(name), "cluster worker %u", w + 1);
		assert_non_null(strstr(shown(w, "process"), "cluster worker "));
		run_expect_events(&run, 1, "joined", "{s:s}", "process", name);
	}
	run_stop(&run);
}

static void test_each_socket_is_a_worker(void **state)
{
	pid_t pids[WORKERS];
	json_t *view;

	(void)state;
	start(NULL, NULL);
	run_pids(&run, pids, WORKERS);
	for (int w = 0; w < WORKERS; w++) {
		run_expect_events(&run, 1, "joined", "{s:i, s:i}", "worker", w, "pid", pids[w]);
		for (int other = 0; other < w; other++)
			assert_int_not_equal(pids[w], pids[other]);
	}
	run_expect_events(&run, 1, "online", "{s:b}", "main", 1);
	expect_spread(0, 10);
	lbctl_ok("set-weight", "web", "1", "3", NULL);
	lbctl_ok("drain", "web", "0", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 50 });
	assert_int_equal(clients_of(&clients, 0), 0);
	assert_int_equal(clients_of(&clients, 1), 30);
	view = lbctl_json("list", "--json", NULL);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(view, 0), "workers")),
			 WORKERS);
	json_decref(view);
	run_stop(&run);
}

/* --- who ends --- */

/* What waited is served by the others; the program starts another, which has the number. */
static void test_a_worker_is_killed(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	needs(migrate);
	start(NULL, NULL);
	run_pids(&run, pids, WORKERS);
	/* what waits is to be there still when it is killed */
	lbctl_ok("set", "web", "stall_ms=0", "rescue_ms=0", NULL);
	kill(pids[2], SIGSTOP);
	wait_until(process_state(pids[2]) == 'T', RUN_MS);
	clients_begin(&clients, (struct client_plan){ .connections = 40, .at_once = 40 });
	clients_collect(&clients, 10);
	kill(pids[2], SIGKILL);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 40);
	wait_until(is_up_with_another(2, pids[2]), RUN_MS);
	run_expect_events(&run, 1, "left", "{s:i, s:i, s:i}", "worker", 2, "migrated", 10, "lost",
			  0);
	run_expect_events(&run, 2, "joined", "{s:i}", "worker", 2);
	assert_int_equal(show.nr_workers, WORKERS);
	assert_string_equal(shown(2, "restarts"), "1");
	assert_string_equal(shown(1, "restarts"), "0");
	expect_spread(0, 10);
	run_stop(&run);
}

static bool gets_some(int worker)
{
	clients_run(&clients, (struct client_plan){ .connections = 2 * WORKERS });
	return clients_of(&clients, worker);
}

/* Who hangs gets nothing more, and what waits there is moved. */
static void test_a_worker_hangs(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	needs(migrate);
	stalls_count = true;
	start(NULL, NULL);
	run_pids(&run, pids, WORKERS);
	kill(pids[1], SIGSTOP);
	wait_until(process_state(pids[1]) == 'T', RUN_MS);
	clients_run(&clients, (struct client_plan){ .connections = 40, .at_once = 40 });
	assert_int_equal(clients_of(&clients, 1), 0);
	run_expect_events(&run, 1, "stalled", "{s:i, s:i}", "worker", 1, "pid", pids[1]);
	assert_true(run_events(&run, "rescued", "{s:i}", "worker", 1) >= 1);
	kill(pids[1], SIGCONT);
	wait_until(gets_some(1), RUN_MS);
	run_expect_events(&run, 1, "recovered", "{s:i}", "worker", 1);
	stalls_count = false;
	run_stop(&run);
}

/* Its workers end with it, and it is started again: they have the same numbers. */
static void test_the_main_process_is_killed(void **state)
{
	const json_t *event;
	pid_t pids[WORKERS];

	(void)state;
	start(NULL, NULL);
	run_pids(&run, pids, WORKERS);
	event = run_event(&run, 0, "start", "{s:b}", "main", 1);
	kill(json_integer_value(json_object_get(event, "pid")), SIGKILL);
	run_expect_events(&run, 1, "exit", "{s:b, s:s, s:b}", "main", 1, "signal", "SIGKILL",
			  "unasked", 1);
	run_expect_events(&run, 2 * WORKERS, "joined", NULL);
	run_expect_up(&run, WORKERS);
	for (int w = 0; w < WORKERS; w++)
		assert_true(is_up_with_another(w, pids[w]));
	assert_int_equal(show.nr_workers, WORKERS);
	expect_spread(0, 10);
	run_stop(&run);
}

/* Traffic goes on, and the next keeper finds all as it is. */
static void test_the_keeper_is_killed(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	start(NULL, NULL);
	run_pids(&run, pids, WORKERS);
	run_kill(&run);
	expect_spread(0, 10);
	run_start_again(&run);
	run_expect_keeper(&run);
	run_expect_events(&run, 2, "online", NULL);
	run_expect_same(&run, pids, WORKERS);
	run_expect_events(&run, WORKERS, "joined", NULL);
	kill(pids[3], SIGKILL);
	wait_until(is_up_with_another(3, pids[3]), RUN_MS);
	assert_int_equal(show.nr_workers, WORKERS);
	expect_spread(0, 10);
	run_stop(&run);
}

/* --- reload --- */

/* No request fails, and all are others with the numbers of before. */
static void reload_under_load(void)
{
	struct job load;
	struct wrk wrk;
	pid_t pids[WORKERS];

	run_pids(&run, pids, WORKERS);
	lbctl_ok("set-weight", "web", "1", "2", NULL);
	wrk_start(&load, URL, "8", WRK_UNTIL_STOPPED);
	lbctl_ok("reload", "web", NULL);
	for (int w = 0; w < WORKERS; w++)
		assert_true(is_up_with_another(w, pids[w]));
	assert_int_equal(show.nr_workers, WORKERS);
	assert_int_equal(show.worker[1].weight, 2);
	wrk_stop(&load);
	wrk_wait(&load, &wrk);
	run_expect_no_failure(&run, &wrk);
	run_expect_events(&run, 1, "reload", "{s:i, s:i}", "status", 0, "lost", 0);
	assert_string_equal(shown(0, "restarts"), "0");
}

static void test_reload_by_its_own_signal(void **state)
{
	const json_t *event;
	pid_t pid;

	(void)state;
	needs(migrate);
	start("--reload-signal", "HUP");
	lbctl_expect(2, "goes on with its environment", "reload", "--update-env", "web", NULL);
	reload_under_load();
	event = run_event(&run, 0, "start", "{s:b}", "main", 1);
	pid = json_integer_value(json_object_get(event, "pid"));
	run_expect_events(&run, 1, "signal", "{s:b, s:i, s:i}", "main", 1, "pid", pid, "signal",
			  SIGHUP);
	run_expect_events(&run, 1, "start", NULL);
	run_stop(&run);
}

/* A second main process takes the first one's place when it has as many workers. */
static void test_reload_by_a_new_process(void **state)
{
	(void)state;
	needs(migrate);
	start(NULL, NULL);
	reload_under_load();
	run_expect_events(&run, 2, "start", "{s:b}", "main", 1);
	run_expect_events(&run, 1, "exit", "{s:b, s:b}", "main", 1, "unasked", 0);
	run_stop(&run);
}

static void test_reload_signals_that_do_not_reload(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	needs(bind_setsockopt);
	run_start(&run, "web", "--forks", "--ready-timeout", "2000", "--reload-signal", "CONT",
		  "--", "python3", source("tests/integration/prefork.py"), "4", NULL);
	run_expect_up(&run, WORKERS);
	run_pids(&run, pids, WORKERS);
	lbctl_expect(1, "has the same workers as before 2 s after SIGCONT", "reload", "web", NULL);
	run_expect_same(&run, pids, WORKERS);
	run_stop(&run);
	run_start(&run, "web", "--forks", "--reload-signal", "USR1", "--", "python3",
		  source("tests/integration/prefork.py"), "4", NULL);
	run_expect_up(&run, WORKERS);
	lbctl_expect(1, "main process killed by SIGUSR1", "reload", "web", NULL);
	run_expect_up(&run, WORKERS);
	run_stop(&run);
}

/* The same four sockets as before, and other processes that wait at them. */
static void test_nginx(void **state)
{
	struct job load;
	struct wrk wrk;

	(void)state;
	needs(bind_setsockopt);
	mkdir(HARNESS_DIR "/nginx", 0755);
	file_write(HARNESS_DIR "/nginx.conf",
		   "daemon off;\nworker_processes 4;\npid " HARNESS_DIR "/nginx.pid;\n"
		   "error_log /dev/null;\nevents { }\n"
		   "http { access_log off; server { listen 8080 reuseport; "
		   "add_header X-Worker $pid; return 200; } }\n");
	run_start(&run, "web", "--forks", "--policy", "rr", "--reload-signal", "HUP", "--", "nginx",
		  "-p", HARNESS_DIR "/nginx", "-c", HARNESS_DIR "/nginx.conf", NULL);
	run_expect_up(&run, WORKERS);
	run_expect_events(&run, WORKERS, "joined", "{s:s}", "process", "nginx: worker process");
	clients_run(&clients, (struct client_plan){ .connections = WORKERS * EACH });
	show_read("web", &show);
	for (int w = 0; w < WORKERS; w++)
		assert_int_equal(show.worker[w].selected, EACH);
	wrk_start(&load, URL, "8", WRK_UNTIL_STOPPED);
	lbctl_ok("reload", "web", NULL);
	wrk_stop(&load);
	wrk_wait(&load, &wrk);
	run_expect_no_failure(&run, &wrk);
	run_stop(&run);
}

/* --- what is said --- */

static void test_one_shared_socket(void **state)
{
	(void)state;
	needs(bind_setsockopt);
	run_start(&run, "web", "--forks", "--", "python3", source("tests/integration/prefork.py"),
		  "4", "shared", NULL);
	run_expect_up(&run, 1);
	run_expect_events(&run, 1, "shared-socket", "{s:s}", "text",
			  "one socket that 5 processes share");
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	run_stop(&run);
}

static void test_what_is_the_program_s_own(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	start(NULL, NULL);
	run_pids(&run, pids, WORKERS);
	lbctl_expect(2, "their number is its own setting", "scale", "web", "6", NULL);
	lbctl_expect(2, "makes the workers itself", "restart", "web", "1", NULL);
	lbctl_expect(2, "only its main process has a channel", "send", "web", "1", "{}", NULL);
	lbctl_expect(3, "no such worker", "signal", "web", "9", "TERM", NULL);
	lbctl_ok("signal", "web", "1", "TERM", NULL);
	run_expect_events(&run, 1, "signal", "{s:i, s:i, s:i}", "worker", 1, "pid", pids[1],
			  "signal", SIGTERM);
	wait_until(is_up_with_another(1, pids[1]), RUN_MS);
	lbctl_ok("signal", "web", "all", "CONT", NULL);
	run_expect_events(&run, 1, "signal", "{s:b, s:i}", "main", 1, "signal", SIGCONT);
	run_stop(&run);
}

static unsigned int count_told(void)
{
	return run_events(&run, "joined", NULL) + run_events(&run, "left", NULL);
}

/*
 * 1. 120 processes of user nobody open and close sockets without end: that is told
 * 2. they fill no log: once each has its slot, no more are told of than 10 a second, and one for
 *    each ten slots
 * 3. a reload is done all the same, although there are sockets without a slot at any time
 */
static void test_sockets_without_end(void **state)
{
	unsigned int before;
	uint64_t begin_ns;

	(void)state;
	needs(bind_setsockopt);
	run_start(&run, "web", "--forks", "--user", "nobody", "--", "python3",
		  source("tests/integration/churn.py"), "120", NULL);
	wait_until(run_events(&run, "flood", NULL) > 0, RUN_MS);
	sleep(2);
	before = count_told();
	begin_ns = now_ns();
	sleep(4);
	assert_true(count_told() - before <= 23 * ((now_ns() - begin_ns) / 1000000000 + 2));
	lbctl_ok("reload", "web", NULL);
	run_stop(&run);
}

/* One whose lower half is a worker's number is none. */
static void test_a_number_that_is_too_long(void **state)
{
	char text[4096];
	int fd;

	(void)state;
	start(NULL, NULL);
	fd = by_packets();
	say(fd, "{\"verb\":\"signal\",\"worker\":4294967297,\"signal\":23}");
	assert_int_equal(hear(fd, text), 3);
	say(fd, "{\"verb\":\"signal\",\"worker\":1,\"signal\":23}");
	assert_int_equal(hear(fd, text), 0);
	close(fd);
	run_stop(&run);
}

static void test_options_that_do_not_go_together(void **state)
{
	static const char *const rows[][4] = {
		{ "--forks", "-n", "4", "-n does not go with --forks" },
		{ "--forks", "--listen", ":8080", "--listen does not go with --forks" },
		{ "--forks", "--offset-port", "9090", "--offset-port does not go" },
		{ "--forks", "--port", "udp/8080", "--forks is for TCP" },
		{ "--forks", "--reload-signal", "NO", "--reload-signal NO: not a signal" },
		{ "--allow-join", "--reload-signal", "HUP", "--forks" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		lbctl_expect(2, rows[i][3], "run", "--name", "web", rows[i][0], rows[i][1],
			     rows[i][2], "--", "true", NULL);
	lbctl_expect(0, "would run true, which makes its workers itself", "run", "--name", "web",
		     "--forks", "--dry-run", "--", "true", NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_cluster_as_it_is),
		runs_test(test_each_socket_is_a_worker),
		runs_test(test_a_worker_is_killed),
		runs_test(test_a_worker_hangs),
		runs_test(test_the_main_process_is_killed),
		runs_test(test_the_keeper_is_killed),
		runs_test(test_reload_by_its_own_signal),
		runs_test(test_reload_by_a_new_process),
		runs_test(test_reload_signals_that_do_not_reload),
		runs_test(test_nginx),
		runs_test(test_one_shared_socket),
		runs_test(test_what_is_the_program_s_own),
		runs_test(test_sockets_without_end),
		runs_test(test_a_number_that_is_too_long),
		runs_test(test_options_that_do_not_go_together),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
