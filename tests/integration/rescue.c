// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What waits at a worker that hangs is moved to the others by the keeper. LB_TEST_STOPS
 * (environment) is how often test_answered_meanwhile stops a worker.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/events.h"
#include "harness/load.h"
#include "harness/maps.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORKERS 4
#define MOVED_MS                                                                                   \
	5000 /* until what waits must be answered, on a machine that has other things to do */

static struct run run;
static struct clients clients;
static struct show show;
static pid_t pids[WORKERS];

static json_int_t rescues(void)
{
	json_t *json = lbctl_json("show", "web", "--json", NULL);
	json_int_t n =
		json_integer_value(json_object_get(json_object_get(json, "totals"), "rescued"));

	json_decref(json);
	return n;
}

static void set_quick(void)
{
	lbctl_ok("set", "web", "stall_ms=100", "rescue_ms=100", NULL);
}

static void start_run(void)
{
	run_start(&run, "web", "-n", "4", "--", run_demo(), "--no-reuseport", "--listen", ":8080",
		  NULL);
	run_pids(&run, pids, WORKERS);
	set_quick();
}

/* All of them are answered although one worker hangs, none by that one. */
static void expect_moved(unsigned int connections, int hung)
{
	clients_run(&clients, (struct client_plan){ .connections = connections,
						    .at_once = connections,
						    .deadline_ms = MOVED_MS });
	print_message("%u connections, one worker hangs: all answered within %llu ms\n",
		      connections, (unsigned long long)clients.longest_ns / 1000000);
	assert_int_equal(clients_of(&clients, hung), 0);
}

static bool takes_part(int worker)
{
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	return clients_of(&clients, worker) > 0;
}

/*
 * 1. worker 1 is stopped, 40 connections come: all are answered, its 10 by others; counters follow
 * 2. show and events say so; the operator's stop is an operator's stop still
 * 3. more come while it is stopped: all are answered
 * 4. it goes on and takes part again, exactly
 */
