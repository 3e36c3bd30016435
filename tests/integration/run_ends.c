// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What lbctl run does with little: capabilities that are missing, a controller that was killed and
 * left everything behind, an end that is not one.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/show.h"
#include "harness/world.h"

#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
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
	run_expect_lines(&run, "exited with status 0", WORKERS);
	run_stop(&run);
	run_expect_lines(&run, "SIGKILL", 0);
	run_expect_lines(&run, "CAP_KILL", 0);
}

/* And so does SIGKILL those who ignore it. */
static void test_kill_without_cap_kill(void **state)
{
	(void)state;
	start_without(CAP_KILL, "300", "sh", "-c", DEAF, NULL);
	run_expect_lines(&run, "I am deaf", WORKERS);
	run_stop(&run);
	run_expect_lines(&run, "killed by SIGKILL", WORKERS);
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
	lbctl_expect(3, "no lbctl run keeps a service web", "stop", "web", NULL);
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
	struct run stop;

	(void)state;
	run_start(&run, "web", "-n", "2", "--kill-timeout", "60000", "--", "sh", "-c", DEAF, NULL);
	run_expect_lines(&run, "I am deaf", WORKERS);
	run_start_verb(&stop, "stop", "stop", "web", NULL);
	run_expect_lines(&run, "stopping", 1);
	run_kill(&run);
	assert_int_equal(run_wait(&stop), 1);
	run_expect_lines(&stop, "ended without an answer", 1);
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

/* --- last words --- */

static const char server[] = "import os, socket, sys\n"
			     "s = socket.socket()\n"
			     "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
			     "s.bind(('', 8080))\n"
			     "s.listen(100)\n"
			     "while True:\n"
			     "    s.accept()[0].close()\n"
			     "    print('error: not told', file=sys.stderr)\n";

/*
 * 1. a program that serves gets a syntax error: the reload says what it said
 * 2. what a worker says once it is online is not read
 */
static void says_why(const char *option, const char *value)
{
	pid_t pids[WORKERS];

	file_write(HARNESS_DIR "/server.py", server);
	run_start(&run, "web", "-n", "2", option, value, "--", "python3", HARNESS_DIR "/server.py",
		  NULL);
	run_pids(&run, pids, WORKERS);
	file_write(HARNESS_DIR "/server.py", "x = )\n");
	lbctl_expect(1,
		     "before it was ready; 2 of 2 workers still run the old version (on stderr: "
		     "SyntaxError: ",
		     "reload", "web", NULL);
	file_write(HARNESS_DIR "/server.py", server);
	clients_begin(&clients, (struct client_plan){ .connections = 4 });
	clients_finish(&clients);
	kill(pids[1], SIGKILL);
	run_expect_lines(&run, "killed by SIGKILL: ", 1);
	run_stop(&run);
	run_expect_lines(&run, "(on stderr: error", 0);
}

static void test_last_words(void **state)
{
	(void)state;
	says_why("--max-restarts", "16");
	says_why("--log-dir", HARNESS_DIR);
	file_write(HARNESS_DIR "/server.py", "import sys; sys.exit('no database')\n");
	lbctl_expect(1, "as soon as it is started (on stderr: no database)", "run", "-n", "2",
		     "--max-restarts", "1", "--", "python3", HARNESS_DIR "/server.py", NULL);
	run_expect_nothing_left();
}

/* --- NOTIFY_SOCKET --- */

#define HANG HARNESS_DIR "/hang"
#define LEAVE HARNESS_DIR "/leave"
#define END HARNESS_DIR "/end"
#define WATCHDOG_MS 3000

/* Worker 1 hangs, says that it stops, or ends, when there is a file that says so. */
static const char notifier[] =
	"import os, select, socket, sys, time\n"
	"me = os.environ['LBCTL_WORKER'] == '1'\n"
	"keeper = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
	"keeper.connect(os.environ['NOTIFY_SOCKET'])\n"
	"s = socket.socket()\n"
	"s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
	"s.bind(('', 8080))\n"
	"s.listen(100)\n"
	"said = False\n"
	"watched = os.environ.get('WATCHDOG_PID') == str(os.getpid())\n"
	"print('watchdog', os.environ.get('WATCHDOG_USEC'), watched, flush=True)\n"
	"while True:\n"
	"    if me and os.path.exists('" HANG "'):\n"
	"        time.sleep(1000)\n"
	"    if me and os.path.exists('" LEAVE "') and not said:\n"
	"        keeper.send(b'STATUS=x\\nSTOPPING=1\\n')\n"
	"        said = True\n"
	"    if me and said and os.path.exists('" END "'):\n"
	"        sys.exit(0)\n"
	"    if select.select([s], [], [], 0.05)[0]:\n"
	"        c = s.accept()[0]\n"
	"        c.recv(1000)\n"
	"        c.send(b'HTTP/1.0 200 OK\\r\\nX-Worker: %d\\r\\n\\r\\n' % me)\n"
	"        c.close()\n"
	"    keeper.send(b'WATCHDOG=1')\n";

static void start_notifier(const char *option, const char *value)
{
	unlink(HANG);
	unlink(LEAVE);
	unlink(END);
	file_write(HARNESS_DIR "/notifier.py", notifier);
	run_start(&run, "web", "-n", "2", option, value, "--kill-timeout", "1000", "--", "python3",
		  HARNESS_DIR "/notifier.py", NULL);
	run_expect_up(&run, WORKERS);
}

/*
 * 1. the controller is stopped for longer than the watchdog's time: no worker is to blame
 * 2. worker 1 hangs: SIGABRT, and another one; worker 0 goes on
 */
static void test_watchdog(void **state)
{
	pid_t pids[WORKERS], now[WORKERS];
	uint64_t end_ns;

	(void)state;
	start_notifier("--watchdog-ms", "3000");
	run_expect_lines(&run, "watchdog 3000000 True", WORKERS);
	run_pids(&run, pids, WORKERS);
	kill(run.pid, SIGSTOP);
	end_ns = now_ns() + (WATCHDOG_MS + 500) * 1000000ULL;
	while (now_ns() < end_ns)
		harness_nap();
	kill(run.pid, SIGCONT);
	lbctl_ok("send", "web", "all", "1", NULL);
	file_write(HANG, "");
	run_expect_lines(&run, "sent no WATCHDOG=1 for 3000 ms: SIGABRT", 1);
	unlink(HANG);
	run_expect_lines(&run, "killed by SIGABRT", 1);
	wait_until(!process_lives(pids[1]), RUN_MS);
	run_pids(&run, now, WORKERS);
	assert_int_equal(now[0], pids[0]);
	run_stop(&run);
}

/* A worker that is stopped does not die of SIGABRT: then of SIGKILL. */
static void test_watchdog_kills(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	start_notifier("--watchdog-ms", "3000");
	run_pids(&run, pids, WORKERS);
	kill(pids[1], SIGSTOP);
	run_expect_lines(&run, "did not end within 1000 ms of SIGABRT: SIGKILL", 1);
	run_expect_lines(&run, "killed by SIGKILL", 1);
	run_stop(&run);
}

/*
 * 1. worker 1 says STOPPING=1: no connection more, it lives on
 * 2. it ends: its successor gets its share
 */
static void test_stopping(void **state)
{
	static const unsigned int all[] = { 20, 0 }, shared[] = { 10, 10 };
	pid_t pids[WORKERS], now[WORKERS];

	(void)state;
	start_notifier("--max-restarts", "16");
	run_pids(&run, pids, WORKERS);
	file_write(LEAVE, "");
	run_expect_lines(&run, ") says that it stops", 1);
	show_read("web", &show);
	assert_string_equal(show.worker[1].state, "draining");
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	clients_expect(&clients, WORKERS, all);
	assert_true(process_lives(pids[1]));
	file_write(END, "");
	run_expect_lines(&run, "exited with status 0: 0 accepted connections lost", 1);
	unlink(LEAVE);
	run_pids(&run, now, WORKERS);
	assert_int_not_equal(now[1], pids[1]);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	clients_expect(&clients, WORKERS, shared);
	run_stop(&run);
}

/* --- logs --- */

static bool log_holds(const char *path, const char *words)
{
	char *text = access(path, R_OK) ? NULL : file_read(path);
	bool holds = text && strstr(text, words);

	free(text);
	return holds;
}

/* Renamed, a worker writes on there; USR1 says so, and a reload opens a new one. */
static void test_logs_are_renamed(void **state)
{
	static const char log[] = HARNESS_DIR "/web-1.log", old[] = HARNESS_DIR "/web-1.log.1";

	(void)state;
	start_notifier("--log-dir", HARNESS_DIR);
	wait_until(log_holds(log, "watchdog None"), RUN_MS);
	kill(run.pid, SIGUSR1);
	run_expect_lines(&run, "0 of 2 log files were renamed", 1);
	assert_int_equal(rename(log, old), 0);
	kill(run.pid, SIGUSR1);
	run_expect_lines(&run, "1 of 2 log files was renamed; the workers write on there", 1);
	lbctl_ok("reload", "web", NULL);
	wait_until(log_holds(log, "watchdog None"), RUN_MS);
	kill(run.pid, SIGUSR1);
	run_expect_lines(&run, "0 of 2 log files were renamed", 2);
	run_stop(&run);
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
		runs_test(test_last_words),
		runs_test(test_watchdog),
		runs_test(test_watchdog_kills),
		runs_test(test_stopping),
		runs_test(test_logs_are_renamed),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
