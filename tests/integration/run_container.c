// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl run as a container has it: it is pid 1, and so the parent of whoever loses his; and its
 * output is a pipe, whose reader may go.
 */
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <ctype.h>
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 2
#define ORPHANS 20

static struct run run;

/* --- pid 1 --- */

/* The process goes on as pid 1 of a namespace; the one before it ends as that one does. */
static void become_init(void)
{
	int status;
	pid_t pid;

	if (unshare(CLONE_NEWPID | CLONE_NEWNS))
		_exit(125);
	pid = fork();
	if (pid < 0)
		_exit(125);
	if (pid) {
		waitpid(pid, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 125);
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("proc", "/proc", "proc", 0, NULL))
		_exit(125);
}

/* Counts the processes of this name, zombies too, and sends each a signal (0 = none). */
static unsigned int signal_named(const char *name, int number)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	unsigned int n = 0;
	char path[300], *text;

	while (proc && (entry = readdir(proc))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		if (!isdigit(entry->d_name[0]) || access(path, R_OK))
			continue;
		text = file_read(path);
		if (text && !strncmp(text, name, strlen(name))) {
			kill(atoi(entry->d_name), number);
			n++;
		}
		free(text);
	}
	if (proc)
		closedir(proc);
	return n;
}

/* How many processes of this name nobody has taken note of the end of. */
static unsigned int zombies(const char *name)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	char path[300], *text, *end;
	unsigned int n = 0;

	while (proc && (entry = readdir(proc))) {
		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		if (!isdigit(entry->d_name[0]) || access(path, R_OK))
			continue;
		text = file_read(path);
		end = text ? strrchr(text, ')') : NULL;
		n += end && strstr(text, name) && !strncmp(end, ") Z", 3);
		free(text);
	}
	if (proc)
		closedir(proc);
	return n;
}

/* Each worker leaves ten behind, which have another parent then. */
static const char orphaning[] = "import os, socket, subprocess\n"
				"s = socket.socket()\n"
				"s.bind(('', 8080))\n"
				"s.listen(10)\n"
				"for i in range(10):\n"
				"    subprocess.run(['sh', '-c', 'sleep 1000 &'])\n"
				"while True:\n"
				"    s.accept()[0].close()\n";

static void test_orphans_are_reaped(void **state)
{
	(void)state;
	file_write(HARNESS_DIR "/orphaning.py", orphaning);
	run_prepare = become_init;
	run_start(&run, "web", "-n", "2", "--", "python3", HARNESS_DIR "/orphaning.py", NULL);
	run_expect_events(&run, WORKERS, "online", NULL);
	wait_until(signal_named("sleep", 0) == ORPHANS, RUN_MS);
	assert_int_equal(signal_named("sleep", SIGKILL), ORPHANS);
	wait_until(signal_named("sleep", 0) == 0, RUN_MS);
	run_expect_events(&run, 0, "exit", NULL);
	run_stop(&run);
	run_expect_events(&run, WORKERS, "exit", "{s:s}", "signal", "SIGTERM");
}

/* What closes the descriptors of workers that end, too: here, and where pid 1 reaps nobody. */
static void leaves_no_zombies(void (*prepare)(void))
{
	run_prepare = prepare;
	run_start_shared(&run, WORKERS);
	run_expect_up(&run, WORKERS);
	for (int i = 0; i < 3; i++)
		lbctl_ok("reload", NULL);
	wait_until(zombies("(lbctl)") == 0, RUN_MS);
	run_stop(&run);
	wait_until(zombies("(lbctl)") == 0, RUN_MS);
}

static void test_leaves_no_zombies(void **state)
{
	(void)state;
	leaves_no_zombies(become_init);
	leaves_no_zombies(NULL);
}

/* --- the output --- */

static int pipe_fds[2];

static void write_to_the_pipe(void)
{
	close(pipe_fds[0]);
	dup2(pipe_fds[1], STDOUT_FILENO);
	dup2(pipe_fds[1], STDERR_FILENO);
	close(pipe_fds[1]);
}

static unsigned int ticks(void)
{
	char *text = file_read(HARNESS_DIR "/ticks");
	unsigned int n = strlen(text);

	free(text);
	return n;
}

/*
 * 1. workers print all the time; who reads it goes: they do not notice
 * 2. who is started from then on has /dev/null
 */
static void test_reader_goes(void **state)
{
	char path[64], target[64] = "";
	unsigned int before;
	pid_t pids[WORKERS];

	(void)state;
	file_write(HARNESS_DIR "/ticks", "");
	file_write(HARNESS_DIR "/prints.js",
		   "require('http').createServer(() => {}).listen(8080);\n"
		   "setInterval(() => {\n"
		   "  console.log('I print');\n"
		   "  console.error('I complain');\n"
		   "  require('fs').appendFileSync('" HARNESS_DIR "/ticks', '.');\n"
		   "}, 20);\n");
	assert_int_equal(pipe(pipe_fds), 0);
	run_prepare = write_to_the_pipe;
	run_start(&run, "web", "-n", "2", "--", "node", HARNESS_DIR "/prints.js", NULL);
	close(pipe_fds[1]);
	run_expect_up(&run, WORKERS);
	close(pipe_fds[0]);
	run_expect_events(&run, 1, "hangup", NULL);
	before = ticks();
	wait_until(ticks() > before + 200, RUN_MS);
	run_expect_events(&run, 0, "exit", NULL);
	lbctl_expect(0, "2 workers replaced", "reload", "web", NULL);
	run_pids(&run, pids, WORKERS);
	snprintf(path, sizeof(path), "/proc/%d/fd/2", pids[0]);
	assert_true(readlink(path, target, sizeof(target) - 1) > 0);
	assert_string_equal(target, "/dev/null");
	run_expect_events(&run, 1, "hangup", NULL);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_orphans_are_reaped),
		runs_test(test_leaves_no_zombies),
		runs_test(test_reader_goes),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
