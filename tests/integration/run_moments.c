// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Moments between two states of a run: the old worker ends while its successor starts, lbctl ends
 * while one takes the other's place, a worker crashes again and again and is scaled away. Nobody is
 * lost, and what somebody has set stays.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/show.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS 4
#define FLAG HARNESS_DIR "/flag" /* while it is there, programs are as the test wants them */

static struct run run;
static struct show show;
static struct clients clients;

/* --- a successor that starts --- */

/* A program that runs `first`, then becomes a demo worker. */
static const char *program(const char *first, const char *options)
{
	static char text[1024];

	snprintf(text, sizeof(text), "%s; exec %s -q --grace-ms %llu %s", first, run_demo(),
		 (unsigned long long)scaled_ms(5000), options);
	return text;
}

#define SHARED "--no-reuseport --listen :8080"

/* For --ready-timeout, in ms. */
static const char *short_time(void)
{
	static char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)scaled_ms(2500));
	return text;
}

static void begin_reload(struct job *job, const pid_t *pids)
{
	lbctl_start(job, "reload", "web", NULL);
	run_expect_events(&run, 2, "start", "{s:i}", "worker", 0);
	assert_true(process_lives(pids[0]));
}

/*
 * The old process of worker 0 is killed while the new one starts: the reload goes on. `unseen`:
 * that happens, and the new one listens, while lbctl is stopped.
 */
