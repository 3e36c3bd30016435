// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Ends of lbctl run with less than it could have: capabilities that are missing, a controller that
 * was killed and left everything behind, an end that is not one, a broken program.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/show.h"
#include "harness/world.h"

#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORKERS 2
#define DEAF "trap '' TERM; echo I am deaf; while :; do sleep 1; done"
#define OPEN_DEMO HARNESS_DIR "/demo" /* for a user who may not read the build directory */

static struct run run;
static struct show show;
static struct clients clients;

static void start_without(int capability, const char *kill_timeout_ms, const char *command, ...)
	__attribute__((sentinel));

/* As nobody. */
static void start_without(int capability, const char *kill_timeout_ms, const char *command, ...)
{
	const char *more[4] = { NULL };
	va_list rest;

	command_ok("cp", run_demo(), OPEN_DEMO, NULL);
	run_next_without(capability);
	va_start(rest, command);
	for (size_t i = 0; i < 3 && (more[i] = va_arg(rest, const char *)); i++)
		continue;
	va_end(rest);
	run_start(&run, "web", "-n", "2", "--user", "nobody", "--kill-timeout", kill_timeout_ms,
		  "--", command, more[0], more[1], more[2], NULL);
}

/* --- capabilities --- */

/* SIGTERM reaches workers of another user without CAP_KILL: they end gracefully, at once. */
static void test_stop_without_cap_kill(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	start_without(CAP_KILL, "60000", OPEN_DEMO, "--no-reuseport", "--listen", ":8080", NULL);
	run_pids(&run, pids, WORKERS);
	lbctl_ok("reload", "web", NULL);
	run_expect_events(&run, WORKERS, "exit", "{s:i}", "status", 0);
	run_stop(&run);
	run_expect_events(&run, 0, "exit", "{s:s}", "signal", "SIGKILL");
	run_expect_events(&run, 0, "kill", NULL);
	run_expect_events(&run, 0, "trouble", NULL);
}

/* And so does SIGKILL those who ignore it. */
static void test_kill_without_cap_kill(void **state)
{
	(void)state;
	start_without(CAP_KILL, "300", "sh", "-c", DEAF, NULL);
	run_expect_lines(&run, "I am deaf", WORKERS);
	run_stop(&run);
	run_expect_events(&run, WORKERS, "exit", "{s:s}", "signal", "SIGKILL");
}

/* lbctl unit names none for this. */
static void test_start_without_cap_fowner(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	start_without(CAP_FOWNER, "5000", OPEN_DEMO, "--no-reuseport", "--listen", ":8080", NULL);
	run_pids(&run, pids, WORKERS);
	run_stop(&run);
}

/* Said once, with the name of what is missing, and it ends. */
static void test_without_cap_sys_ptrace(void **state)
{
	(void)state;
	start_without(CAP_SYS_PTRACE, "5000", OPEN_DEMO, "--no-reuseport", "--listen", ":8080",
		      NULL);
	assert_int_equal(run_wait(&run), 4);
	run_expect_lines(&run, "CAP_SYS_PTRACE is missing", 1);
	run_expect_lines(&run, "No such process", 0);
	run_expect_nothing_left();
}

/* --- the end of the controller --- */

/*
 * 1. the controller is killed: `stop` ends its workers, what waits is answered first
 * 2. nothing is left; a second `stop` finds nothing
 */
static void test_stop_after_a_kill(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	run_start(&run, "web", "-n", "2", "--", run_demo(), "--no-reuseport", "--listen", ":8080",
		  "--sleep-us", "100000", NULL);
	run_pids(&run, pids, WORKERS);
	run_kill(&run);
	clients_begin(&clients, (struct client_plan){ .connections = 8, .at_once = 8 });
	wait_until((show_read("web", &show), show.decisions == 8), RUN_MS);
	lbctl_expect(0, "had been killed, and 2 processes of it lived on", "stop", "web", NULL);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 8);
	run_expect_nothing_left();
	lbctl_expect(3, "no such service", "stop", "web", NULL);
}

/* Nobody lives on, but pins, files and cgroups do. */
static void kill_with_controller(void)
{
	pid_t pids[WORKERS];

	run_start(&run, "web", "-n", "2", "--with-controller", "--", run_demo(), "-q",
		  "--no-reuseport", "--listen", ":8080", NULL);
	run_pids(&run, pids, WORKERS);
	run_kill(&run);
	for (int i = 0; i < WORKERS; i++)
		wait_until(!process_lives(pids[i]), RUN_MS);
}

