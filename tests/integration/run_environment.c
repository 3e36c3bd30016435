// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Where and with what lbctl run starts its workers: numbers that tell processes apart, directories
 * and files that are looked up at each start, environments that a reload brings.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SERVER HARNESS_DIR "/server.py"
#define APP HARNESS_DIR "/app"
#define GROUP 65534 /* nogroup */

static struct run run;
static struct clients clients;

/* Answers, as X-Worker, with a number: what its argument was, as an expression, at its start. */
static const char server[] =
	"import os, socket, sys\n"
	"env = lambda name: int(os.environ.get(name, -1))\n"
	"number = eval(sys.argv[1])\n"
	"s = socket.socket()\n"
	"s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
	"s.bind(('', 8080))\n"
	"s.listen(100)\n"
	"while True:\n"
	"    c = s.accept()[0]\n"
	"    c.recv(1000)\n"
	"    c.send(b'HTTP/1.0 200 OK\\r\\nX-Worker: %d\\r\\nContent-Length: 0\\r\\n\\r\\n' % number)\n"
	"    c.close()\n";

/* `workers` of them, and a further option with its value, or NULL. */
static void start(const char *workers, const char *expression, const char *option,
		  const char *value)
{
	file_write(SERVER, server);
	if (option)
		run_start(&run, "web", "-n", workers, option, value, "--", "python3", SERVER,
			  expression, NULL);
	else
		run_start(&run, "web", "-n", workers, "--", "python3", SERVER, expression, NULL);
	run_expect_up(&run, atoi(workers));
}

/* Every worker answers with the number. */
static void expect_number(int number)
{
	clients_run(&clients, (struct client_plan){ .connections = 8 });
	if (clients_of(&clients, number) != 8)
		fail_msg("answered with %d by %u of 8; the first with %d", number,
			 clients_of(&clients, number), clients.worker[0]);
}

/* --- LBCTL_INSTANCE --- */

/*
 * As servers with a pid file do: it refuses to start while the process of that number lives. A
 * zombie, which has no exe, does not.
 */
static const char pid_file[] = "path=" HARNESS_DIR "/app-$LBCTL_INSTANCE.pid\n"
			       "if [ -e $path ] && [ -e /proc/$(cat $path)/exe ]; then\n"
			       "    echo already running >&2; exit 1\n"
			       "fi\n"
			       "[ $LBCTL_INSTANCE -lt 8 ] || exit 2\n"
			       "echo $$ >$path\n";

/*
 * 1. reload, restart, scale, a crash: no process finds its pid file taken, and no more of them are
 *    used than twice as many as there are workers; 2. so with the next keeper, which finds them
 */
static void test_pid_files(void **state)
{
	char text[1024];
	pid_t pids[3];

	(void)state;
	snprintf(text, sizeof(text), "%sexec %s -q --no-reuseport --listen :8080", pid_file,
		 run_demo());
	run_start(&run, "web", "-n", "3", "--", "sh", "-c", text, NULL);
	run_pids(&run, pids, 3);
	lbctl_ok("reload", "web", NULL);
	lbctl_ok("restart", "web", "1", NULL);
	lbctl_ok("scale", "web", "4", NULL);
	run_kill(&run);
	run_start_again(&run);
	run_expect_keeper(&run);
	lbctl_ok("scale", "web", "4", NULL);
	lbctl_ok("reload", "web", NULL);
	lbctl_ok("scale", "web", "3", NULL);
	run_pids(&run, pids, 3);
	kill(pids[0], SIGKILL);
	wait_until(!process_lives(pids[0]), RUN_MS);
	run_pids(&run, pids, 3);
	run_expect_lines(&run, "already running", 0);
	run_expect_events(&run, 1, "exit", "{s:b}", "unasked", 1);
	run_stop(&run);
}

/* --- the working directory --- */

#define VERSION "int(open('version').read())"

static void make_version(const char *name, const char *number)
{
	char path[64];

	snprintf(path, sizeof(path), APP "/%s", name);
	mkdir(APP, 0755);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), APP "/%s/version", name);
	file_write(path, number);
}