static void test_stopped_worker(void **state)
{
	static const unsigned int quarter[] = { 10, 10, 10, 10 };
	struct counters before;

	(void)state;
	needs(migrate);
	start_run();
	counters_read("web", &before);
	kill(pids[1], SIGSTOP);
	expect_moved(40, 1);
	run_expect_events(&run, 1, "rescued", "{s:i, s:i}", "worker", 1, "migrated", 10);
	run_expect_events(&run, 1, "stalled", "{s:i}", "worker", 1);
	assert_int_equal(rescues(), 1);
	show_read("web", &show);
	assert_string_equal(show.worker[1].state, "stalled");
	assert_int_equal(show.worker[1].selected, 10);
	assert_int_equal(show.worker[1].migrated_out, 10);
	assert_int_equal(show.worker[1].live, 0);
	assert_int_equal(show.migrated, 10);
	assert_int_equal(show.fallback, 0);
	wait_until(process_state(pids[1]) == 'T', RUN_MS);

	for (int i = 0; i < 3; i++)
		expect_moved(400, 1);
	/* it may be held at the moment, for a connection that came as a probe */
	wait_until(process_state(pids[1]) == 'T', RUN_MS);
	kill(pids[1], SIGCONT);
	wait_until(takes_part(1), RUN_MS);
	run_expect_events(&run, 1, "recovered", "{s:i}", "worker", 1);
	/* others, too, may not get a CPU for 100 ms */
	lbctl_ok("set", "web", "stall_ms=0", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	clients_expect(&clients, WORKERS, quarter);
	show_read("web", &show);
	assert_string_equal(show.worker[1].state, "up");
	run_stop(&run);
}

/*
 * Stopped and continued under load, six times: not one request fails. By rr, which sends a worker
 * connections until it knows that it hangs; least-conn need not, if it has a fair share open.
 */
static void test_under_load(void **state)
{
	struct job traffic;
	struct wrk wrk;

	(void)state;
	needs(migrate);
	start_run();
	lbctl_ok("set-policy", "web", "rr", NULL);
	wrk_start(&traffic, "http://127.0.0.1:8080/", "16", 60);
	for (int i = 0; i < 6; i++) {
		kill(pids[i % WORKERS], SIGSTOP);
		wait_until(rescues() > i, RUN_MS);
		kill(pids[i % WORKERS], SIGCONT);
	}
	wrk_stop(&traffic);
	wrk_wait(&traffic, &wrk);
	wrk_expect_no_failure(&wrk);
	show_read("web", &show);
	print_message("%lu requests, %llu moved\n", wrk.requests,
		      (unsigned long long)show.migrated);
	assert_int_equal(show.fallback, 0);
	run_stop(&run);
}

static int compare_times(const void *a, const void *b)
{
	uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

	return (one > other) - (one < other);
}

/*
 * A worker is stopped under load, again and again: nobody whom it has not accepted waits for it to
 * go on. How long they do wait is printed; it depends on what else the machine does.
 */
static void test_answered_meanwhile(void **state)
{
	const unsigned int rounds = load_asked("LB_TEST_STOPS", 3);
	uint64_t longest_ns[1000];
	struct job traffic;
	struct wrk wrk;

	(void)state;
	needs(migrate);
	assert_in_range(rounds, 1, ARRAY_SIZE(longest_ns));
	start_run();
	lbctl_ok("set-policy", "web", "rr", NULL);
	wrk_start(&traffic, "http://127.0.0.1:8080/", "16", WRK_UNTIL_STOPPED);
	for (unsigned int i = 0; i < rounds; i++) {
		kill(pids[i % WORKERS], SIGSTOP);
		clients_run(&clients, (struct client_plan){ .connections = 40,
							    .at_once = 40,
							    .deadline_ms = MOVED_MS });
		longest_ns[i] = clients.longest_ns;
		assert_int_equal(clients_of(&clients, i % WORKERS), 0);
		kill(pids[i % WORKERS], SIGCONT);
		wait_until(takes_part(i % WORKERS), RUN_MS);
		/* a worker is rescued once a second at most */
		usleep(1200 * 1000 / WORKERS);
	}
	wrk_stop(&traffic);
	wrk_wait(&traffic, &wrk);
	wrk_expect_no_failure(&wrk);
	qsort(longest_ns, rounds, sizeof(*longest_ns), compare_times);
	print_message("stopped %u times: the slowest of 40 connections took %llu ms (median), "
		      "%llu (p90), %llu (most)\n",
		      rounds, (unsigned long long)longest_ns[rounds / 2] / 1000000,
		      (unsigned long long)longest_ns[rounds * 9 / 10] / 1000000,
		      (unsigned long long)longest_ns[rounds - 1] / 1000000);
	run_stop(&run);
}

/* The keeper is killed while a worker hangs; the next one moves what waits. */
static void test_next_keeper(void **state)
{
	(void)state;
	needs(migrate);
	start_run();
	lbctl_ok("set", "web", "rescue_ms=0", NULL);
	kill(pids[2], SIGSTOP);
	clients_begin(&clients, (struct client_plan){ .connections = 40, .at_once = 40 });
	clients_collect(&clients, 10);
	run_kill(&run);
	lbctl_ok("set", "web", "rescue_ms=100", NULL);
	run_start_again(&run);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 40);
	assert_int_equal(clients_of(&clients, 2), 0);
	kill(pids[2], SIGCONT);
	wait_until(takes_part(2), RUN_MS);
	run_stop(&run);
}

#define LOOPS HARNESS_DIR "/loops" /* as long as it is there */

static const char node_server[] = "require('http').createServer((request, answer) => {\n"
				  "  const loops = request.url == '/loop';\n"
				  "  if (loops) console.log('looping');\n"
				  "  while (loops && require('fs').existsSync('" LOOPS "'));\n"
				  "  answer.setHeader('X-Worker', process.pid);\n"
				  "  answer.end('hello');\n"
				  "}).listen(8080);\n";

static int ask(const char *text)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(8080) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static uint64_t last_probe_ns(void)
{
	struct lb_stall *stalls =
		map_mmap("web", "listener0/lb_stalls", COUNTERS_SLOTS * sizeof(*stalls));
	uint64_t last_ns = 0;

	for (int slot = 0; slot < COUNTERS_SLOTS; slot++) {
		if (stalls[slot].probed_ns > last_ns)
			last_ns = stalls[slot].probed_ns;
	}
	munmap(stalls, COUNTERS_SLOTS * sizeof(*stalls));
	return last_ns;
}

/*
 * The worker has ended a connection since it was rescued: so it is at work again, and gets its
 * share without one more probe (a slow machine has sent one meanwhile).
 */
static void expect_at_work(int worker)
{
	uint64_t before_ns = last_probe_ns();

	wait_until(takes_part(worker), RUN_MS);
	assert_int_equal(last_probe_ns(), before_ns);
}

