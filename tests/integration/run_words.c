// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What people are told whose keeper is gone, who are not root, or who ask for what can't be: the
 * cause, and a next step that works.
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
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 2

static struct run run;
static struct show show;

/* What one command printed on either output, which must end with this status; to be freed. */
static char *text_of(int status, const char *const *args)
{
	struct output output;
	char *text;

	lbctl_run(&output, args[0], args[1], args[2], args[2] ? args[3] : NULL, NULL);
	if (output.status != status)
		fail_msg("lbctl %s: status %d, want %d: %s%s", args[0], output.status, status,
			 output.out, output.err);
	assert_true(asprintf(&text, "%s%s", output.out, output.err) > 0);
	output_free(&output);
	return text;
}

static void expect(const char *words, int status, const char *const *args)
{
	char *text = text_of(status, args);

	if (!strstr(text, words))
		fail_msg("lbctl %s does not say \"%s\": %s", args[0], words, text);
	free(text);
}

/* --- the keeper is gone --- */

static void expect_keeper_json(bool gone, const char *words)
{
	json_t *json = lbctl_json("show", "web", "--json", NULL), *keeper;
	const char *again;

	keeper = json_object_get(json, "keeper");
	again = json_string_value(json_object_get(keeper, "again"));
	assert_int_equal(json_is_true(json_object_get(keeper, "gone")), gone);
	if (!again || !strstr(again, words))
		fail_msg("again is \"%s\", want \"%s\"", again ? again : "missing", words);
	json_decref(json);
}

/* What `show` says takes the service up again does, as a shell reads it. */
static void take_up_again(void)
{
	json_t *json = lbctl_json("show", "web", "--json", NULL);
	const char *again =
		json_string_value(json_object_get(json_object_get(json, "keeper"), "again"));
	char path[8192];

	snprintf(path, sizeof(path), "%s", harness_build_path("lbctl"));
	*strrchr(path, '/') = '\0';
	strcat(path, ":/usr/bin:/bin");
	run.pid = fork();
	if (!run.pid) {
		FILE *log = freopen(run.log, "a", stdout);

		dup2(log ? fileno(log) : 1, 2);
		setenv("PATH", path, 1);
		/* the shell becomes the last command, which so is our child */
		execl("/bin/bash", "bash", "-c", again, NULL);
		_exit(127);
	}
	json_decref(json);
}

/*
 * 1. lbctl run is killed: show and list say that the keeper is gone, and each verb that needs one
 *    which command takes the service up again; the workers serve
 * 2. that command does
 */
static void test_keeper_is_gone(void **state)
{
	static const char *const verbs[][5] = {
		{ "reload", "web" },	     { "scale", "web", "3" }, { "restart", "web", "0" },
		{ "send", "web", "0", "1" }, { "events", "web" },
	};
	static struct clients clients;
	pid_t pids[WORKERS];

	(void)state;
	run_start(&run, "web", "-n", "2", "--", run_demo(), "-q", "--no-reuseport", "--listen",
		  "0.0.0.0:8080", NULL);
	run_pids(&run, pids, WORKERS);
	expect_keeper_json(false, "");
	run_kill(&run);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		expect("the keeper of web is gone; its workers go on", 1, verbs[i]);
		expect("this takes it up again: lbctl run --name web", 1, verbs[i]);
	}
	expect("keeper gone", 0, (const char *[]){ "show", "web", NULL });
	expect("this takes it up again: lbctl run --name web", 0,
	       (const char *[]){ "show", "web", "--wide", NULL });
	expect("(keeper gone)", 0, (const char *[]){ "list", NULL, NULL });
	expect_keeper_json(true, "lbctl run --name web");
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	assert_int_equal(clients.answered, 20);
	take_up_again();
	run_expect_keeper(&run);
	run_expect_same(&run, pids, WORKERS);
	expect_keeper_json(false, "");
	run_stop(&run);
}

