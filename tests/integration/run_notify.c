// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What workers of lbctl run tell on NOTIFY_SOCKET: WATCHDOG and STOPPING; and their log files. */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/show.h"
#include "harness/world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS 2

static struct run run;
static struct show show;
static struct clients clients;

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
	run_expect_events(&run, 1, "watchdog", "{s:i}", "worker", 1);
	unlink(HANG);
	run_expect_events(&run, 1, "exit", "{s:s}", "signal", "SIGABRT");
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
	run_expect_events(&run, 1, "kill", "{s:i}", "worker", 1);
	run_expect_events(&run, 1, "exit", "{s:s}", "signal", "SIGKILL");
	run_stop(&run);
}

static bool is_draining(uint32_t worker)
{
	show_read("web", &show);
	return !strcmp(show.worker[worker].state, "draining");
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
	lbctl_ok("set-policy", "web", "rr", NULL);
	file_write(LEAVE, "");
	run_expect_events(&run, 1, "stopping", "{s:i}", "worker", 1);
	wait_until(is_draining(1), RUN_MS);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	clients_expect(&clients, WORKERS, all);
	assert_true(process_lives(pids[1]));
	file_write(END, "");
	run_expect_events(&run, 1, "exit", "{s:i, s:i, s:i}", "worker", 1, "status", 0, "lost", 0);
	unlink(LEAVE);
	run_pids(&run, now, WORKERS);
	assert_int_not_equal(now[1], pids[1]);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	clients_expect(&clients, WORKERS, shared);
	run_stop(&run);
}

/*
 * lbctl in cgroups that are named as its own for the service, or begin so, as a unit's may: what
 * the workers say is theirs all the same.
 */
static void enter_namesakes(void)
{
	static const char *const names[] = { "lbctl-web.service", "lbctl-web", "w1-1" };
	char path[256] = CGROUPS;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		strcat(path, "/");
		strcat(path, names[i]);
		if (mkdir(path, 0755))
			_exit(124);
	}
	strcat(path, "/cgroup.procs");
	file_write(path, "0");
}

static void test_names_of_cgroups(void **state)
{
	(void)state;
	run_prepare = enter_namesakes;
	start_notifier("--watchdog-ms", "3000");
	file_write(LEAVE, "");
	run_expect_events(&run, 1, "stopping", "{s:i}", "worker", 1);
	run_expect_events(&run, 0, "watchdog", NULL);
	/* the namesakes are left */
	lbctl_ok("stop", "web", NULL);
	assert_int_equal(run_wait(&run), 0);
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
	run_expect_events(&run, 1, "logs", "{s:i}", "renamed", 0);
	assert_int_equal(rename(log, old), 0);
	kill(run.pid, SIGUSR1);
	run_expect_events(&run, 1, "logs", "{s:i}", "renamed", 1);
	lbctl_ok("reload", "web", NULL);
	wait_until(log_holds(log, "watchdog None"), RUN_MS);
	kill(run.pid, SIGUSR1);
	run_expect_events(&run, 2, "logs", "{s:i}", "renamed", 0);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_watchdog),	  runs_test(test_watchdog_kills),
		runs_test(test_stopping),	  runs_test(test_names_of_cgroups),
		runs_test(test_logs_are_renamed),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
