// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl run: programs that know nothing of each other share a port; sockets handed over; ports by
 * worker number; commands that can't be run, requests that are refused.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS 4
#define EACH 50

static struct clients clients;
static struct show show;

static const char python_server[] =
	"import os, socket\n"
	"s = socket.socket()\n"
	"s.bind(('', 8080))\n"
	"s.listen(100)\n"
	"while True:\n"
	"    c = s.accept()[0]\n"
	"    c.recv(1000)\n"
	"    c.send(b'HTTP/1.0 200 OK\\r\\nX-Worker: %d\\r\\n\\r\\n' % os.getpid())\n"
	"    c.close()\n";
static const char node_server[] = "require('http').createServer((request, answer) => {\n"
				  "  answer.setHeader('X-Worker', process.pid);\n"
				  "  answer.end('hello');\n"
				  "}).listen(8080);\n";

/* Each worker answered as many of the connections, by what it says and by what show says. */
static void expect_equal_shares(const struct run *run, bool says_pid)
{
	const unsigned int each = scaled_load(EACH);

	lbctl_ok("set-policy", run->name, "rr", NULL);
	clients_run(&clients, (struct client_plan){ .connections = WORKERS * each, .at_once = 16 });
	show_read(run->name, &show);
	assert_int_equal(show.nr_workers, WORKERS);
	assert_int_equal(show.decisions, WORKERS * each);
	assert_int_equal(show.fallback, 0);
	for (int i = 0; i < WORKERS; i++) {
		assert_int_equal(clients_of(&clients, says_pid ? show.worker[i].pid : i), each);
		assert_int_equal(show.worker[i].selected, each);
		assert_string_equal(show.worker[i].state, "up");
	}
}

/* Each worker has told, once, on which address it listens. */
static void expect_listening(const struct run *run)
{
	const json_t *event;

	run_expect_events(run, WORKERS, "listening", NULL);
	for (int i = 0; i < WORKERS; i++) {
		event = run_event(run, 0, "listening", "{s:i, s:i}", "worker", i, "pid",
				  show.worker[i].pid);
		assert_non_null(strstr(json_string_value(json_object_get(event, "addr")), ":8080"));
	}
}

static void share_one_port(const char *interpreter, const char *path, const char *program)
{
	static struct run run;

	file_write(path, program);
	run_start(&run, "web", "-n", "4", "--", interpreter, path, NULL);
	run_expect_events(&run, WORKERS, "online", NULL);
	expect_equal_shares(&run, true);
	expect_listening(&run);
	run_stop(&run);
}

/* This one does not set SO_REUSEADDR either. */
static void test_python_shares_a_port(void **state)
{
	(void)state;
	needs(bind_setsockopt);
	share_one_port("python3", HARNESS_DIR "/server.py", python_server);
}

static void test_node_shares_a_port(void **state)
{
	(void)state;
	needs_node();
	share_one_port("node", HARNESS_DIR "/app.js", node_server);
}

static void test_demo_shares_a_port(void **state)
{
	static struct run run;

	(void)state;
	run_start(&run, "web", "-n", "4", "--", run_demo(), "--no-reuseport", "--listen", ":8080",
		  NULL);
	run_expect_events(&run, WORKERS, "online", NULL);
	expect_equal_shares(&run, false);
	expect_listening(&run);
	run_stop(&run);
}

/* What `lbctl events --json` has printed, without what the harness adds. */
static json_t *printed(const struct run *events)
{
	char *log = file_read(events->log), *rest = log, *line;
	json_t *all = json_array();

	while ((line = strsep(&rest, "\n"))) {
		if (*line && json_array_append_new(all, json_loads(line, 0, NULL)))
			fail_msg("not JSON: %s", line);
	}
	free(log);
	return all;
}

/* The n-th line is the keeper's n-th event. */
static void expect_printed(const struct run *run, const struct run *events, size_t n)
{
	json_t *all = printed(events), *told;

	assert_true(n < json_array_size(all));
	told = json_copy((json_t *)run_event(run, 0, "online", "{s:i}", "seq", n + 1));
	json_object_del(told, "keeper");
	assert_true(json_equal(json_array_get(all, n), told));
	json_decref(told);
	json_decref(all);
}