static void move_link(const char *to)
{
	unlink(APP "/next");
	assert_int_equal(symlink(to, APP "/next"), 0);
	assert_int_equal(rename(APP "/next", APP "/current"), 0);
}

static void enter_current(void)
{
	if (!chdir(APP "/current"))
		setenv("PWD", APP "/current", 1);
}

/* As `cd current; lbctl run` in a shell: the link is moved, and the new processes follow it. */
static void test_reload_follows_a_link(void **state)
{
	(void)state;
	make_version("1", "1");
	make_version("2", "2");
	move_link("1");
	run_prepare = enter_current;
	start("2", VERSION, NULL, NULL);
	expect_number(1);
	move_link("2");
	lbctl_ok("reload", "web", NULL);
	expect_number(2);
	/* and where the path is gone they start where it was */
	unlink(APP "/current");
	lbctl_expect(0, "", "reload", "web", NULL);
	run_expect_lines(&run, "can't start in " APP "/current", 2);
	run_stop(&run);
}

static void test_cwd(void **state)
{
	(void)state;
	make_version("1", "1");
	make_version("2", "2");
	move_link("1");
	start("2", VERSION, "--cwd", APP "/current");
	expect_number(1);
	move_link("2");
	lbctl_ok("restart", "web", "0", NULL);
	lbctl_ok("restart", "web", "1", NULL);
	expect_number(2);
	unlink(APP "/current");
	lbctl_expect(1, "--cwd " APP "/current: No such file or directory", "reload", "web", NULL);
	expect_number(2);
	run_stop(&run);
	lbctl_expect(2, "not a directory", "run", "--cwd", SERVER, "--", "true", NULL);
	lbctl_expect(2, "No such file or directory", "run", "--cwd", "/no/such", "--", "true",
		     NULL);
}

static void test_unit_keeps_the_link(void **state)
{
	(void)state;
	make_version("1", "1");
	move_link("1");
	run_prepare = enter_current;
	lbctl_expect(0, "WorkingDirectory=" APP "/current", "unit", "--", "sleep", "1", NULL);
	run_prepare = enter_current;
	lbctl_expect(0, " --cwd " APP "/current -- ", "unit", "--", "sleep", "1", NULL);
	assert_int_equal(mkdir(APP "/1/sub", 0755), 0);
	run_prepare = enter_current;
	lbctl_expect(0, " --cwd " APP "/current/sub -- ", "unit", "--cwd", "sub", "--", "sleep",
		     "1", NULL);
}

/* --- the environment --- */

#define VALUE "env('VALUE')"