static void test_stop_after_a_kill_with_controller(void **state)
{
	(void)state;
	kill_with_controller();
	lbctl_expect(0, "0 processes of it lived on", "stop", "web", NULL);
	run_expect_nothing_left();
	kill_with_controller();
	lbctl_ok("detach", "web", NULL);
	run_expect_nothing_left();
}

/* A controller that is killed while it stops has not stopped, and `stop` says so. */
static void test_killed_while_it_stops(void **state)
{
	struct output output;
	struct job stop;

	(void)state;
	run_start(&run, "web", "-n", "2", "--kill-timeout", "60000", "--", "sh", "-c", DEAF, NULL);
	run_expect_lines(&run, "I am deaf", WORKERS);
	lbctl_start(&stop, "stop", "web", NULL);
	run_expect_events(&run, 1, "stop", NULL);
	run_kill(&run);
	job_wait(&stop, &output);
	assert_int_equal(output.status, 1);
	assert_non_null(strstr(output.err, "the keeper of web is gone; its workers go on"));
	output_free(&output);
	/* its shells are stubborn: SIGKILL after 5 s */
	lbctl_expect(0, "lived on", "stop", "web", NULL);
	run_expect_nothing_left();
}

static void test_sent_to_one_worker(void **state)
{
	(void)state;
	run_start(&run, "web", "-n", "2", "--", run_demo(), "-q", "--no-reuseport", "--listen",
		  ":8080", NULL);
	run_expect_up(&run, WORKERS);
	lbctl_expect(0, "sent to 1 worker\n", "send", "web", "0", "1", NULL);
	lbctl_expect(0, "sent to 2 workers\n", "send", "web", "all", "1", NULL);
	run_stop(&run);
}

/* --- a program that is broken --- */

static const char server[] = "import socket\n"
			     "s = socket.socket()\n"
			     "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
			     "s.bind(('', 8080))\n"
			     "s.listen(100)\n"
			     "while True:\n"
			     "    s.accept()[0].close()\n";

/* A program that serves gets a syntax error: a reload says that the old version goes on. */
static void break_program(const char *option, const char *value)
{
	pid_t before[WORKERS], after[WORKERS];

	file_write(HARNESS_DIR "/server.py", server);
	run_start(&run, "web", "-n", "2", option, value, "--", "python3", HARNESS_DIR "/server.py",
		  NULL);
	run_pids(&run, before, WORKERS);
	file_write(HARNESS_DIR "/server.py", "x = )\n");
	lbctl_expect(1, "before it was ready; 2 of 2 workers still run the old version", "reload",
		     "web", NULL);
	run_expect_events(&run, 1, "exit", "{s:i}", "status", 1);
	run_expect_events(&run, 1, "reload", "{s:i}", "status", 1);
	run_pids(&run, after, WORKERS);
	assert_memory_equal(before, after, sizeof(before));
	run_stop(&run);
}

static void test_broken_program(void **state)
{
	(void)state;
	break_program("--max-restarts", "16");
	break_program("--log-dir", HARNESS_DIR);
	lbctl_expect(1, "as soon as it is started", "run", "-n", "2", "--max-restarts", "1", "--",
		     "python3", HARNESS_DIR "/server.py", NULL);
	run_expect_nothing_left();
}

/* Its workers have no more rights than it has, and so can be read; all others can't. */
static void read_workers_alone(void)
{
	if (prctl(PR_CAPBSET_DROP, CAP_SYS_PTRACE, 0, 0, 0))
		_exit(99);
}

/*
 * 1. one that listens and dies at once is a worker that died, however far it was looked at, and
 *    whatever other processes can't be read: it is started again, then given up; nobody says that
 *    lbctl lacks a right
 * 2. with a log directory, the end of its log is shown
 */