static bool has_printed(const struct run *events, size_t n)
{
	json_t *all = printed(events);
	bool has = json_array_size(all) >= n;

	json_decref(all);
	return has;
}

/*
 * 1. `events --json` tells of the four that are there already, and follows; a worker is killed
 * 2. exit with pid and signal, listening with address, online; it ends with the run
 */
static void test_events(void **state)
{
	static struct run run, events;
	pid_t pids[WORKERS];
	json_int_t last;

	(void)state;
	run_start(&run, "web", "-n", "4", "--", run_demo(), "--no-reuseport", "--listen", ":8080",
		  NULL);
	run_pids(&run, pids, WORKERS);
	run_start_verb(&events, "events", "events", "web", "--json", NULL);
	for (int i = 0; i < WORKERS; i++)
		run_expect_events(&run, 1, "listening", "{s:i, s:i, s:s}", "worker", i, "pid",
				  pids[i], "addr", "0.0.0.0:8080");
	kill(pids[2], SIGKILL);
	run_expect_events(&run, 1, "exit", "{s:i, s:i, s:s, s:b}", "worker", 2, "pid", pids[2],
			  "signal", "SIGKILL", "unasked", 1);
	wait_until(!process_lives(pids[2]), RUN_MS);
	run_pids(&run, pids, WORKERS);
	run_expect_events(&run, 1, "listening", "{s:i, s:i, s:s}", "worker", 2, "pid", pids[2],
			  "addr", "0.0.0.0:8080");
	run_expect_events(&run, 1, "online", "{s:i, s:i}", "worker", 2, "pid", pids[2]);
	last = json_integer_value(
		json_object_get(run_event(&run, 0, "online", "{s:i}", "pid", pids[2]), "seq"));
	wait_until(has_printed(&events, last), RUN_MS);
	expect_printed(&run, &events, last - 1);
	lbctl_ok("stop", "web", NULL);
	assert_int_equal(run_wait(&run), 0);
	assert_int_equal(run_wait(&events), 0);
	run_expect_nothing_left();
}

/*
 * 1. --listen: worker 3 is stopped, 40 connections: 10 wait in its queue
 * 2. kill -9 of it: it is started again, and all 40 are answered
 */
static void test_listen_keeps_the_queue(void **state)
{
	static struct run run;
	pid_t pids[WORKERS], now[WORKERS];

	(void)state;
	run_start(&run, "web", "-n", "4", "--listen", "0.0.0.0:8080", "--", run_demo(), NULL);
	run_pids(&run, pids, WORKERS);
	expect_equal_shares(&run, false);
	kill(pids[3], SIGSTOP);
	clients_begin(&clients, (struct client_plan){ .connections = 40, .at_once = 40 });
	clients_collect(&clients, 10);
	kill(pids[3], SIGKILL);
	clients_finish(&clients);
	assert_int_equal(clients.failed, 0);
	assert_int_equal(clients.answered, 40);
	wait_until(!process_lives(pids[3]), RUN_MS);
	run_pids(&run, now, WORKERS);
	assert_int_not_equal(now[3], pids[3]);
	for (int i = 0; i < 3; i++)
		assert_int_equal(now[i], pids[i]);
	show_read("web", &show);
	assert_int_equal(show.fallback, 0);
	run_stop(&run);
}