/* Words that a shell would read otherwise, and another directory. */
static void test_again_is_for_a_shell(void **state)
{
	char text[128];

	(void)state;
	assert_int_equal(mkdir(HARNESS_DIR "/a dir", 0755), 0);
	assert_int_equal(chdir(HARNESS_DIR "/a dir"), 0);
	run_start(&run, "web", "-n", "1", "--", run_demo(), "-q", "--no-reuseport", "--listen",
		  "0.0.0.0:8080", "--log", "it's $HOME", NULL);
	run_expect_up(&run, 1);
	run_kill(&run);
	expect_keeper_json(true, "--log 'it'\\''s $HOME'");
	assert_int_equal(chdir("/"), 0);
	snprintf(text, sizeof(text), "cd '" HARNESS_DIR "/a dir' && lbctl run ");
	expect_keeper_json(true, text);
	take_up_again();
	run_expect_keeper(&run);
	run_stop(&run);
}

/* The file is root's alone, as arguments may be secrets, and goes with the service. */
static void test_command_file(void **state)
{
	struct stat st;

	(void)state;
	run_start(&run, "web", "-n", "1", "--", run_demo(), "-q", "--no-reuseport", "--listen",
		  "0.0.0.0:8080", NULL);
	run_expect_up(&run, 1);
	assert_int_equal(stat(FILES_DIR "/web.command", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	run_kill(&run);
	unlink(FILES_DIR "/web.command");
	expect("the command that started it takes it up again, with --name web", 1,
	       (const char *[]){ "reload", "web", NULL });
	lbctl_ok("stop", "web", NULL);
	run_expect_nothing_left();
}

/* --with-controller: nobody goes on. */
static void test_nobody_is_left(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	run_start(&run, "web", "-n", "2", "--with-controller", "--", run_demo(), "-q",
		  "--no-reuseport", "--listen", "0.0.0.0:8080", NULL);
	run_pids(&run, pids, WORKERS);
	run_kill(&run);
	for (size_t i = 0; i < WORKERS; i++)
		wait_until(!process_lives(pids[i]), RUN_MS);
	expect("none of its workers lives, and this takes it up again: lbctl run", 1,
	       (const char *[]){ "reload", "web", NULL });
	lbctl_ok("stop", "web", NULL);
	run_expect_nothing_left();
}

/* Of a watched service, and of one that was only attached. */
static void test_watch_is_gone(void **state)
{
	struct demo demos[2];

	(void)state;
	demo_start_many(demos, 2, "0.0.0.0:8080");
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	expect_keeper_json(false, "");
	expect("it was attached", 3, (const char *[]){ "reload", "web", NULL });
	run_start_verb(&run, "web", "watch", "web", NULL);
	run_expect_keeper(&run);
	run_kill(&run);
	expect("this takes it up again: lbctl watch web", 1,
	       (const char *[]){ "events", "web", NULL });
	take_up_again();
	run_expect_keeper(&run);
	run_kill(&run);
	expect("no longer watched; it goes on", 0, (const char *[]){ "stop", "web", NULL });
	expect_keeper_json(false, "");
	lbctl_ok("detach", "web", NULL);
}

/* A process that the keeper had just forked has its sockets for a moment longer: as we do here. */
static void take_listening_sockets(pid_t pid)
{
	int pidfd = syscall(__NR_pidfd_open, pid, 0), listens, taken = 0;

	assert_true(pidfd >= 0);
	for (int n = 0; n < 256; n++) {
		int fd = syscall(__NR_pidfd_getfd, pidfd, n, 0);
		socklen_t len = sizeof(listens);

		if (fd < 0)
			continue;
		listens = 0;
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len);
		taken += listens;
		if (!listens)
			close(fd);
	}
	close(pidfd);
	assert_true(taken > 0);
}

static void test_sockets_outlive_the_keeper(void **state)
{
	(void)state;
	run_start_shared(&run, 2);
	run_expect_up(&run, 2);
	take_listening_sockets(run.pid);
	run_kill(&run);
	expect("is gone; its workers go on", 1, (const char *[]){ "reload", "web", NULL });
	expect("2 processes of it lived on", 0, (const char *[]){ "stop", "web", NULL });
}

/* --- a name that is in use, and one that is near --- */

/*
 * 1. of a service of lbctl run: run and watch say who has it, and the command they name ends it
 * 2. of one that is watched: the same
 */
static void test_name_in_use(void **state)
{
	const char *run_again[] = { "run", "--name=web", "--", "true", NULL };
	struct demo demos[2];
	char words[128];

	(void)state;
	run_start(&run, "web", "-n", "2", "--", run_demo(), "-q", "--no-reuseport", "--listen",
		  "0.0.0.0:8080", NULL);
	run_expect_up(&run, 2);
	snprintf(words, sizeof(words), "lbctl run (pid %d) keeps it already", run.pid);
	expect(words, 1, (const char *[]){ "watch", "web", NULL });
	expect("take another --name, or lbctl stop web", 1, run_again);
	expect("first lbctl detach web, or lbctl stop web if lbctl run started it", 1,
	       (const char *[]){ "attach", "--name=api", ":8080", NULL });
	lbctl_ok("stop", "web", NULL);
	assert_int_equal(run_wait(&run), 0);
	demo_start_many(demos, 2, "0.0.0.0:8080");
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	run_start_verb(&run, "web", "watch", "web", NULL);
	run_expect_keeper(&run);
	snprintf(words, sizeof(words), "lbctl watch (pid %d) keeps it already", run.pid);
	expect(words, 1, (const char *[]){ "watch", "web", NULL });
	expect("take another --name, or lbctl detach --force web", 1, run_again);
	lbctl_ok("detach", "--force", "web", NULL);
	assert_int_equal(run_wait(&run), 0);
}

/* What asks the keeper knows the services as well as what looks at them. */
static void test_name_that_is_near(void **state)
{
	static const char *const verbs[][5] = {
		{ "reload", "wbe" }, { "scale", "wbe", "3" }, { "restart", "wbe", "0" },
		{ "events", "wbe" }, { "stop", "wbe" },	      { "cancel", "wbe" },
		{ "show", "wbe" },   { "drain", "wbe", "0" }, { "logs", "wbe" },
	};

	(void)state;
	expect("no such service; there is none: lbctl run -- CMD starts one", 3, verbs[0]);
	run_start_shared(&run, 1);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		expect("no such service (did you mean \"web\"? lbctl list shows all)", 3, verbs[i]);
	run_stop(&run);
}

/* --- another user --- */

static const uid_t nobody = 65534;

/* Who may not read the build directory. */
static void become_nobody(void)
{
	if (setgid(nobody) || setuid(nobody))
		_exit(99);
	execv(HARNESS_DIR "/lbctl", (char *const *)run.args);
	_exit(127);
}

/* The sentence names the cause and what to do; no name of a service stands for the command. */
static void expect_root_is_asked_for(void)
{
	run_prepare = become_nobody;
	run_start(&run, "web", "--", "sleep", "1000", NULL);
	assert_int_equal(run_wait(&run), 4);
	run_expect_lines(&run, "lbctl: run web: user nobody can't use " FILES_DIR, 1);
	run_expect_lines(&run, "start it as root (sudo), and with run --user nobody", 1);
}

static void test_not_root(void **state)
{
	(void)state;
	command_ok("cp", harness_build_path("lbctl"), HARNESS_DIR "/lbctl", NULL);
	/* /run/lbctl is not there, and can't be made; it is there, and is root's */
	expect_root_is_asked_for();
	assert_int_equal(mkdir(FILES_DIR, 0755), 0);
	expect_root_is_asked_for();
	rmdir(FILES_DIR);
}

/* --- what a worker uses --- */

static void test_show_tells_what_workers_use(void **state)
{
	json_t *json, *row;
	char words[64];
	pid_t pids[WORKERS];

	(void)state;
	run_start_shared(&run, WORKERS);
	run_pids(&run, pids, WORKERS);
	json = lbctl_json("show", "web", "--json", NULL);
	for (size_t i = 0; i < WORKERS; i++) {
		row = json_array_get(json_object_get(json, "workers"), i);
		assert_true(json_integer_value(json_object_get(row, "uptime_ms")) > 0);
		assert_true(json_is_integer(json_object_get(row, "cpu_ms")));
		assert_true(json_integer_value(json_object_get(row, "memory_bytes")) > 1 << 16);
		assert_non_null(strstr(json_string_value(json_object_get(row, "command")),
				       "--listen :8080"));
	}
	json_decref(json);
	snprintf(words, sizeof(words), "-q --no-reuseport --listen :8080");
	expect(words, 0, (const char *[]){ "show", "web", "--wide", NULL });
	show_read("web", &show);
	assert_int_equal(show.nr_workers, WORKERS);
	run_stop(&run);
}

/* --- scale by so many, signals --- */

static void test_scale_by(void **state)
{
	(void)state;
	run_start_shared(&run, 2);
	lbctl_ok("scale", "web", "+2", NULL);
	run_expect_up(&run, 4);
	lbctl_ok("scale", "-1", NULL);
	run_expect_up(&run, 3);
	expect("a service has 1 to 1024 workers, and this one 3", 2,
	       (const char *[]){ "scale", "web", "-3", NULL });
	expect("nor +N or -N", 2, (const char *[]){ "scale", "web", "+0", NULL });
	expect("nor +N or -N", 2, (const char *[]){ "scale", "web", "+", NULL });
	run_expect_up(&run, 3);
	run_stop(&run);
}

/*
 * A worker that says which signals it gets, and has a child that would say it, too. Python looks
 * for a signal before it waits, and not again until then.
 */
static const char signalled[] =
	"import os, signal, socket, time\n"
	"child = not os.fork()\n"
	"def say(number, frame): print('child' if child else 'main', 'got', number, flush=True)\n"
	"signal.signal(signal.SIGUSR1, say)\n"
	"signal.signal(signal.SIGHUP, say)\n"
	"s = socket.socket()\n"
	"s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
	"if not child:\n"
	"    s.bind(('', 8080))\n"
	"    s.listen(100)\n"
	"while True: time.sleep(.1)\n";

static void test_signal(void **state)
{
	pid_t pids[WORKERS], after[WORKERS];

	(void)state;
	file_write(HARNESS_DIR "/signalled.py", signalled);
	run_start(&run, "web", "-n", "2", "--", "python3", HARNESS_DIR "/signalled.py", NULL);
	run_pids(&run, pids, WORKERS);
	expect("sent to 1 worker\n", 0, (const char *[]){ "signal", "web", "1", "USR1" });
	run_expect_lines(&run, "main got 10", 1);
	run_expect_events(&run, 1, "signal", "{s:i, s:i, s:i}", "worker", 1, "pid", pids[1],
			  "signal", SIGUSR1);
	expect("sent to 2 workers\n", 0, (const char *[]){ "signal", "web", "all", "sighup" });
	wait_until(run_lines(&run, "main got 1") == 3, RUN_MS);
	run_expect_lines(&run, "child got", 0);
	run_expect_same(&run, pids, WORKERS);
	lbctl_ok("signal", "web", "0", "KILL", NULL);
	run_expect_events(&run, 1, "exit", "{s:i, s:s}", "pid", pids[0], "signal", "SIGKILL");
	run_expect_events(&run, 3, "online", NULL);
	run_pids(&run, after, WORKERS);
	assert_int_equal(after[1], pids[1]);
	expect("no worker 2; web has 0 to 1", 3, (const char *[]){ "signal", "web", "2", "HUP" });
	expect("HUB: not a signal", 2, (const char *[]){ "signal", "web", "0", "HUB" });
	expect("x: not a worker", 2, (const char *[]){ "signal", "web", "x", "HUP" });
	run_stop(&run);
}

/* Whose processes lbctl has not started are not its own to signal. */
static void test_signal_of_a_watched_service(void **state)
{
	struct demo demos[2];

	(void)state;
	demo_start_many(demos, 2, "0.0.0.0:8080");
	run_start_verb(&run, "tcp-8080", "watch", "8080", NULL);
	run_expect_keeper(&run);
	wait_until(show_try("tcp-8080", &show), RUN_MS);
	expect("lbctl watch did not start these workers", 1,
	       (const char *[]){ "signal", "tcp-8080", "0", "TERM" });
	assert_false(waitpid(demos[0].pid, NULL, WNOHANG));
	kill(run.pid, SIGTERM);
	assert_int_equal(run_wait(&run), 0);
	lbctl_ok("detach", "--all", NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_keeper_is_gone),
		runs_test(test_again_is_for_a_shell),
		runs_test(test_command_file),
		runs_test(test_nobody_is_left),
		runs_test(test_watch_is_gone),
		runs_test(test_sockets_outlive_the_keeper),
		runs_test(test_name_in_use),
		runs_test(test_name_that_is_near),
		runs_test(test_not_root),
		runs_test(test_show_tells_what_workers_use),
		runs_test(test_scale_by),
		runs_test(test_signal),
		runs_test(test_signal_of_a_watched_service),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
