// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What lbctl tells of a service: what the end of a worker cost, what someone changed, what was
 * begun and done; in text and in JSON.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/maps.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 4

static struct run run, events;
static struct show show;

/* The n-th event of this type, from 0; NULL = there are fewer. To be json_decref()ed. */
static json_t *event_of(const char *type, unsigned int n)
{
	char *log = file_read(events.log), *rest = log, *line;
	json_t *found = NULL, *event;

	while (!found && (line = strsep(&rest, "\n"))) {
		event = json_loads(line, 0, NULL);
		if (event && !strcmp(json_string_value(json_object_get(event, "event")), type) &&
		    !n--)
			found = event;
		else
			json_decref(event);
	}
	free(log);
	return found;
}

/* Fails unless the value of a key, as JSON text, is `want`. */
static void expect_field(const json_t *event, const char *key, const char *want)
{
	char *got = json_dumps(json_object_get(event, key), JSON_ENCODE_ANY | JSON_COMPACT);

	if (!got || strcmp(got, want)) {
		char *all = json_dumps(event, 0);

		fail_msg("%s is %s, want %s in %s", key, got ? got : "not there", want, all);
	}
	free(got);
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
	/* what waits is to wait until the end */
	lbctl_ok("set", "web", "rescue_ms=0", "stall_ms=0", NULL);
	connect_many(accepted, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		wait_until(have(i, 1, 0), RUN_MS);
	kill(pids[2], SIGSTOP);
	connect_many(waiting, 3 * WORKERS);
	wait_until(have(2, 4, 3), RUN_MS);
}

/*
 * 1. worker 2 has one accepted connection and three that wait; it is killed
 * 2. one is lost, three went to 0, 1 and 3, by text and by JSON
 */
static void test_killed(void **state)
{
	int accepted[WORKERS], waiting[3 * WORKERS];
	pid_t pids[WORKERS];
	json_t *event;
	char words[160];

	(void)state;
	needs(migrate);
	run_start_shared(&run, WORKERS);
	run_pids(&run, pids, WORKERS);
	run_start_verb(&events, "events", "events", "web", "--json", NULL);
	fill_queue(pids, accepted, waiting);
	kill(pids[2], SIGKILL);
	snprintf(words, sizeof(words),
		 "worker 2 (pid %d) killed by SIGKILL: 1 accepted connection lost, 3 waiting moved "
		 "to 0 1 3; restart in 100 ms",
		 pids[2]);
	run_expect_lines(&run, words, 1);
	run_expect_lines(&events, words, 1);
	event = event_of("exit", 0);
	expect_field(event, "lost", "1");
	expect_field(event, "moved", "3");
	expect_field(event, "moved_to", "[0,1,3]");
	expect_field(event, "waiting", "0");
	expect_field(event, "signal", "\"SIGKILL\"");
	expect_field(event, "status", "null");
	expect_field(event, "restart_ms", "100");
	expect_field(event, "unasked", "true");
	json_decref(event);
	close_many(accepted, WORKERS);
	close_many(waiting, 3 * WORKERS);
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
	run_expect_lines(&run,
			 "killed by SIGKILL: 1 accepted connection lost, 3 waiting in its queue; "
			 "restart in 100 ms",
			 1);
	close_many(accepted, WORKERS);
	close_many(waiting, 3 * WORKERS);
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
	run_expect_lines(&run, "killed by SIGKILL: 0 accepted connections lost; restart", 1);
	run_stop(&run);
}

/* --- what someone changes --- */

/* Each change by another lbctl is told once, with what was before. */
static void test_changes(void **state)
{
	static const struct {
		const char *args[4];
		const char *words;
	} changes[] = {
		/* which is the default depends on the kernel */
		{ { "set-policy", "web", "hash" }, "policy hash (was " },
		{ { "set-policy", "web", "random" }, "policy random (was hash)" },
		{ { "set-policy", "web", "rr" }, "policy rr (was random)" },
		{ { "set-weight", "web", "1", "3" }, "worker 1 has weight 3 (had 1)" },
		{ { "drain", "web", "2" }, ") is drained" },
		{ { "resume", "web", "2" }, ") takes connections again" },
	};

	(void)state;
	run_start_shared(&run, WORKERS);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		const char *const *args = changes[i].args;

		lbctl_ok(args[0], args[1], args[2], args[3], NULL);
		/* the same again is no news */
		lbctl_ok(args[0], args[1], args[2], args[3], NULL);
		run_expect_lines(&run, changes[i].words, 1);
	}
	lbctl_ok("reload", "web", NULL);
	lbctl_ok("set-weight", "web", "1", "1", NULL);
	run_expect_lines(&run, "worker 1 has weight 1 (had 3)", 1);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
		run_expect_lines(&run, changes[i].words, 1);
	run_stop(&run);
}

/* A reload, asked for and by SIGHUP: begins, each old worker drains, done. */
static void test_reload_is_told(void **state)
{
	(void)state;
	run_start_shared(&run, WORKERS);
	lbctl_ok("reload", "web", NULL);
	run_expect_lines(&run, "reload begins", 1);
	run_expect_lines(&run, "gets no more connections, then SIGTERM", WORKERS);
	run_expect_lines(&run, "reload done: 4 workers are online", 1);
	kill(run.pid, SIGHUP);
	run_expect_lines(&run, "reload done: 4 workers are online", 2);
	run_expect_lines(&run, "gets no more connections, then SIGTERM", 2 * WORKERS);
	run_expect_lines(&run, "is drained", 0);
	run_expect_lines(&run, "takes connections again", 0);
	run_stop(&run);
}

/* Of a watched service: who joined, who left, and what that cost. */
static void test_watch_tells_who(void **state)
{
	struct demo demos[3];
	struct run watch;
	int accepted[2];

	(void)state;
	demo_start_many(demos, 2, ":8080");
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	run_start_verb(&watch, "web", "watch", "web", NULL);
	run_expect_lines(&watch, "watching", 1);
	connect_many(accepted, 2);
	wait_until(have(1, 1, 0), RUN_MS);
	demo_start(&demos[2], 2, "--listen", ":8080", NULL);
	run_expect_lines(&watch, "lbctl-demo-work) joined", 1);
	demo_kill(&demos[1], SIGKILL);
	run_expect_lines(&watch, "closed its socket: 1 accepted connection lost", 1);
	close_many(accepted, 2);
	kill(watch.pid, SIGINT);
	assert_int_equal(run_wait(&watch), 0);
	lbctl_ok("detach", "web", NULL);
}

/*
 * 1. a process that is no worker listens there, too: told once, shown, gets nothing
 * 2. it goes: told
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
	snprintf(words, sizeof(words),
		 "pid %d (lbctl-demo-work) listens on 0.0.0.0:8080, too, and is no worker",
		 stranger.pid);
	run_expect_lines(&run, words, 1);
	show_read("web", &show);
	assert_int_equal(show.unregistered, 1);
	snprintf(words, sizeof(words), "1 socket listens there and gets nothing (pid %d)",
		 stranger.pid);
	lbctl_expect(0, words, "show", "web", NULL);
	lbctl_ok("restart", "web", "0", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	clients_expect(&clients, WORKERS, want);
	run_expect_lines(&run, "is no worker", 1);
	demo_kill(&stranger, SIGTERM);
	run_expect_lines(&run, "no worker, does not listen on 0.0.0.0:8080 any more", 1);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_killed),
		runs_test(test_killed_with_listen),
		runs_test(test_clients_that_end_cost_nothing),
		runs_test(test_changes),
		runs_test(test_reload_is_told),
		runs_test(test_watch_tells_who),
		runs_test(test_stranger),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
