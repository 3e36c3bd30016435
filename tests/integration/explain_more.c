// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl explain of what it was not written for, and of services that are well, by any policy:
 * nothing stands out there.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/datagrams.h"
#include "harness/explains.h"
#include "harness/maps.h"
#include "harness/measured.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static struct run run;
static struct demo demos[WORKERS];

/* --- five more, that the rules were not written for --- */

/* Stopped for 40 of each 50 ms, as a cgroup with cpu.max has it. */
static pid_t throttle_start(pid_t pid)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		kill(pid, SIGSTOP);
		usleep(40000);
		kill(pid, SIGCONT);
		usleep(10000);
	}
}

static void test_throttled_worker(void **state)
{
	pid_t pids[WORKERS], throttle;

	(void)state;
	needs_latency();
	explain_run(&run, "4", "least-conn", "--work-us", "2000");
	run_pids(&run, pids, WORKERS);
	lbctl_ok("set", "web", "latency=on", NULL);
	throttle = throttle_start(pids[2]);
	traffic_start(1, "/");
	sleep(1);
	explain_carry_out(explain_expect("10", "slow", 2, "lbctl set-policy web least-latency"));
	sleep(1);
	explain_nothing("5");
	traffic_stop();
	kill(throttle, SIGKILL);
	waitpid(throttle, NULL, 0);
	kill(pids[2], SIGCONT);
	run_stop(&run);
}

/* All sockets are new, and nobody watches. */
static void test_server_that_was_restarted(void **state)
{
	(void)state;
	demo_start_many(demos, WORKERS, ":8080");
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	for (int i = 0; i < WORKERS; i++)
		demo_kill(&demos[i], SIGKILL);
	demo_start_many(demos, WORKERS, ":8080");
	traffic_start(1, "/");
	explain_carry_out(explain_expect("1", "not-steered", -1, "lbctl attach"));
	explain_nothing("1");
	traffic_stop();
}

/* One that has come beside the workers. */
static void test_socket_that_came_later(void **state)
{
	(void)state;
	demo_start_many(demos, WORKERS - 1, ":8080");
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	demo_start(&demos[WORKERS - 1], WORKERS - 1, "--listen", ":8080", NULL);
	explain_carry_out(explain_expect("1", "left-out", -1, "lbctl attach --name web"));
	explain_nothing("1");
}

/* Attached by hand beside the workers of a run, which does not start it. */
static void test_stranger_of_a_run(void **state)
{
	(void)state;
	explain_run(&run, "2", "rr", NULL, NULL);
	demo_start(&demos[2], 2, "--listen", "127.0.0.1:8080", NULL);
	lbctl_ok("attach", "--name", "web", "127.0.0.1:8080", NULL);
	demo_kill(&demos[2], SIGKILL);
	json_decref(explain_expect("1", "down", 2, "none of run's workers"));
	run_stop(&run);
}

/* All the work comes by one connection that is kept. */
static void test_one_heavy_connection(void **state)
{
	const char *request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	pid_t child, pids[WORKERS];
	char answer[512];

	(void)state;
	explain_run(&run, "4", "least-conn", "--work-us", "5000");
	/* a share of a CPU is to be had, whatever else the machine does */
	run_pids(&run, pids, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		setpriority(PRIO_PROCESS, pids[i], -19);
	traffic_start(1, "/stats");
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		int fd = explain_connect(INADDR_LOOPBACK);

		setpriority(PRIO_PROCESS, 0, -19);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (write(fd, request, strlen(request)) > 0 &&
		       read(fd, answer, sizeof(answer)) > 0)
			continue;
		_exit(1);
	}
	sleep(1);
	json_decref(
		explain_expect("3", "hot", -2, "no setting helps: a connection stays where it is"));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	explain_nothing("2");
	traffic_stop();
	run_stop(&run);
}

/* Room for two, and forty clients. */
static void test_short_queues(void **state)
{
	static struct clients clients;
	pid_t child;

	(void)state;
	for (int i = 0; i < WORKERS; i++)
		demo_start(&demos[i], i, "--listen", ":8080", "--backlog", "2", "--sleep-us",
			   "30000", NULL);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			clients_run(&clients, (struct client_plan){ .connections = 4000,
								    .at_once = 60,
								    .deadline_ms = 600000 });
	}
	sleep(1);
	json_decref(explain_expect("3", "full", -1, "or a longer backlog"));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	sleep(1);
	explain_nothing("2");
}