static void lose_the_old_one(bool unseen)
{
	pid_t before[WORKERS], after[WORKERS];
	struct output output;
	struct job reload;

	run_pids(&run, before, WORKERS);
	file_write(FLAG, "");
	begin_reload(&reload, before);
	if (unseen)
		kill(run.pid, SIGSTOP);
	kill(before[0], SIGKILL);
	unlink(FLAG);
	if (unseen) {
		usleep(scaled_ms(2500) * 1000);
		kill(run.pid, SIGCONT);
	}
	job_wait(&reload, &output);
	if (output.status)
		fail_msg("reload: status %d: %s", output.status, output.err);
	output_free(&output);
	run_pids(&run, after, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		assert_int_not_equal(before[i], after[i]);
	clients_run(&clients, (struct client_plan){ .connections = 40, .at_once = 8 });
	run_stop(&run);
}

#define SLOW_START "[ ! -e " FLAG " ] || sleep 2"

static void test_old_one_dies_first(void **state)
{
	(void)state;
	run_start(&run, "web", "-n", "4", "--wait-ready", "--", "sh", "-c",
		  program(SLOW_START, SHARED), NULL);
	lose_the_old_one(false);
}

/* What was the old one's slot may be the new one's by then: it is not drained. */
static void test_old_one_dies_unseen(void **state)
{
	(void)state;
	run_start(&run, "web", "-n", "4", "--wait-ready", "--", "sh", "-c",
		  program(SLOW_START, SHARED), NULL);
	lose_the_old_one(true);
}

static void test_old_one_dies_first_with_listen(void **state)
{
	(void)state;
	run_start(&run, "web", "-n", "4", "--wait-ready", "--listen", ":8080", "--", "sh", "-c",
		  program(SLOW_START, ""), NULL);
	lose_the_old_one(false);
}

/* --- an operation that is called off --- */

static void expect_cancelled(struct job *job, const char *words)
{
	struct output output;

	lbctl_expect(0, words, "cancel", "web", NULL);
	job_wait(job, &output);
	assert_int_equal(output.status, 1);
	assert_non_null(strstr(output.err, "cancelled; "));
	output_free(&output);
}

/*
 * 1. new processes never listen: a reload, then a scale, are called off; the four that serve stay,
 *    and the others end
 * 2. there is nothing to call off any more; the next reload works
 */
static void test_cancel(void **state)
{
	pid_t before[WORKERS], after[WORKERS];
	struct job job;

	(void)state;
	run_start(&run, "web", "-n", "4", "--", "sh", "-c",
		  program("[ ! -e " FLAG " ] || exec sleep 1000", SHARED), NULL);
	run_pids(&run, before, WORKERS);
	file_write(FLAG, "");
	begin_reload(&job, before);
	expect_cancelled(&job, "reload cancelled; 4 of 4 workers still run the old version");
	run_expect_events(&run, 1, "exit", "{s:b}", "unasked", 0);
	lbctl_start(&job, "scale", "web", "6", NULL);
	run_expect_events(&run, 1, "start", "{s:i}", "worker", 5);
	expect_cancelled(&job, "scale cancelled; 4 of 4 workers are online");
	run_expect_events(&run, 3, "exit", "{s:b}", "unasked", 0);
	lbctl_expect(0, "no scale, reload or restart is going on", "cancel", "web", NULL);
	run_pids(&run, after, WORKERS);
	assert_memory_equal(before, after, sizeof(before));
	unlink(FLAG);
	lbctl_expect(0, "4 workers replaced", "reload", "web", NULL);
	run_stop(&run);
}

/* A scale whose new workers never listen: another one takes its place at once, and that is said. */
static void test_replaced(void **state)
{
	struct output output;
	struct job job;
	pid_t pids[2];

	(void)state;
	run_start(&run, "web", "-n", "2", "--", "sh", "-c",
		  program("[ ! -e " FLAG " ] || exec sleep 1000", SHARED), NULL);
	run_pids(&run, pids, 2);
	file_write(FLAG, "");
	lbctl_start(&job, "scale", "web", "4", NULL);
	run_expect_events(&run, 1, "start", "{s:i}", "worker", 3);
	lbctl_expect(0, "2 workers are online", "scale", "web", "2", NULL);
	job_wait(&job, &output);
	assert_int_equal(output.status, 1);
	assert_non_null(strstr(output.err, "another operation takes its place"));
	output_free(&output);
	run_expect_same(&run, pids, 2);
	unlink(FLAG);
	run_stop(&run);
}

/* --- lbctl is killed in a reload --- */

/*
 * 1. the new process of worker 0 never listens; lbctl is killed meanwhile and started again
 * 2. when the new one's time is over it ends, and the old one serves on
 * 3. the next reload works
 */
static void fail_without_lbctl(void)
{
	pid_t before[WORKERS], after[WORKERS];
	struct output output;
	struct job reload;

	run_pids(&run, before, WORKERS);
	file_write(FLAG, "");
	begin_reload(&reload, before);
	run_kill(&run);
	job_wait(&reload, &output);
	assert_int_not_equal(output.status, 0);
	output_free(&output);
	run_start_again(&run);
	run_expect_keeper(&run);
	run_expect_events(&run, 1, "exit", "{s:i, s:n, s:n}", "worker", 0, "status", "signal");
	run_pids(&run, after, WORKERS);
	assert_memory_equal(before, after, sizeof(before));
	unlink(FLAG);
	lbctl_ok("reload", "web", NULL);
	run_pids(&run, after, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		assert_int_not_equal(before[i], after[i]);
	run_stop(&run);
}

#define NEVER_READY "[ ! -e " FLAG " ] || exec sleep 100"

static void test_successor_that_fails_without_lbctl(void **state)
{
	(void)state;
	run_start(&run, "web", "-n", "4", "--ready-timeout", short_time(), "--", "sh", "-c",
		  program(NEVER_READY, SHARED), NULL);
	fail_without_lbctl();
}

static void test_successor_that_fails_without_lbctl_with_listen(void **state)
{
	(void)state;
	run_start(&run, "web", "-n", "4", "--ready-timeout", short_time(), "--wait-ready",
		  "--listen", ":8080", "--", "sh", "-c", program(NEVER_READY, ""), NULL);
	fail_without_lbctl();
}

static int ask(const char *path)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(8080) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[128];

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	snprintf(text, sizeof(text), "GET %s HTTP/1.0\r\n\r\n", path);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static bool is_answered(int fd)
{
	char text[512] = "";
	bool answered = read(fd, text, sizeof(text) - 1) > 0 && strstr(text, " 200 ");

	close(fd);
	return answered;
}

/*
 * 1. lbctl is killed so long after worker 0's old process was drained: it has told it to end, or
 *    not; somebody waits for its answer still
 * 2. the next lbctl lets it answer and end, and does not tell it again
 */
static void end_once(unsigned int after_ms)
{
	char path[32];
	pid_t before[WORKERS];
	struct output output;
	unsigned int timeouts;
	struct job reload;
	int fd[WORKERS];

	run_pids(&run, before, WORKERS);
	/* on a busy machine they were late to begin with */
	timeouts = run_events(&run, "timeout", NULL);
	lbctl_ok("set-policy", "web", "rr", NULL);
	/* longer than --ready-timeout, which is nothing to one that ends */
	snprintf(path, sizeof(path), "/slow?ms=%u", (unsigned int)scaled_ms(4000));
	for (int i = 0; i < WORKERS; i++)
		fd[i] = ask(path);
	lbctl_start(&reload, "reload", "web", NULL);
	run_expect_events(&run, 1, "drain", "{s:i}", "pid", before[0]);
	usleep(after_ms * 1000);
	run_kill(&run);
	job_wait(&reload, &output);
	output_free(&output);
	run_start_again(&run);
	run_expect_keeper(&run);
	for (int i = 0; i < WORKERS; i++)
		assert_true(is_answered(fd[i]));
	wait_until(!process_lives(before[0]), RUN_MS);
	run_expect_up(&run, WORKERS);
	run_expect_events(&run, 1, "drain", "{s:i}", "pid", before[0]);
	run_expect_events(&run, timeouts, "timeout", NULL);
	run_stop(&run);
}

static void test_end_goes_on_without_lbctl(void **state)
{
	(void)state;
	run_start(&run, "web", "-n", "4", "--ready-timeout", short_time(), "--", "sh", "-c",
		  program("true", SHARED), NULL);
	end_once(scaled_ms(100));
}

static void test_end_begins_without_lbctl(void **state)
{
	(void)state;
	run_start(&run, "web", "-n", "4", "--ready-timeout", short_time(), "--", "sh", "-c",
		  program("true", SHARED), NULL);
	end_once(0);
}

static void test_end_goes_on_without_lbctl_with_listen(void **state)
{
	(void)state;
	run_start(&run, "web", "-n", "4", "--ready-timeout", short_time(), "--listen", ":8080",
		  "--", "sh", "-c", program("true", ""), NULL);
	end_once(scaled_ms(100));
}

/* Where a worker had its channel there is something else by now. */
static void take_over_without_channel(void)
{
	pid_t before[WORKERS], after[WORKERS];

	run_pids(&run, before, WORKERS);
	run_kill(&run);
	run_start_again(&run);
	run_expect_keeper(&run);
	run_pids(&run, after, WORKERS);
	assert_memory_equal(before, after, sizeof(before));
	lbctl_expect(1, "do not read their messages", "send", "web", "0", "{}", NULL);
	run_stop(&run);
}

static void test_channel_that_is_none(void **state)
{
	(void)state;
	run_start(&run, "web", "-n", "4", "--", "sh", "-c",
		  program("exec 3</dev/null 4</dev/null", SHARED), NULL);
	take_over_without_channel();
}

static void test_channel_that_is_the_worker_s_own(void **state)
{
	char text[512];

	(void)state;
	snprintf(text, sizeof(text),
		 "import os, socket\n"
		 "for end, number in zip(socket.socketpair(), (3, 4)):\n"
		 "    os.dup2(end.detach(), number)\n"
		 "os.execv('%s', '%s -q --no-reuseport --listen :8080'.split())\n",
		 run_demo(), run_demo());
	file_write(HARNESS_DIR "/pair.py", text);
	run_start(&run, "web", "-n", "4", "--", "python3", HARNESS_DIR "/pair.py", NULL);
	take_over_without_channel();
}

/* --- a worker that crashes again and again --- */

/* Ten connections wait in the sockets of worker 3, which is killed and does not come again. */
static void crash_for_good(void)
{
	pid_t pids[WORKERS];

	unlink(FLAG);
	run_start(&run, "web", "-n", "4", "--listen", ":8080", "--policy", "rr", "--", "sh", "-c",
		  program("[ $LBCTL_WORKER != 3 ] || [ ! -e " FLAG " ] || exit 3", ""), NULL);
	run_pids(&run, pids, WORKERS);
	lbctl_ok("set", "web", "stall_ms=0", NULL);
	kill(pids[3], SIGSTOP);
	file_write(FLAG, "");
	clients_begin(&clients, (struct client_plan){ .connections = 40, .at_once = 40 });
	clients_collect(&clients, 10);
	kill(pids[3], SIGKILL);
	wait_until(run_events(&run, "start", "{s:i}", "worker", 3) >= 3, RUN_MS);
}

static void test_crashed_worker_is_rescued(void **state)
{
	(void)state;
	needs(migrate);
	crash_for_good();
	lbctl_ok("set", "web", "stall_ms=100", NULL);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 40);
	run_stop(&run);
}

/* Its sockets are closed, so what waited there is answered by others. */
static void test_crashed_worker_is_scaled_away(void **state)
{
	(void)state;
	needs(migrate);
	crash_for_good();
	lbctl_ok("scale", "web", "3", NULL);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 40);
	show_read("web", &show);
	assert_int_equal(show.nr_workers, 3);
	assert_int_equal(show.unregistered, 0);
	run_stop(&run);
}

