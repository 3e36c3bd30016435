// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the keeper must never wait for: somebody who holds the lock of its service, and somebody who
 * does not read its output. Meanwhile workers are started again, and it answers.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/load.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/show.h"
#include "harness/world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WORKERS 4

static struct run run;
static struct clients clients;

/* --- the lock of the service --- */

/* Whoever changes the service waits until this is closed. */
static int hold_lock(void)
{
	int fd = open(HARNESS_PINS "/web", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	return fd;
}

/* A change by hand waits for the lock, and gives up in the end. Nobody else may wait so long. */
static void begin_waiting(struct job *waiter)
{
	lbctl_start(waiter, "set-weight", "web", "1", "2", NULL);
}

/*
 * 1. somebody holds the lock, and somebody else waits for it
 * 2. a worker is killed: another is started; a message is sent, an operation taken up
 * 3. whoever waited is waiting still; the lock is free: all of it comes to its end
 */
static void start_again_meanwhile(void)
{
	struct job waiter, scale;
	struct output output;
	pid_t pids[WORKERS];
	int lock;

	run_pids(&run, pids, WORKERS);
	lock = hold_lock();
	begin_waiting(&waiter);
	kill(pids[0], SIGKILL);
	wait_until(run_events(&run, "start", "{s:i}", "worker", 0) == 2, RUN_MS);
	lbctl_ok("send", "web", "1", "{}", NULL);
	lbctl_start(&scale, "scale", "web", "5", NULL);
	wait_until(run_events(&run, "start", "{s:i}", "worker", 4) == 1, RUN_MS);
	assert_true(job_is_running(&waiter));
	close(lock);
	job_wait(&scale, &output);
	assert_int_equal(output.status, 0);
	output_free(&output);
	job_wait(&waiter, &output);
	assert_int_equal(output.status, 0);
	output_free(&output);
	lbctl_ok("set-weight", "web", "1", "1", NULL);
	run_expect_up(&run, WORKERS + 1);
	lbctl_ok("set-policy", "web", "rr", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 50 });
	for (int i = 0; i < WORKERS + 1; i++)
		assert_int_equal(clients_of(&clients, i), 10);
	run_stop(&run);
}

static void test_lock_is_held(void **state)
{
	(void)state;
	run_start_shared(&run, WORKERS);
	start_again_meanwhile();
}

static void test_lock_is_held_with_listen(void **state)
{
	(void)state;
	run_start_with_listen(&run, WORKERS, ":8080");
	start_again_meanwhile();
}

/* Its workers end before whoever waits for the lock gives up; the service goes when it can. */
static void test_stop_while_the_lock_is_held(void **state)
{
	struct job waiter, stop;
	struct output output;
	pid_t pids[WORKERS];
	int lock;

	(void)state;
	run_start_shared(&run, WORKERS);
	run_pids(&run, pids, WORKERS);
	lock = hold_lock();
	begin_waiting(&waiter);
	lbctl_start(&stop, "stop", "web", NULL);
	for (int i = 0; i < WORKERS; i++)
		wait_until(!process_lives(pids[i]), RUN_MS);
	assert_true(job_is_running(&waiter));
	close(lock);
	job_wait(&stop, &output);
	assert_int_equal(output.status, 0);
	output_free(&output);
	job_wait(&waiter, &output);
	output_free(&output);
	assert_int_equal(run_wait(&run), 0);
	run_expect_nothing_left();
}

/*
 * 1. under load a reload begins; the lock is held, so the child waits that gives the new process
 *    its slot; that process is late, and the reload has failed
 * 2. the lock is free, and the child goes on: what is to end gets nothing, so it can lose nothing
 */
static void test_late_slot(void **state)
{
	static const char program[] =
		"const late = require('fs').existsSync('" HARNESS_DIR "/late');\n"
		"require('http').createServer((request, answer) => setTimeout(() =>"
		" answer.end('hello'), late ? 300 : 2)).listen(8080);\n"
		"if (late) process.on('SIGTERM', () => setTimeout(process.exit, 1500));\n";
	struct wrk wrk;
	struct job job;
	int lock;

	(void)state;
	file_write(HARNESS_DIR "/app.js", program);
	run_start(&run, "web", "-n", "2", "--policy", "rr", "--ready-timeout", "4000", "--", "node",
		  HARNESS_DIR "/app.js", NULL);
	run_expect_up(&run, 2);
	file_write(HARNESS_DIR "/late", "");
	wrk_start(&job, "http://127.0.0.1:8080/", "8", WRK_UNTIL_STOPPED);
	lock = hold_lock();
	lbctl_expect(1, "is not listening", "reload", "web", NULL);
	close(lock);
	run_expect_events(&run, 1, "exit", "{}");
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	run_expect_no_failure(&run, &wrk);
	run_stop(&run);
}