static void test_listens_and_dies(void **state)
{
	static const struct {
		const char *workers;
		void (*prepare)(void);
	} rows[] = { { "1", NULL }, { "4", NULL }, { "4", read_workers_alone } };
	static const char program[] = "require('http').createServer(() => {}).listen(8084, () =>\n"
				      "  setTimeout(() => { throw new Error('no table users') },\n"
				      "             10 * process.env.LBCTL_WORKER));\n";

	(void)state;
	file_write(HARNESS_DIR "/dies.js", program);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		run_prepare = rows[i].prepare;
		run_start(&run, "web", "-n", rows[i].workers, "--max-restarts", "2", "--", "node",
			  HARNESS_DIR "/dies.js", NULL);
		assert_int_equal(run_wait(&run), 1);
		run_expect_events(&run, 1, "failed", NULL);
		run_expect_events(&run, 0, "trouble", NULL);
		run_expect_lines(&run, "CAP_", 0);
		run_expect_nothing_left();
	}
	run_start(&run, "web", "-n", "1", "--max-restarts", "0", "--log-dir", HARNESS_DIR, "--",
		  "node", HARNESS_DIR "/dies.js", NULL);
	assert_int_equal(run_wait(&run), 1);
	run_expect_lines(&run, "| Error: no table users", 1);
	run_expect_nothing_left();
}

/* --- those that end for good --- */

/* Waits until the process has ended, as its keeper has heard. */
static void end_worker(uint32_t worker, pid_t pid, int signal)
{
	const unsigned int before = run_events(&run, "exit", "{s:i}", "worker", worker);

	kill(pid, signal);
	run_expect_events(&run, before + 1, "exit", "{s:i}", "worker", worker);
}

/*
 * 1. of three workers one ends with a status of --stop-exit-codes: it is not started again, the
 *    others serve; one that is killed is
 * 2. restart starts it, and after a second time reload
 * 3. all end so: run ends with status 0
 */
static void test_stop_exit_codes(void **state)
{
	pid_t pids[3];

	(void)state;
	run_start(&run, "web", "-n", "3", "--stop-exit-codes", "7,0", "--", run_demo(), "-q",
		  "--no-reuseport", "--listen", ":8080", NULL);
	for (int i = 0; i < 2; i++) {
		run_pids(&run, pids, 3);
		end_worker(1, pids[1], SIGTERM);
		run_expect_events(&run, i + 1, "finished", "{s:i, s:i}", "worker", 1, "status", 0);
		end_worker(0, pids[0], SIGKILL);
		run_expect_events(&run, 4 + 2 * i, "online", NULL);
		clients_run(&clients, (struct client_plan){ .connections = 20, .at_once = 4 });
		assert_int_equal(clients_of(&clients, 1), 0);
		if (i)
			lbctl_ok("reload", "web", NULL);
		else
			lbctl_ok("restart", "web", "1", NULL);
	}
	run_expect_events(&run, 2, "exit", "{s:i, s:n}", "worker", 1, "restart_ms");
	run_pids(&run, pids, 3);
	for (int i = 0; i < 3; i++)
		kill(pids[i], SIGTERM);
	assert_int_equal(run_wait(&run), 0);
	run_expect_lines(&run, "all workers ended as --stop-exit-codes allows", 1);
	run_expect_nothing_left();
}

/* What ends with the service is not to be started again by a command: there is no keeper to ask. */
static void test_no_command_for_what_ends(void **state)
{
	static const struct {
		const char *option, *words;
		int status;
	} rows[] = { { "--stop-exit-codes=3", "it is not started again", 0 },
		     { "--max-restarts=0", "in a row: given up", 1 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int forks = 0; forks < 2; forks++) {
			run_start(&run, "web", rows[i].option, forks ? "--forks" : "-n1", "--",
				  "sh", "-c", "exit 3", NULL);
			assert_int_equal(run_wait(&run), rows[i].status);
			run_expect_lines(&run, rows[i].words, 1);
			run_expect_lines(&run, "lbctl restart", 0);
		}
	}
}

/* A unit has it, and is not started again by systemd when all have ended so. */
static void test_stop_exit_codes_of_a_unit(void **state)
{
	(void)state;
	lbctl_expect(0, "--stop-exit-codes 0,7 -- ", "unit", "--stop-exit-codes", "0",
		     "--stop-exit-codes", "7", "true", NULL);
	lbctl_expect(0, "RestartPreventExitStatus=0 ", "unit", "true", NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_stop_without_cap_kill),
		runs_test(test_kill_without_cap_kill),
		runs_test(test_start_without_cap_fowner),
		runs_test(test_without_cap_sys_ptrace),
		runs_test(test_stop_after_a_kill),
		runs_test(test_stop_after_a_kill_with_controller),
		runs_test(test_killed_while_it_stops),
		runs_test(test_sent_to_one_worker),
		runs_test(test_broken_program),
		runs_test(test_listens_and_dies),
		runs_test(test_stop_exit_codes),
		runs_test(test_stop_exit_codes_of_a_unit),
		runs_test(test_no_command_for_what_ends),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
