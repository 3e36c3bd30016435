// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl run and programs that are not as it expects: they never listen, open more ports than one,
 * go to the background, fork, vanish; and a name or a port that is somebody else's. Clear words,
 * and what served before goes on.
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
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS 4

static struct run run;
static struct show show;
static struct clients clients;

/* Answers with the pid of the process that lbctl started. */
#define PYTHON_ANSWER                                                                              \
	"def serve(s):\n"                                                                          \
	"    while True:\n"                                                                        \
	"        c = s.accept()[0]\n"                                                              \
	"        c.recv(1000)\n"                                                                   \
	"        c.send(b'HTTP/1.0 200 OK\\r\\nX-Worker: %d\\r\\n\\r\\n' % me)\n"                  \
	"        c.close()\n"
/* SO_REUSEADDR, as most servers have it: kernels before 6.1 share a port by it alone. */
#define PYTHON_LISTEN(name, port)                                                                  \
	name " = socket.socket()\n" name                                                           \
	     ".setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n" name ".bind(('', " port    \
	     "))\n" name ".listen(100)\n"
#define PYTHON_START "import os, socket\nme = os.getpid()\n" PYTHON_ANSWER

static const char *python(const char *program)
{
	static const char path[] = HARNESS_DIR "/server.py";

	file_write(path, program);
	return path;
}