/* --- the reader of its output --- */

static int output_fd = -1;

static void use_output(void)
{
	dup2(output_fd, STDOUT_FILENO);
}

static void start_with_output(int fd)
{
	output_fd = fd;
	run_prepare = use_output;
	run_start_shared(&run, WORKERS);
	close(fd);
}

/* More than it keeps for whoever reads its output. */
static void say_much(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = FILES_DIR "/web.sock" };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	char words[801], answer[256];

	memset(words, 'x', sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	for (int i = 0; i < 200; i++) {
		json_t *request = json_pack("{s:s, s:[{s:s, s:s}]}", "verb", "changed", "changes",
					    "type", "set", "text", words);
		char *text = json_dumps(request, JSON_COMPACT);

		assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
		assert_true(recv(fd, answer, sizeof(answer), 0) > 0);
		free(text);
		json_decref(request);
	}
	close(fd);
}

/* A worker is killed and comes again; a reload and scale are done. */
static void work_unread(void)
{
	pid_t pids[WORKERS];

	run_pids(&run, pids, WORKERS);
	kill(pids[2], SIGKILL);
	wait_until(!process_lives(pids[2]), RUN_MS);
	run_expect_up(&run, WORKERS);
	lbctl_ok("reload", "web", NULL);
	lbctl_ok("scale", "web", "5", NULL);
	lbctl_ok("scale", "web", "4", NULL);
	say_much();
	lbctl_ok("restart", "web", "1", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
}

/* Takes all that comes until the words have come. */
static void read_until(int fd, const char *words)
{
	size_t room = 1 << 20, len = 0;
	char *text = calloc(1, room);
	uint64_t end_ns = now_ns() + scaled_ms(RUN_MS) * 1000000;

	assert_non_null(text);
	while (!strstr(text, words)) {
		ssize_t n = read(fd, text + len, room - len - 1);

		if (now_ns() > end_ns)
			fail_msg("\"%s\" is not among %zu bytes", words, len);
		if (n <= 0) {
			harness_nap();
			continue;
		}
		/* words with a NUL would hide the rest: what filled the pipe is none */
		len += n;
	}
	free(text);
}

static int full_pipe(int *reader)
{
	static const char filling[] = "filled\n";
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	while (write(ends[1], filling, sizeof(filling) - 1) > 0)
		continue;
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(fcntl(ends[1], F_SETFL, O_WRONLY), 0);
	*reader = ends[0];
	return ends[1];
}

/* 1. All of it works; 2. when somebody reads again he is told what he missed. */
static void test_pipe_that_nobody_reads(void **state)
{
	int reader;

	(void)state;
	start_with_output(full_pipe(&reader));
	work_unread();
	read_until(reader, "lines were dropped here: nobody read them");
	lbctl_ok("reload", "web", NULL);
	read_until(reader, "reload done");
	run_stop(&run);
	close(reader);
}

static void test_stop_with_a_pipe_that_nobody_reads(void **state)
{
	int reader;

	(void)state;
	start_with_output(full_pipe(&reader));
	say_much();
	run_stop(&run);
	close(reader);
}

/* Ctrl-S and Ctrl-Q. */
static void test_terminal_that_is_stopped(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	char name[64];
	int terminal;

	(void)state;
	assert_true(master >= 0);
	assert_int_equal(unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
	terminal = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(terminal >= 0);
	assert_int_equal(write(master, "\x13", 1), 1);
	start_with_output(terminal);
	work_unread();
	assert_int_equal(write(master, "\x11", 1), 1);
	read_until(master, "lines were dropped here: nobody read them");
	assert_int_equal(write(master, "\x13", 1), 1);
	lbctl_ok("reload", "web", NULL);
	run_stop(&run);
	close(master);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_lock_is_held),
		runs_test(test_lock_is_held_with_listen),
		runs_test(test_stop_while_the_lock_is_held),
		runs_test(test_late_slot),
		runs_test(test_pipe_that_nobody_reads),
		runs_test(test_stop_with_a_pipe_that_nobody_reads),
		runs_test(test_terminal_that_is_stopped),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