/* --- who waits --- */

/* While `drain --wait` waits others may change the service. */
static void test_drain_waits_alone(void **state)
{
	struct output output;
	struct job drain;
	char path[32];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "/slow?ms=%u", (unsigned int)scaled_ms(3000));
	run_start_shared(&run, WORKERS);
	lbctl_ok("set-policy", "web", "rr", NULL);
	fd = ask(path);
	wait_until((show_read("web", &show), show.worker[0].live == 1), RUN_MS);
	lbctl_start(&drain, "drain", "web", "0", "--wait", "50", NULL);
	wait_until((show_read("web", &show), !strcmp(show.worker[0].state, "draining")), RUN_MS);
	lbctl_ok("set-weight", "web", "1", "2", NULL);
	assert_true(job_is_running(&drain));
	assert_true(is_answered(fd));
	job_wait(&drain, &output);
	assert_int_equal(output.status, 0);
	output_free(&output);
	run_stop(&run);
}

/* --- files of the workers' output --- */

/* What is no plain file is not written to: a way to somebody's file, a pipe without a reader. */
static void test_logs_that_are_none(void **state)
{
	static const char logs[] = HARNESS_DIR "/logs", victim[] = HARNESS_DIR "/victim";

	(void)state;
	assert_int_equal(mkdir(logs, 0755), 0);
	assert_int_equal(symlink(victim, HARNESS_DIR "/logs/web-0.log"), 0);
	assert_int_equal(mkfifo(HARNESS_DIR "/logs/web-1.log", 0644), 0);
	run_start(&run, "web", "-n", "3", "--log-dir", logs, "--", run_demo(), "--no-reuseport",
		  "--listen", ":8080", NULL);
	run_expect_up(&run, 3);
	run_expect_lines(&run, "not a plain file of one name; its output goes here", 2);
	assert_int_equal(access(victim, F_OK), -1);
	assert_int_equal(access(HARNESS_DIR "/logs/web-2.log", F_OK), 0);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_old_one_dies_first),
		runs_test(test_old_one_dies_unseen),
		runs_test(test_old_one_dies_first_with_listen),
		runs_test(test_cancel),
		runs_test(test_replaced),
		runs_test(test_successor_that_fails_without_lbctl),
		runs_test(test_successor_that_fails_without_lbctl_with_listen),
		runs_test(test_end_goes_on_without_lbctl),
		runs_test(test_end_begins_without_lbctl),
		runs_test(test_end_goes_on_without_lbctl_with_listen),
		runs_test(test_channel_that_is_none),
		runs_test(test_channel_that_is_the_worker_s_own),
		runs_test(test_crashed_worker_is_rescued),
		runs_test(test_crashed_worker_is_scaled_away),
		runs_test(test_drain_waits_alone),
		runs_test(test_logs_that_are_none),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