/* Each worker, by its pid, answered as many. */
static void expect_equal_by_pid(size_t n, unsigned int each)
{
	lbctl_ok("set-policy", run.name, "rr", NULL);
	clients_run(&clients, (struct client_plan){ .connections = n * each, .at_once = 8 });
	show_read(run.name, &show);
	assert_int_equal(show.nr_workers, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(clients_of(&clients, show.worker[i].pid), each);
}

/* --- no port, two ports --- */

/* It is said after --ready-timeout, who waits for such a worker is told, and stop works. */
static void expect_never_online(const char *program)
{
	run_start(&run, "web", "-n", "2", "--ready-timeout", "300", "--", "python3",
		  python(program), NULL);
	run_expect_events(&run, 2, "timeout", NULL);
	lbctl_expect(1, "not listening on a shared TCP port after", "scale", "web", "3", NULL);
	lbctl_expect(1, "still run the old version", "reload", "web", NULL);
	run_stop(&run);
}

static void test_never_listens(void **state)
{
	(void)state;
	expect_never_online("import signal\nsignal.pause()\n");
}

static void test_listens_on_a_unix_socket_only(void **state)
{
	(void)state;
	expect_never_online("import os, socket\n"
			    "path = '" HARNESS_DIR "/server-%d' % os.getpid()\n"
			    "s = socket.socket(socket.AF_UNIX)\n"
			    "s.bind(path)\n"
			    "s.listen(10)\n"
			    "s.accept()\n");
}

static const char two_ports[] = PYTHON_START PYTHON_LISTEN("s", "8080")
	PYTHON_LISTEN("t", "9090") "serve(s)\n";

/*
 * 1. The first port is shared, the second is the first worker's: the others end, and lbctl says
 *    which options there are. The one that runs serves.
 * 2. With either option all four run.
 */
static void test_two_ports(void **state)
{
	(void)state;
	needs(bind_setsockopt);
	run_start(&run, "web", "-n", "4", "--max-restarts", "1", "--", "python3", python(two_ports),
		  NULL);
	run_expect_events(&run, 3, "gave-up", NULL);
	run_expect_events(&run, 1, "unshared", "{s:i}", "port", 9090);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	run_stop(&run);
	run_start(&run, "web", "-n", "4", "--port", "8080,9090", "--", "python3", python(two_ports),
		  NULL);
	run_expect_events(&run, WORKERS, "online", NULL);
	expect_equal_by_pid(WORKERS, 5);
	run_expect_events(&run, 0, "unshared", NULL);
	run_stop(&run);
	run_start(&run, "web", "-n", "4", "--offset-port", "9090", "--", "python3",
		  python(two_ports), NULL);
	run_expect_events(&run, WORKERS, "online", NULL);
	expect_equal_by_pid(WORKERS, 5);
	run_expect_events(&run, 0, "unshared", NULL);
	run_stop(&run);
}

/* --- programs that fork --- */

static void test_goes_to_the_background(void **state)
{
	(void)state;
	lbctl_expect(1, "went to the background", "run", "--name", "web", "-n", "2",
		     "--max-restarts", "1", "--", "python3",
		     python(PYTHON_START PYTHON_LISTEN("s", "8080") "if os.fork():\n"
								    "    os._exit(0)\n"
								    "os.setsid()\n"
								    "serve(s)\n"),
		     NULL);
	run_expect_nothing_left();
}

/*
 * 1. Each worker listens, then forks two that accept on its socket: shares are those of workers
 * 2. one's parent is killed: its children go too, and it is started again
 */
static void test_forks_children(void **state)
{
	pid_t pids[WORKERS], children[2];

	(void)state;
	run_start(&run, "web", "-n", "4", "--", "python3",
		  python(PYTHON_START PYTHON_LISTEN("s", "8080") "for i in range(2):\n"
								 "    if not os.fork():\n"
								 "        serve(s)\n"
								 "os.wait()\n"),
		  NULL);
	run_pids(&run, pids, WORKERS);
	wait_until(processes_children(pids[1], children, 2) == 2, RUN_MS);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(clients_of(&clients, pids[i]), 10);
	kill(pids[1], SIGKILL);
	wait_until(!process_lives(children[0]) && !process_lives(children[1]), RUN_MS);
	run_expect_events(&run, 2, "listening", "{s:i}", "worker", 1);
	run_expect_events(&run, 2, "online", "{s:i}", "worker", 1);
	run_expect_events(&run, 1, "exit", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	assert_int_equal(clients_of(&clients, pids[1]), 0);
	assert_int_equal(clients_of(&clients, pids[0]), 10);
	run_stop(&run);
}

/* --- another user --- */

static bool runs_as(pid_t pid, uid_t uid)
{
	char path[64];
	struct stat info;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return !stat(path, &info) && info.st_uid == uid;
}

static void test_another_user(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	run_start(&run, "web", "-n", "4", "--user", "nobody", "--", "python3",
		  python(PYTHON_START PYTHON_LISTEN("s", "8080") "serve(s)\n"), NULL);
	run_pids(&run, pids, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		assert_true(runs_as(pids[i], 65534));
	expect_equal_by_pid(WORKERS, 10);
	kill(pids[2], SIGKILL);
	wait_until(!process_lives(pids[2]), RUN_MS);
	run_pids(&run, pids, WORKERS);
	assert_true(runs_as(pids[2], 65534));
	lbctl_ok("reload", "web", NULL);
	expect_equal_by_pid(WORKERS, 10);
	run_stop(&run);
}

/* --- what is somebody else's --- */

/* A socket that does not share: the workers can't have the port, its server goes on. */
static void test_port_is_taken(void **state)
{
	struct demo stranger;

	(void)state;
	/* a port of its own: the demo does not set SO_REUSEADDR, and others may be in TIME_WAIT */
	demo_start(&stranger, 7, "--no-reuseport", "--listen", ":8181", NULL);
	lbctl_expect(1, "no worker stays up", "run", "--name", "web", "-n", "2", "--max-restarts",
		     "1", "--", run_demo(), "--no-reuseport", "--listen", ":8181", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 20, .port = 8181 });
	assert_int_equal(clients_of(&clients, 7), 20);
	demo_kill(&stranger, SIGTERM);
	run_expect_nothing_left();
}

/* One that shares is in the group, and gets nothing while a worker is up. */
static void test_stranger_in_the_group(void **state)
{
	struct demo stranger;

	(void)state;
	demo_start(&stranger, 7, "--listen", ":8080", NULL);
	run_start(&run, "web", "-n", "4", "--", run_demo(), "--no-reuseport", "--listen", ":8080",
		  NULL);
	run_expect_events(&run, WORKERS, "online", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	assert_int_equal(clients_of(&clients, 7), 0);
	lbctl_ok("stop", "web", NULL);
	assert_int_equal(run_wait(&run), 0);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	assert_int_equal(clients_of(&clients, 7), 20);
	demo_kill(&stranger, SIGTERM);
	run_expect_nothing_left();
}

/* A service that attach made is none that run may take, change or end. */
static void test_name_of_an_attached_service(void **state)
{
	static const unsigned int want[] = { 10, 10 };
	struct demo demos[2];

	(void)state;
	demo_start_many(demos, 2, ":8080");
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", NULL);
	lbctl_expect(1, "the name is in use: lbctl attach", "run", "--name", "web", "-n", "2", "--",
		     run_demo(), "--no-reuseport", "--listen", ":9090", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	clients_expect(&clients, 2, want);
	show_read("web", &show);
	assert_int_equal(show.nr_workers, 2);
	assert_int_equal(show.decisions, 20);
	lbctl_ok("detach", "web", NULL);
	demo_kill(&demos[0], SIGTERM);
	demo_kill(&demos[1], SIGTERM);
}

/* --- a command that vanishes --- */

#define COMMAND HARNESS_DIR "/server"

/*
 * 1. The command is removed: reload, restart and scale say so, each at once and for itself
 * 2. nobody is given up, the old ones serve; it is back: all of it works
 */
static void lose_the_command(void)
{
	pid_t pids[WORKERS];
	int i;

	run_pids(&run, pids, WORKERS);
	assert_int_equal(rename(COMMAND, COMMAND ".away"), 0);
	for (i = 0; i < 3; i++)
		lbctl_expect(1, "new worker 0 can't be started: " COMMAND ": command not found",
			     "reload", "web", NULL);
	lbctl_expect(1, "new worker 2 can't be started", "restart", "web", "2", NULL);
	run_expect_events(&run, 0, "gave-up", NULL);
	lbctl_expect(1, ": worker 4 can't be started", "scale", "web", "5", NULL);
	lbctl_ok("scale", "web", "4", NULL);
	run_expect_same(&run, pids, WORKERS);
	lbctl_ok("set-policy", "web", "rr", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	for (i = 0; i < WORKERS; i++)
		assert_int_equal(clients_of(&clients, i), 10);
	assert_int_equal(rename(COMMAND ".away", COMMAND), 0);
	lbctl_ok("reload", "web", NULL);
	lbctl_ok("scale", "web", "5", NULL);
	run_stop(&run);
}

static void test_command_vanishes(void **state)
{
	(void)state;
	command_ok("cp", run_demo(), COMMAND, NULL);
	run_start(&run, "web", "-n", "4", "--max-restarts", "1", "--", COMMAND, "--no-reuseport",
		  "--listen", ":8080", NULL);
	lose_the_command();
}

static void test_command_vanishes_with_listen(void **state)
{
	(void)state;
	command_ok("cp", run_demo(), COMMAND, NULL);
	run_start(&run, "web", "-n", "4", "--max-restarts", "1", "--listen", ":8080", "--", COMMAND,
		  NULL);
	lose_the_command();
}

/*
 * 1. It is gone, and a worker crashes in whose queue ten wait: said, tried again; others serve them
 * 2. it is back: so is the worker
 */
static void crash_without_the_command(void)
{
	pid_t pids[WORKERS];

	run_pids(&run, pids, WORKERS);
	assert_int_equal(rename(COMMAND, COMMAND ".away"), 0);
	kill(pids[1], SIGSTOP);
	clients_begin(&clients, (struct client_plan){ .connections = 40, .at_once = 40 });
	clients_collect(&clients, 10);
	kill(pids[1], SIGKILL);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 40);
	assert_int_equal(clients_of(&clients, 1), 0);
	wait_until(run_events(&run, "no-start", "{s:i}", "worker", 1) > 1, RUN_MS);
	clients_run(&clients, (struct client_plan){ .connections = 30 });
	assert_int_equal(rename(COMMAND ".away", COMMAND), 0);
	/* its socket of --listen is there before it, and others take what comes meanwhile */
	run_expect_events(&run, 2, "online", "{s:i}", "worker", 1);
	lbctl_ok("set-policy", "web", "rr", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	assert_int_equal(clients_of(&clients, 1), 10);
	run_stop(&run);
}

static void test_crash_without_the_command(void **state)
{
	(void)state;
	needs(migrate);
	command_ok("cp", run_demo(), COMMAND, NULL);
	run_start(&run, "web", "-n", "4", "--", COMMAND, "--no-reuseport", "--listen", ":8080",
		  NULL);
	crash_without_the_command();
}

static void test_crash_without_the_command_with_listen(void **state)
{
	(void)state;
	needs(migrate);
	command_ok("cp", run_demo(), COMMAND, NULL);
	run_start(&run, "web", "-n", "4", "--listen", ":8080", "--wait-ready", "--", COMMAND, NULL);
	crash_without_the_command();
}

/* Whom a reload replaces has not failed: not even the next crash is one too many. */
static void test_reloads_are_no_failures(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	run_start(&run, "web", "-n", "4", "--max-restarts", "1", "--", run_demo(), "--no-reuseport",
		  "--listen", ":8080", NULL);
	run_expect_events(&run, WORKERS, "online", NULL);
	for (int i = 0; i < 3; i++)
		lbctl_ok("reload", "web", NULL);
	run_pids(&run, pids, WORKERS);
	kill(pids[3], SIGKILL);
	wait_until(!process_lives(pids[3]), RUN_MS);
	run_pids(&run, pids, WORKERS);
	run_expect_events(&run, 0, "gave-up", NULL);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_never_listens),
		runs_test(test_listens_on_a_unix_socket_only),
		runs_test(test_two_ports),
		runs_test(test_goes_to_the_background),
		runs_test(test_forks_children),
		runs_test(test_another_user),
		runs_test(test_port_is_taken),
		runs_test(test_stranger_in_the_group),
		runs_test(test_name_of_an_attached_service),
		runs_test(test_command_vanishes),
		runs_test(test_command_vanishes_with_listen),
		runs_test(test_crash_without_the_command),
		runs_test(test_crash_without_the_command_with_listen),
		runs_test(test_reloads_are_no_failures),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