/* A Node.js worker in a loop without an end: others answer for it, and its own client after it. */
static void test_endless_loop(void **state)
{
	static const char request[] = "GET /loop HTTP/1.0\r\n\r\n";
	char answer[1024] = "", *header;
	unsigned int looping = 0;
	ssize_t n, len = 0;
	int fd;

	(void)state;
	needs(migrate);
	needs_node();
	file_write(HARNESS_DIR "/app.js", node_server);
	file_write(LOOPS, "");
	run_start(&run, "web", "-n", "4", "--", "node", HARNESS_DIR "/app.js", NULL);
	run_pids(&run, pids, WORKERS);
	set_quick();
	fd = ask(request);
	run_expect_lines(&run, "looping", 1);
	clients_run(&clients, (struct client_plan){
				      .connections = 40, .at_once = 40, .deadline_ms = MOVED_MS });
	print_message("one in a loop: answered within %llu ms\n",
		      (unsigned long long)clients.longest_ns / 1000000);
	assert_int_equal(unlink(LOOPS), 0);
	while (len < (ssize_t)sizeof(answer) - 1 &&
	       (n = read(fd, answer + len, sizeof(answer) - 1 - len)) > 0)
		len += n;
	close(fd);
	header = strstr(answer, "X-Worker: ");
	assert_non_null(header);
	for (int i = 0; i < WORKERS; i++)
		looping += atoi(header + strlen("X-Worker: ")) == pids[i];
	assert_int_equal(looping, 1);
	assert_int_equal(clients_of(&clients, atoi(header + strlen("X-Worker: "))), 0);
	expect_at_work(atoi(header + strlen("X-Worker: ")));
	assert_int_equal(run_lines(&run, "Error"), 0);
	run_expect_events(&run, WORKERS, "start", NULL);
	run_stop(&run);
}

/* How long a client that has said nothing is left in the handshake; by itself nginx wants 1 s. */
static void defer(pid_t holder, int seconds)
{
	int fds[NGINX_WORKERS];
	size_t n = process_listeners(holder, fds, NGINX_WORKERS);

	assert_int_equal(n, NGINX_WORKERS);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(setsockopt(fds[i], IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds,
					    sizeof(seconds)),
				 0);
		close(fds[i]);
	}
}

static void expect_answer(int fd)
{
	static const char request[] = "GET / HTTP/1.0\r\n\r\n";
	struct pollfd readable = { fd, POLLIN, 0 };
	char answer[1024] = "";

	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	assert_int_equal(poll(&readable, 1, scaled_ms(MOVED_MS)), 1);
	assert_true(read(fd, answer, sizeof(answer) - 1) > 0);
	assert_non_null(strstr(answer, "200 OK"));
}

/*
 * nginx, whose master has all sockets, with clients that connect and say nothing: `deferred` keeps
 * their handshakes under way, at the worker that hangs, too. A rescue leaves them where they are,
 * and all are answered once they ask.
 */
static void test_nginx_and_silent_clients(void **state)
{
	static struct run watch;
	struct nginx nginx;
	int silent[8];

	(void)state;
	needs(migrate);
	nginx_start(&nginx, "listen 8080 reuseport deferred;", "127.0.0.1", 8080);
	defer(nginx.pid, 60);
	lbctl_ok("attach", "--name", "web", "--rescue", ":8080", NULL);
	set_quick();
	run_start_verb(&watch, "web", "watch", "web", NULL);
	show_read("web", &show);
	kill(show.worker[1].pid, SIGSTOP);
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		silent[i] = ask("");
	show_read("web", &show);
	assert_int_equal(show.worker[1].half_open, 2);
	expect_moved(40, show.worker[1].pid);
	show_read("web", &show);
	assert_int_equal(show.worker[1].migrated_out, 10);
	assert_int_equal(show.worker[1].half_open, 2);
	kill(show.worker[1].pid, SIGCONT);
	wait_until(takes_part(show.worker[1].pid), RUN_MS);
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++) {
		expect_answer(silent[i]);
		close(silent[i]);
	}
	lbctl_ok("stop", "web", NULL);
	assert_int_equal(run_wait(&watch), 0);
	lbctl_ok("detach", "web", NULL);
	nginx_stop(&nginx);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_stopped_worker),	    runs_test(test_under_load),
		runs_test(test_answered_meanwhile), runs_test(test_next_keeper),
		runs_test(test_endless_loop),	    runs_test(test_nginx_and_silent_clients),
	};

	(void)argc;
	stalls_count = true;
	return runs_run(argv[0], tests);
}