/* A bare port is both families; each worker serves both. */
static void test_listen_on_both_families(void **state)
{
	static const unsigned int want[] = { 10, 10, 10, 10 };
	static struct run run;

	(void)state;
	run_start(&run, "web", "-n", "4", "--listen", ":8080", "--", run_demo(), NULL);
	run_expect_events(&run, WORKERS, "online", NULL);
	lbctl_ok("set-policy", "web", "rr", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	clients_expect(&clients, WORKERS, want);
	clients_run(&clients, (struct client_plan){ .connections = 40, .to = "::1" });
	clients_expect(&clients, WORKERS, want);
	run_stop(&run);
}

/* Port 8080 is shared, port 9100 is 9100 + worker. */
static void test_offset_port(void **state)
{
	static struct run run;

	(void)state;
	run_start(&run, "web", "-n", "4", "--offset-port", "9100", "--", run_demo(),
		  "--no-reuseport", "--listen", ":9100", "--listen", ":8080", NULL);
	run_expect_events(&run, WORKERS, "online", NULL);
	expect_equal_shares(&run, false);
	for (int i = 0; i < WORKERS; i++) {
		clients_run(&clients, (struct client_plan){ .connections = 5, .port = 9100 + i });
		assert_int_equal(clients_of(&clients, i), 5);
	}
	run_stop(&run);
}

/* Two ports shared, each in equal shares. */
static void test_port_names_what_is_shared(void **state)
{
	static const unsigned int want[] = { 10, 10, 10, 10 };
	static struct run run;

	(void)state;
	run_start(&run, "web", "-n", "4", "--port", "8080,9090", "--", run_demo(), "--no-reuseport",
		  "--listen", ":8080", "--listen", ":9090", NULL);
	run_expect_events(&run, WORKERS, "online", NULL);
	lbctl_ok("set-policy", "web", "rr", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	clients_expect(&clients, WORKERS, want);
	clients_run(&clients, (struct client_plan){ .connections = 40, .port = 9090 });
	clients_expect(&clients, WORKERS, want);
	run_stop(&run);
}

static void test_commands_that_cannot_run(void **state)
{
	(void)state;
	file_write(HARNESS_DIR "/text", "no program\n");
	lbctl_expect(127, "command not found", "run", "-n", "2", "--", "/no/such", NULL);
	lbctl_expect(127, "command not found", "run", "-n", "2", "--", "nosuchcommand", NULL);
	lbctl_expect(126, "not executable", "run", "-n", "2", "--", HARNESS_DIR "/text", NULL);
	lbctl_expect(126, "not executable", "run", "-n", "2", "--", "/proc", NULL);
	lbctl_expect(127, "command not found", "run", "--listen", ":8080", "--", "/no/such", NULL);
	run_expect_nothing_left();
	lbctl_expect(1, "no worker stays up", "run", "-n", "2", "--max-restarts", "3", "--name",
		     "gone", "--", "sh", "-c", "exit 3", NULL);
	lbctl_expect(1, "exited with status 3", "run", "-n", "2", "--max-restarts", "0", "--name",
		     "gone", "--", "sh", "-c", "exit 3", NULL);
	run_expect_nothing_left();
}

static void test_bad_arguments(void **state)
{
	static const char *const bad[][2] = {
		{ "-n", "0" },
		{ "-n", "100000" },
		{ "-n", "-1" },
		{ "-n", "4x" },
		{ "--port", "0" },
		{ "--port", "65536" },
		{ "--port", "80,x" },
		{ "--offset-port", "no" },
		{ "--listen", "8080x" },
		{ "--max-restarts", "-1" },
		{ "--kill-timeout", "1s" },
		{ "--max-memory", "0" },
		{ "--max-memory", "64MB" },
		{ "--stop-exit-codes", "256" },
		{ "--stop-exit-codes", "1,,2" },
		{ "--stop-exit-codes", "" },
		{ "--user", "no-such" },
		{ "--group", "no-such" },
		{ "--log-dir", "/no/such" },
		{ "--name", "a b" },
		{ "--name", "" },
		{ "--policy", "fastest" },
		{ "--nonsense", "1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		lbctl_expect(2, "lbctl: ", "run", bad[i][0], bad[i][1], "--", "true", NULL);
	lbctl_expect(2, "not a number from 1 to 1024", "run", "-n", "100000", "--", "true", NULL);
	lbctl_expect(2, "usage", "run", NULL);
	lbctl_expect(2, "lbctl: scale web 0: not a number", "scale", "web", "0", NULL);
	lbctl_expect(2, "lbctl: set-policy rx: no such", "set-policy", "rx", NULL);
	lbctl_expect(2, "lbctl: events a.b: not a service", "events", "a.b", NULL);
	lbctl_expect(1, "can't start", "run", "--listen", "192.0.2.1:8080", "--", run_demo(), NULL);
	run_expect_nothing_left();
}

#define ZEROS "00000000000000000000000000000000"

/* Nothing of an address is left out, however long it is. */
static void test_long_addresses(void **state)
{
	static const char *const bad[] = { ZEROS ZEROS ZEROS "000000000000000000000000000808"
							     "01garbage",
					   "8080," ZEROS ZEROS ZEROS ZEROS "1:8080", "8080,", "" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		lbctl_expect(2, "--listen", "run", "--listen", bad[i], "--", "true", NULL);
	run_expect_nothing_left();
}

static void test_bad_udp_ports(void **state)
{
	static const char *const bad[] = { "udp/0",   "udp/70000", "udp/", "udp/x",
					   "udp/:53", "8080/udp",  "udp",  "53,udp/-1" };
	static const char *const bad_addr[] = { "udp/:0", "udp/:70000", "udp/", ":53/udp" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		lbctl_expect(2, "not a port; a port is 1 to 65535, of UDP udp/1", "run", "--port",
			     bad[i], "--", "true", NULL);
		lbctl_expect(2, "not a port", "run", "--offset-port", bad[i], "--", "true", NULL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad_addr); i++)
		lbctl_expect(2, "--listen", "run", "--listen", bad_addr[i], "--", "true", NULL);
	lbctl_expect(2, "at most 8 ports", "run", "--port", "udp/1,udp/2,udp/3,udp/4,udp/5",
		     "--port", "udp/6,udp/7,udp/8,udp/9", "--", "true", NULL);
	run_expect_nothing_left();
}

/* No such service; a service whose name is in use; requests that make no sense for it. */
static void test_requests_that_are_refused(void **state)
{
	static struct run run;
	struct demo stranger;

	(void)state;
	lbctl_expect(3, "no such service; there is none", "scale", "web", "2", NULL);
	lbctl_expect(3, "no such service; there is none", "reload", "web", NULL);
	lbctl_expect(3, "no such service; there is none", "restart", "web", "0", NULL);
	lbctl_expect(3, "no such service; there is none", "stop", "web", NULL);
	lbctl_expect(3, "no such service; there is none", "send", "web", "0", "1", NULL);
	lbctl_expect(3, "no such service; there is none", "events", "web", NULL);
	run_start(&run, "web", "-n", "2", "--", run_demo(), "--no-reuseport", "--listen", ":8080",
		  NULL);
	run_expect_events(&run, 2, "online", NULL);
	lbctl_expect(1, "the name is in use", "run", "--name", "web", "-n", "2", "--", "true",
		     NULL);
	demo_start(&stranger, 0, "--no-reuseport", "--listen", ":9191", NULL);
	lbctl_expect(1, "is taken", "run", "--name", "other", "-n", "2", "--listen", ":9191", "--",
		     run_demo(), NULL);
	demo_kill(&stranger, SIGTERM);
	lbctl_expect(2, "1 to 1024", "scale", "web", "0", NULL);
	lbctl_expect(2, "1 to 1024", "scale", "web", "100000", NULL);
	lbctl_expect(3, "no worker 2; web has 0 to 1", "restart", "web", "2", NULL);
	lbctl_expect(2, "not a worker", "restart", "web", "x", NULL);
	lbctl_expect(2, "not JSON", "send", "web", "0", "{", NULL);
	lbctl_expect(3, "no worker 2; web has 0 to 1", "send", "web", "2", "1", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_python_shares_a_port),
		runs_test(test_node_shares_a_port),
		runs_test(test_demo_shares_a_port),
		runs_test(test_events),
		runs_test(test_listen_keeps_the_queue),
		runs_test(test_listen_on_both_families),
		runs_test(test_offset_port),
		runs_test(test_port_names_what_is_shared),
		runs_test(test_commands_that_cannot_run),
		runs_test(test_bad_arguments),
		runs_test(test_long_addresses),
		runs_test(test_bad_udp_ports),
		runs_test(test_requests_that_are_refused),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