static bool is_refused_for_the_group(void)
{
	pid_t child = fork();
	int status;

	if (!child) {
		struct output output;

		if (setgroups(0, NULL) || setgid(GROUP) || setuid(1))
			_exit(2);
		lbctl_run(&output, "reload", "web", "--update-env", NULL);
		_exit(output.status != 4 || !strstr(output.err, "who is in --group may not"));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

/*
 * 1. the new processes have what the command has; 2. one that fails leaves the old ones theirs,
 *    also when they are started again
 */
static void test_reload_updates_the_environment(void **state)
{
	pid_t pids[2], now[2];

	(void)state;
	setenv("VALUE", "1", 1);
	start("2", VALUE, NULL, NULL);
	expect_number(1);
	setenv("VALUE", "2", 1);
	lbctl_ok("reload", "web", NULL);
	expect_number(1);
	lbctl_ok("reload", "web", "--update-env", NULL);
	expect_number(2);
	setenv("VALUE", "wrong", 1);
	lbctl_expect(1, "2 of 2 workers still run the old version", "reload", "web", "--update-env",
		     NULL);
	run_pids(&run, pids, 2);
	kill(pids[1], SIGKILL);
	wait_until(!process_lives(pids[1]), RUN_MS);
	run_pids(&run, now, 2);
	expect_number(2);
	setenv("VALUE", "3", 1);
	lbctl_ok("reload", "web", "--update-env", NULL);
	expect_number(3);
	unsetenv("VALUE");
	run_stop(&run);
}

/* Members of --group may reload, and no more. */
static void test_group_may_not_say_what_is_run(void **state)
{
	pid_t pids[2];

	(void)state;
	setenv("VALUE", "1", 1);
	start("2", VALUE, "--group", "nogroup");
	run_pids(&run, pids, 2);
	setenv("VALUE", "2", 1);
	assert_true(is_refused_for_the_group());
	run_expect_same(&run, pids, 2);
	expect_number(1);
	unsetenv("VALUE");
	lbctl_ok("stop", "web", NULL);
	assert_int_equal(run_wait(&run), 0);
	umount2(FILES_DIR "/bpf", MNT_DETACH);
}

#define ENV_FILE HARNESS_DIR "/app.env"

static void test_env_file(void **state)
{
	(void)state;
	file_write(ENV_FILE, "# ours\nVALUE=\"1\"\nLBCTL_WORKERS=7\n");
	setenv("VALUE", "5", 1);
	start("2", VALUE " + env('LBCTL_WORKERS')", "--env-file", ENV_FILE);
	expect_number(3);
	file_write(ENV_FILE, "VALUE='20'\n");
	lbctl_ok("reload", "web", NULL);
	expect_number(22);
	file_write(ENV_FILE, "VALUE=20\n\nexport B=1\n");
	lbctl_expect(1, "--env-file " ENV_FILE ": line 3 is not NAME=VALUE", "reload", "web", NULL);
	unlink(ENV_FILE);
	lbctl_expect(1, "--env-file " ENV_FILE ": No such file", "reload", "web", NULL);
	expect_number(22);
	run_stop(&run);
	lbctl_expect(1, ENV_FILE ": No such file", "run", "--env-file", ENV_FILE, "--", "true",
		     NULL);
	unsetenv("VALUE");
}

/* It is read in the directory of the worker, which a link may lead to. */
static void test_env_file_of_a_version(void **state)
{
	(void)state;
	make_version("1", "1");
	make_version("2", "2");
	file_write(APP "/1/env", "VALUE=1\n");
	file_write(APP "/2/env", "VALUE=2\n");
	move_link("1");
	run_prepare = enter_current;
	start("1", VALUE, "--env-file", "env");
	expect_number(1);
	move_link("2");
	lbctl_ok("reload", "web", NULL);
	expect_number(2);
	run_stop(&run);
}

/* --- variables of Node.js --- */

/* A program of another kind hands variables on to what it starts, and closes descriptors. */
static void test_variables_of_node(void **state)
{
	(void)state;
	setenv("NODE_CHANNEL_FD", "77", 1);
	start("1", "env('NODE_CHANNEL_FD') * 1000 + env('LBCTL_CHANNEL_FD')", NULL, NULL);
	expect_number(-1000 + 3);
	run_stop(&run);
	unsetenv("NODE_CHANNEL_FD");
	start("1", "env('NODE_APP_INSTANCE')", NULL, NULL);
	expect_number(0);
	run_stop(&run);
	start("1", "env('NODE_APP_INSTANCE') * 1000 + env('NUMBER')", "--instance-var", "NUMBER");
	expect_number(-1000);
	run_stop(&run);
	start("1", "env('NODE_APP_INSTANCE')", "--instance-var", "none");
	expect_number(-1);
	run_stop(&run);
	lbctl_expect(2, "not the name of a variable", "run", "--instance-var", "A B", "--", "true",
		     NULL);
	lbctl_expect(2, "names that begin with LBCTL_", "run", "--instance-var", "LBCTL_WORKER",
		     "--", "true", NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_pid_files),
		runs_test(test_reload_follows_a_link),
		runs_test(test_cwd),
		runs_test(test_unit_keeps_the_link),
		runs_test(test_reload_updates_the_environment),
		runs_test(test_group_may_not_say_what_is_run),
		runs_test(test_env_file),
		runs_test(test_env_file_of_a_version),
		runs_test(test_variables_of_node),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