/* A slow worker that is to have four times what the others have; then it is slow for its share. */
static void test_weight_that_does_not_fit(void **state)
{
	(void)state;
	needs_latency();
	explain_run(&run, "3", "rr", "--slow", "1:5000");
	lbctl_ok("set-weight", "web", "1", "4", NULL);
	lbctl_ok("set", "web", "latency=on", NULL);
	traffic_start(1, "/");
	sleep(1);
	explain_carry_out(explain_expect("3", "weight", 1, "lbctl set-weight web 1 1"));
	json_decref(explain_expect("3", "slow", 1, "lbctl set-policy web least-latency"));
	traffic_stop();
	run_stop(&run);
}

static void test_nobody_reports(void **state)
{
	(void)state;
	explain_run(&run, "4", "least-load", NULL, NULL);
	traffic_start(1, "/");
	explain_carry_out(explain_expect("2", "silent", -1, "lbctl set-policy web least-conn"));
	explain_nothing("2");
	traffic_stop();
	run_stop(&run);
}

/* --- a service that is well --- */

static void test_healthy_service_under_load(void **state)
{
	static const char *const policies[] = { "least-conn", "rr",	"least-latency",
						"random",     "kernel", "hash" };

	(void)state;
	explain_run(&run, "4", "least-conn", "--sleep-us", "1000");
	traffic_start(200, "/");
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		lbctl_ok("set-policy", "web", policies[i], NULL);
		explain_nothing("3");
	}
	traffic_stop();
	explain_nothing("1");
	run_stop(&run);
}

static void test_healthy_service_that_reports(void **state)
{
	(void)state;
	run_start(&run, "web", "-n", "4", "--policy", "least-load", "--", run_demo(), "-q", "-n",
		  "1", "--listen", "127.0.0.1:8080", "--report", "--sleep-us", "1000", NULL);
	run_expect_up(&run, WORKERS);
	traffic_start(200, "/");
	sleep(1);
	explain_nothing("3");
	traffic_stop();
	run_stop(&run);
}

/* From many addresses, as fast as the answers come. */
static pid_t datagrams_start(void)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint32_t n = 0;; n++) {
		int fd = udp_client(INADDR_LOOPBACK + n % 200, 0);

		udp_say(fd, false, 1);
		udp_hear(fd);
		close(fd);
	}
}

static void test_healthy_datagrams(void **state)
{
	static const char *const policies[] = { "rr", "hash", "least-conn", "kernel" };
	pid_t child;

	(void)state;
	udp_start(ONLY4, "rr");
	child = datagrams_start();
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		lbctl_ok("set-policy", "dns", policies[i], NULL);
		explain_nothing("2");
	}
	assert_true(counters_decisions("dns") > 1000);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	for (int i = 0; i < WORKERS; i++)
		udp_worker_end(i, SIGTERM);
}

/* One line, and 0, also where nobody comes and where a signal ends it. */
static void test_one_line(void **state)
{
	struct output output;
	struct job job;

	(void)state;
	explain_run(&run, "2", "rr", NULL, NULL);
	lbctl_run(&output, "explain", "--for", "1", NULL);
	assert_int_equal(output.status, 0);
	assert_string_equal(output.out, "web: nothing stands out; nothing has come for 1 s, so "
					"this goes by the states and counters as they are\n");
	output_free(&output);
	lbctl_start(&job, "explain", "web", "--for", "1000", NULL);
	sleep(1);
	kill(job.pid, SIGINT);
	job_wait(&job, &output);
	assert_int_equal(output.status, 0);
	assert_non_null(strstr(output.out, "web: nothing stands out"));
	output_free(&output);
	lbctl_expect(2, "not a number of seconds", "explain", "web", "--for", "0", NULL);
	lbctl_expect(3, "no such service", "explain", "wab", NULL);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_throttled_worker),
		runs_test(test_server_that_was_restarted),
		runs_test(test_socket_that_came_later),
		runs_test(test_stranger_of_a_run),
		runs_test(test_one_heavy_connection),
		runs_test(test_short_queues),
		runs_test(test_weight_that_does_not_fit),
		runs_test(test_nobody_reports),
		runs_test(test_healthy_service_under_load),
		runs_test(test_healthy_service_that_reports),
		runs_test(test_healthy_datagrams),
		runs_test(test_one_line),
	};

	(void)argc;
	stalls_count = true;
	return runs_run(argv[0], tests);
}
