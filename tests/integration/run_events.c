// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What lbctl tells of a service: what the end of a worker cost, what someone changed, what was
 * begun and done. The sentences for people are in one table, at the end.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/maps.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 4

static struct run run;
static struct show show;

/* People read the words, by an event and in the log. */
static void expect_sentence(const char *event, const char *words)
{
	if (!run_events(&run, event, "{s:s}", "text", words)) {
		run_show_events(&run);
		fail_msg("no event \"%s\" says \"%s\"", event, words);
	}
	if (!run_lines(&run, words)) {
		run_show_log(&run);
		fail_msg("the log does not say \"%s\"", words);
	}
}

static int connect_web(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(8080),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void connect_many(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fds[i] = connect_web();
}

static void close_many(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

static bool have(unsigned int worker, unsigned int live, unsigned int queued)
{
	show_read("web", &show);
	return show.worker[worker].live == live && show.worker[worker].queued == queued;
}

/* --- what an end costs --- */

/* Each worker has accepted a connection; then worker 2 stops, and three more wait there. */
static void fill_queue(const pid_t *pids, int accepted[WORKERS], int waiting[3 * WORKERS])
{
	/* what waits is to wait until the end, and where it came, not at whoever is idle */
	lbctl_ok("set", "web", "rescue_ms=0", "stall_ms=0", "hold_ms=0", NULL);
	connect_many(accepted, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		wait_until(have(i, 1, 0), RUN_MS);
	kill(pids[2], SIGSTOP);
	connect_many(waiting, 3 * WORKERS);
	wait_until(have(2, 4, 3), RUN_MS);
}

/*
 * 1. worker 2 has one accepted connection and three that wait; it is killed
 * 2. one is lost, three went to 0, 1 and 3
 */
static void test_killed(void **state)
{
	int accepted[WORKERS], waiting[3 * WORKERS];
	pid_t pids[WORKERS];

	(void)state;
	needs(migrate);
	run_start_shared(&run, WORKERS);
	run_pids(&run, pids, WORKERS);
	fill_queue(pids, accepted, waiting);
	kill(pids[2], SIGKILL);
	run_expect_events(&run, 1, "exit",
			  "{s:i, s:i, s:s, s:n, s:b, s:i, s:i, s:[i,i,i], s:i, s:i}", "worker", 2,
			  "pid", pids[2], "signal", "SIGKILL", "status", "unasked", 1, "lost", 1,
			  "migrated", 3, "migrated_to", 0, 1, 3, "waiting", 0, "restart_ms", 100);
	expect_sentence("exit",
			"killed by SIGKILL: 1 accepted connection lost, 3 waiting migrated to "
			"0 1 3; restart in 100 ms");
	close_many(accepted, WORKERS);
	close_many(waiting, 3 * WORKERS);
	run_stop(&run);
}

/* --restart-delay is what it is told to wait. */
static void test_restart_delay(void **state)
{
	pid_t pids[2], after[2];

	(void)state;
	run_start(&run, "web", "-n", "2", "--restart-delay", "700", "--", run_demo(), "-q",
		  "--no-reuseport", "--listen", "0.0.0.0:8080", NULL);
	run_pids(&run, pids, 2);
	kill(pids[0], SIGKILL);
	run_expect_events(&run, 1, "exit", "{s:i, s:i}", "pid", pids[0], "restart_ms", 700);
	run_expect_events(&run, 3, "online", NULL);
	run_pids(&run, after, 2);
	assert_int_equal(after[1], pids[1]);
	run_stop(&run);
}

/* The same with --listen: the three wait on, for its successor. */
static void test_killed_with_listen(void **state)
{
	int accepted[WORKERS], waiting[3 * WORKERS];
	pid_t pids[WORKERS];

	(void)state;
	run_start_with_listen(&run, WORKERS, "0.0.0.0:8080");
	run_pids(&run, pids, WORKERS);
	fill_queue(pids, accepted, waiting);
	kill(pids[2], SIGKILL);
	run_expect_events(&run, 1, "exit", "{s:i, s:s, s:i, s:i, s:i, s:i}", "worker", 2, "signal",
			  "SIGKILL", "lost", 1, "migrated", 0, "waiting", 3, "restart_ms", 100);
	expect_sentence("exit", "killed by SIGKILL: 1 accepted connection lost, 3 waiting in its "
				"queue; restart in 100 ms");
	close_many(accepted, WORKERS);
	close_many(waiting, 3 * WORKERS);
	run_stop(&run);
}

/* The last one that lives: what waited there can go to nobody, and its successor comes at once. */
static void test_last_one_is_killed(void **state)
{
	int accepted[1], waiting[3];
	pid_t pids[2];

	(void)state;
	needs(track);
	run_start(&run, "web", "-n", "2", "--restart-delay", "100000", "--", run_demo(), "-q",
		  "--no-reuseport", "--listen", "0.0.0.0:8080", NULL);
	run_pids(&run, pids, 2);
	kill(pids[1], SIGKILL);
	run_expect_events(&run, 1, "exit", "{s:i, s:i, s:i}", "worker", 1, "lost", 0, "reset", 0);
	connect_many(accepted, 1);
	wait_until(have(0, 1, 0), RUN_MS);
	kill(pids[0], SIGSTOP);
	connect_many(waiting, 3);
	wait_until(have(0, 4, 3), RUN_MS);
	kill(pids[0], SIGKILL);
	run_expect_events(&run, 1, "exit", "{s:i, s:i, s:i, s:i}", "worker", 0, "lost", 1,
			  "migrated", 0, "reset", 3);
	expect_sentence("exit", "3 waiting reset, as nobody else listened");
	close_many(accepted, 1);
	close_many(waiting, 3);
	run_stop(&run);
}

/* Clients that reset their connections and end are not a worker's end. */
static void test_clients_that_end_cost_nothing(void **state)
{
	const struct linger hard = { .l_onoff = 1 };
	pid_t pids[WORKERS], child;
	int status;

	(void)state;
	run_start_shared(&run, WORKERS);
	run_pids(&run, pids, WORKERS);
	stalls_forgive();
	child = fork();
	if (!child) {
		for (int i = 0; i < 40; i++) {
			int fd = connect_web();

			setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		}
		for (int i = 0; i < WORKERS; i++)
			wait_until(have(i, 10, 0), RUN_MS);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	for (int i = 0; i < WORKERS; i++)
		wait_until(have(i, 0, 0), RUN_MS);
	kill(pids[1], SIGKILL);
	run_expect_events(&run, 1, "exit", "{s:i, s:s, s:i}", "worker", 1, "signal", "SIGKILL",
			  "lost", 0);
	run_stop(&run);
}

/* --- what someone changes --- */

/* Makes the change twice: the same again is no news. */
static void change(const char *verb, const char *first, const char *second)
{
	lbctl_ok(verb, "web", first, second, NULL);
	lbctl_ok(verb, "web", first, second, NULL);
}

/* How often each change was told; `reloads` is how many reloads drained each worker as well. */
static void expect_changes(unsigned int reloads)
{
	/* which policy is the default depends on the kernel */
	run_expect_events(&run, 1, "policy", "{s:s}", "policy", "hash");
	run_expect_events(&run, 1, "policy", "{s:s, s:s}", "policy", "random", "before", "hash");
	run_expect_events(&run, 1, "policy", "{s:s, s:s}", "policy", "rr", "before", "random");
	run_expect_events(&run, 1, "weight", "{s:i, s:i, s:i}", "worker", 1, "weight", 3, "before",
			  1);
	run_expect_events(&run, 1 + reloads, "drain", "{s:i}", "worker", 2);
	run_expect_events(&run, 1, "resume", "{s:i}", "worker", 2);
}

/* Each change by another lbctl is told once, with what was before; also after a reload. */
static void test_changes(void **state)
{
	(void)state;
	run_start_shared(&run, WORKERS);
	change("set-policy", "hash", NULL);
	change("set-policy", "random", NULL);
	change("set-policy", "rr", NULL);
	change("set-weight", "1", "3");
	change("drain", "2", NULL);
	run_expect_events(&run, 1, "drain", "{s:i}", "worker", 2);
	change("resume", "2", NULL);
	expect_changes(0);
	lbctl_ok("reload", "web", NULL);
	lbctl_ok("set-weight", "web", "1", "1", NULL);
	run_expect_events(&run, 1, "weight", "{s:i, s:i, s:i}", "worker", 1, "weight", 1, "before",
			  3);
	expect_changes(1);
	run_stop(&run);
}

/* A reload, asked for and by SIGHUP: begins, each old worker drains, done. */
static void test_reload_is_told(void **state)
{
	(void)state;
	run_start_shared(&run, WORKERS);
	lbctl_ok("reload", "web", NULL);
	run_expect_events(&run, 1, "begin", "{s:s}", "verb", "reload");
	run_expect_events(&run, WORKERS, "drain", NULL);
	run_expect_events(&run, 1, "reload", "{s:i}", "status", 0);
	kill(run.pid, SIGHUP);
	run_expect_events(&run, 2, "reload", "{s:i}", "status", 0);
	run_expect_events(&run, 2, "begin", "{s:s}", "verb", "reload");
	/* and not once more as if somebody else had done it */
	run_expect_events(&run, 2 * WORKERS, "drain", NULL);
	run_expect_events(&run, 0, "resume", NULL);
	run_stop(&run);
}

/* Of a watched service: who joined, who left, and what that cost. */
static void test_watch_tells_who(void **state)
{
	struct demo demos[3];
	struct run watch;
	int accepted[2];
	pid_t gone;

	(void)state;
	demo_start_many(demos, 2, ":8080");
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	run_start_verb(&watch, "web", "watch", "web", NULL);
	run_expect_keeper(&watch);
	connect_many(accepted, 2);
	wait_until(have(1, 1, 0), RUN_MS);
	demo_start(&demos[2], 2, "--listen", ":8080", NULL);
	run_expect_events(&watch, 1, "joined", "{s:i, s:s}", "pid", demos[2].pid, "server",
			  "lbctl-demo-work");
	gone = demos[1].pid;
	demo_kill(&demos[1], SIGKILL);
	run_expect_events(&watch, 1, "left", "{s:i, s:i}", "pid", gone, "lost", 1);
	close_many(accepted, 2);
	kill(watch.pid, SIGINT);
	assert_int_equal(run_wait(&watch), 0);
	lbctl_ok("detach", "web", NULL);
}

/*
 * A server may open the next socket before watch has seen that the last one was closed: it has the
 * same number, and is told of all the same.
 */
static void test_watch_of_a_quick_successor(void **state)
{
	struct demo demos[3];
	struct run watch;
	pid_t gone;

	(void)state;
	demo_start_many(demos, 2, ":8080");
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	run_start_verb(&watch, "web", "watch", "web", NULL);
	run_expect_keeper(&watch);
	demo_start(&demos[2], 2, "--listen", ":8080", NULL);
	run_expect_events(&watch, 1, "joined", "{s:i}", "pid", demos[2].pid);
	gone = demos[1].pid;
	kill(watch.pid, SIGSTOP);
	wait_until(process_state(watch.pid) == 'T', RUN_MS);
	demo_kill(&demos[1], SIGKILL);
	demo_start(&demos[1], 1, "--listen", ":8080", NULL);
	kill(watch.pid, SIGCONT);
	run_expect_events(&watch, 1, "left", "{s:i, s:i}", "worker", 1, "pid", gone);
	run_expect_events(&watch, 1, "joined", "{s:i, s:i}", "worker", 1, "pid", demos[1].pid);
	kill(watch.pid, SIGINT);
	assert_int_equal(run_wait(&watch), 0);
	lbctl_ok("detach", "web", NULL);
}

static bool unregistered(unsigned int n)
{
	show_read("web", &show);
	return show.unregistered == n;
}

/*
 * 1. a process that is no worker listens there, too: shown with its pid, gets nothing
 * 2. it goes: no longer shown
 */
static void test_stranger(void **state)
{
	static const unsigned int want[] = { 10, 10, 10, 10 };
	static struct clients clients;
	struct demo stranger;
	char words[128];

	(void)state;
	run_start_shared(&run, WORKERS);
	demo_start(&stranger, 9, "--listen", "0.0.0.0:8080", NULL);
	assert_true(unregistered(1));
	snprintf(words, sizeof(words), "1 socket listens there and gets nothing (pid %d)",
		 stranger.pid);
	lbctl_expect(0, words, "show", "web", NULL);
	lbctl_ok("restart", "web", "0", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	clients_expect(&clients, WORKERS, want);
	assert_true(unregistered(1));
	demo_kill(&stranger, SIGTERM);
	wait_until(unregistered(0), RUN_MS);
	run_stop(&run);
}

/* --- the sentences --- */

/*
 * What people read, by the event that it comes with. Every other test goes by an event's fields;
 * who changes a sentence changes it here.
 */
static const struct {
	const char *event, *words;
} sentences[] = {
	{ "start", ") started" },
	{ "listening", ") listening on 0.0.0.0:8080" },
	{ "online", ") is online" },
	{ "policy", "policy random (was rr)" },
	{ "weight", "worker 1 has weight 3 (had 1)" },
	{ "drain", ") is drained" },
	{ "resume", ") takes its share again" },
	{ "begin", "reload begins" },
	{ "drain", ") gets no more connections, then SIGTERM" },
	{ "reload", "reload done: 2 workers replaced, 0 connections lost" },
	{ "exit", ") exited with status 0" },
	{ "exit", ") killed by SIGKILL: 0 accepted connections lost; restart in 100 ms" },
	{ "logs", "0 of 2 log files were renamed" },
	{ "stop", "stopping" },
};

static void test_sentences(void **state)
{
	pid_t pids[2];

	(void)state;
	run_start(&run, "web", "-n", "2", "--policy", "rr", "--log-dir", HARNESS_DIR, "--",
		  run_demo(), "--no-reuseport", "--listen", "0.0.0.0:8080", NULL);
	run_expect_up(&run, 2);
	change("set-policy", "random", NULL);
	change("set-weight", "1", "3");
	change("drain", "1", NULL);
	run_expect_events(&run, 1, "drain", NULL);
	change("resume", "1", NULL);
	run_expect_events(&run, 1, "resume", NULL);
	lbctl_ok("reload", "web", NULL);
	kill(run.pid, SIGUSR1);
	run_expect_events(&run, 1, "logs", NULL);
	run_pids(&run, pids, 2);
	kill(pids[0], SIGKILL);
	run_expect_events(&run, 1, "exit", "{s:i}", "pid", pids[0]);
	run_stop(&run);
	for (size_t i = 0; i < ARRAY_SIZE(sentences); i++)
		expect_sentence(sentences[i].event, sentences[i].words);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_killed),
		runs_test(test_restart_delay),
		runs_test(test_last_one_is_killed),
		runs_test(test_killed_with_listen),
		runs_test(test_clients_that_end_cost_nothing),
		runs_test(test_changes),
		runs_test(test_reload_is_told),
		runs_test(test_watch_tells_who),
		runs_test(test_watch_of_a_quick_successor),
		runs_test(test_stranger),
		runs_test(test_sentences),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
