// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Workers that hand their socket to the keeper: without privileges, unseen, again, by the wrong
 * user; and when worker or keeper die.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/events.h"
#include "harness/joins.h"
#include "harness/maps.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 4
#define NOBODY 65534

static struct demo demos[WORKERS];
static struct run run;
static struct show show;
static struct clients clients;
static struct counters before;

/* --- parts --- */

static bool is_worker(uint32_t worker, const char *want)
{
	show_read("web", &show);
	return worker < show.nr_workers && !strcmp(show.worker[worker].state, want);
}

/* In a child as this user and group, with one more group; 0 = joined, else errno. */
static int join_as(uid_t uid, gid_t gid, gid_t more, int fd)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		if (setgroups(1, &more) || setgid(gid) || setuid(uid))
			_exit(99);
		_exit(lbctl_worker_join(NULL, fd) ? 0 : errno);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

/* --- joining --- */

/*
 * 1. three workers of user nobody join a watched service, and get no load page but the keeper's
 * 2. they report; the least load gets the connections
 */
static void test_unprivileged_workers(void **state)
{
	struct lb_load *page;

	(void)state;
	joins_watch(&run, &demos[0], "least-load");
	lbctl_ok("set", "web", "stale_ms=60000", NULL);
	for (int i = 1; i < WORKERS; i++)
		joins_demo(&demos[i], i);
	page = map_mmap("web", "lb_load", WORKERS * sizeof(*page));
	for (int i = 1; i < WORKERS; i++) {
		assert_true(is_worker(i, "up"));
		wait_until(page[i].load == 10U * (i + 1), RUN_MS);
	}
	munmap(page, WORKERS * sizeof(*page));
	demo_kill(&demos[0], SIGTERM);
	/* now, not when the keeper looks next: the policy would send it one, to see what it does */
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	assert_true(is_worker(0, "down"));
	counters_read("web", &before);
	clients_run(&clients, (struct client_plan){ .connections = 10 });
	clients_expect(&clients, WORKERS, (const unsigned int[]){ 0, 10, 0, 0 });
	counters_expect("web", &before, .cursor = 10, .selected = { 0, 10 });
	joins_end_watch(&run);
}

/* The keeper where it sees no process but its own. */
static void watch_blindly(void)
{
	static const char *args[] = { "unshare",      "--pid", "--fork", "--kill-child",
				      "--mount-proc", NULL,    "watch",	 "--group",
				      "nogroup",      "web",   NULL };
	int log;

	args[5] = harness_build_path("lbctl");
	run.name = "web";
	events_follow(run.name);
	snprintf(run.log, sizeof(run.log), HARNESS_DIR "/web.log");
	unlink(run.log);
	log = open(run.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	run.pid = fork();
	assert_true(run.pid >= 0);
	if (!run.pid) {
		dup2(log, STDOUT_FILENO);
		dup2(log, STDERR_FILENO);
		execvp(args[0], (char *const *)args);
		_exit(127);
	}
	close(log);
	wait_until(!access(JOINS_SOCKET, F_OK), RUN_MS);
}

/*
 * 1. workers in a pid namespace that the keeper can't see: it has nothing but what they send
 * 2. each is the worker that it asks to be; no two more of one number
 * 3. all get their turn; one that dies leaves its queue to the others, for nobody holds it
 */
static void test_unseen_workers(void **state)
{
	int one, two;

	(void)state;
	demo_start(&demos[0], 0, "--listen", ":8080", NULL);
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", NULL);
	watch_blindly();
	for (int i = WORKERS - 1; i > 0; i--)
		joins_demo(&demos[i], i);
	for (int i = 1; i < WORKERS; i++)
		run_expect_events(&run, 1, "listening", "{s:i, s:i, s:s}", "worker", i, "pid", 0,
				  "addr", "0.0.0.0:8080");
	counters_read("web", &before);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	clients_expect(&clients, WORKERS, (const unsigned int[]){ 10, 10, 10, 10 });
	/* slots were given out in another order than numbers */
	counters_expect("web", &before, .cursor = 40, .selected = { 10, 10, 10, 10 });

	setenv("LBCTL_WORKER", "3", 1);
	one = joins_listen("0.0.0.0", 8080, NULL);
	two = joins_listen("0.0.0.0", 8080, NULL);
	lbctl_worker_close(joins_take(one));
	joins_refuse("a third socket of worker 3", two, EBUSY, "2 sockets of worker 3");
	unsetenv("LBCTL_WORKER");
	close(one);
	close(two);

	needs(migrate);
	kill(demos[3].pid, SIGSTOP);
	clients_begin(&clients, (struct client_plan){ .connections = 40, .at_once = 40 });
	clients_collect(&clients, 10);
	demo_kill(&demos[3], SIGKILL);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 40);
	one = joins_listen("0.0.0.0", 8080, "lo");
	joins_refuse("a group of its own", one, EINVAL, "another reuseport group");
	close(one);
	kill(run.pid, SIGKILL); /* its child with it */
	assert_int_equal(run_wait(&run), 128 + SIGKILL);
}

static unsigned int of_worker(uint32_t worker)
{
	show_read("web", &show);
	return show.worker[worker].selected;
}

/*
 * 1. of four that joined, one dies: its queue goes to the others, it is down, its counts stay
 * 2. the next that joins is that worker again, and counts on
 */
static void test_worker_dies(void **state)
{
	(void)state;
	joins_watch(&run, &demos[0], "rr");
	for (int i = 1; i < WORKERS; i++)
		joins_demo(&demos[i], i);
	/* who has joined has its turn at once */
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	clients_expect(&clients, WORKERS, (const unsigned int[]){ 10, 10, 10, 10 });
	needs(migrate);
	kill(demos[2].pid, SIGSTOP);
	clients_begin(&clients, (struct client_plan){ .connections = 40, .at_once = 40 });
	clients_collect(&clients, 10);
	demo_kill(&demos[2], SIGKILL);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 40);
	wait_until(is_worker(2, "down"), RUN_MS);
	assert_int_equal(of_worker(2), 20);
	joins_demo(&demos[2], 2);
	assert_true(is_worker(2, "up"));
	assert_int_equal(show.nr_workers, WORKERS);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	assert_int_equal(clients_of(&clients, 2), 10);
	assert_int_equal(of_worker(2), 30);
	joins_end_watch(&run);
}

/* A worker on two addresses joins with both sockets and is one worker. */
static void test_two_addresses(void **state)
{
	(void)state;
	demo_start(&demos[0], 0, "--listen", ":8080", "--listen", "[::]:8080", NULL);
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", NULL);
	joins_keep(&run);
	demo_start(&demos[1], 1, "--listen", ":8080", "--listen", "[::]:8080", "--join", NULL);
	assert_true(is_worker(1, "up"));
	assert_int_equal(show.nr_workers, 2);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	clients_expect(&clients, 2, (const unsigned int[]){ 10, 10 });
	clients_run(&clients, (struct client_plan){ .to = "::1", .connections = 20 });
	clients_expect(&clients, 2, (const unsigned int[]){ 10, 10 });
	joins_end_watch(&run);
}

static size_t nr_workers(void)
{
	show_read("web", &show);
	return show.nr_workers;
}

/*
 * A hundred that start together and join at the same moment: none is sent away, each is one. They
 * ask for no number: a look of the keeper gives the next one to whom it finds before it has asked.
 */
static void test_many_at_once(void **state)
{
	const size_t joining = scaled_load(100), many = 1 + joining;
	char number[12];

	(void)state;
	snprintf(number, sizeof(number), "%zu", joining);
	demo_start(&demos[0], 0, "--listen", ":8080", NULL);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	joins_keep(&run);
	demo_start(&demos[1], -1, "-n", number, "--listen", ":8080", "--user", "nobody", "--join",
		   NULL);
	wait_until(nr_workers() == many, RUN_MS);
	clients_run(&clients, (struct client_plan){ .connections = 2 * many });
	show_read("web", &show);
	for (size_t i = 0; i < many; i++)
		assert_int_equal(show.worker[i].selected, 2);
	demo_kill(&demos[1], SIGTERM);
	joins_end_watch(&run);
}

/* --- the keeper is stopped, dies --- */

/*
 * 1. a worker has joined; the keeper is killed: connections and reports go on
 * 2. the next keeper finds the socket where it was; joining again gives the same place
 */
static void test_keeper_dies(void **state)
{
	int fd = -1, slot, number;
	struct lbctl_worker *handle;
	struct lb_load *page;

	(void)state;
	joins_watch(&run, &demos[0], "least-load");
	joins_demo(&demos[1], 1);
	fd = joins_listen("0.0.0.0", 8080, NULL);
	handle = joins_take(fd);
	slot = lbctl_worker_slot(handle);
	number = lbctl_worker_number(handle);
	assert_true(slot == 2 && number == 2);
	run_kill(&run);
	joins_refuse("a dead keeper", fd, ECONNREFUSED, "is dead");
	page = map_mmap("web", "lb_load", WORKERS * sizeof(*page));
	lbctl_report_load(handle, 1000);
	assert_int_equal(page[slot].load, 1000);
	clients_run(&clients, (struct client_plan){ .connections = 5 });
	assert_int_equal(clients_of(&clients, -1), 0);

	run_start_again(&run);
	run_expect_keeper(&run);
	wait_until(is_worker(2, "up"), RUN_MS);
	lbctl_worker_close(handle);
	wait_until((handle = lbctl_worker_join(NULL, fd)), RUN_MS);
	assert_int_equal(lbctl_worker_slot(handle), slot);
	assert_int_equal(lbctl_worker_number(handle), number);
	lbctl_report_load(handle, 2000);
	assert_int_equal(page[slot].load, 2000);
	show_read("web", &show);
	assert_int_equal(show.nr_workers, 3);
	munmap(page, WORKERS * sizeof(*page));
	lbctl_worker_close(handle);
	close(fd);
	joins_end_watch(&run);
}

/* A keeper that does not answer is not sent the socket: it is gone when the worker closes it. */
static void test_keeper_is_stopped(void **state)
{
	int fd;

	(void)state;
	joins_watch(&run, &demos[0], "rr");
	kill(run.pid, SIGSTOP);
	fd = joins_listen("0.0.0.0", 8080, NULL);
	assert_int_equal(joins_listening(), 2);
	joins_refuse("a stopped keeper", fd, ETIMEDOUT, "did not answer");
	close(fd);
	assert_int_equal(joins_listening(), 1);
	kill(run.pid, SIGCONT);
	joins_end_watch(&run);
}

/* The service is detached: the handle is nobody's. Attached again, it takes another join. */
static void test_detached_and_attached(void **state)
{
	int fd;
	struct lbctl_worker *handle;

	(void)state;
	joins_watch(&run, &demos[0], "rr");
	fd = joins_listen("0.0.0.0", 8080, NULL);
	handle = joins_take(fd);
	kill(run.pid, SIGTERM);
	assert_int_equal(run_wait(&run), 0);
	joins_refuse("no keeper", fd, ENOENT, "no keeper of web");
	lbctl_ok("detach", "web", NULL);
	assert_int_equal(lbctl_worker_slot(handle), -1);
	lbctl_worker_close(handle);
	close(fd);
}

/* --- who may --- */

static void test_users(void **state)
{
	int fd;

	(void)state;
	joins_watch(&run, &demos[0], "rr");
	fd = joins_listen("0.0.0.0", 8080, NULL);
	assert_int_equal(join_as(1, 1, 1, fd), EACCES);
	assert_int_equal(join_as(NOBODY, NOBODY, NOBODY, fd), 0);
	assert_int_equal(join_as(1, 1, NOBODY, fd), 0);
	/* the file's mode is not the only guard */
	assert_int_equal(chmod(JOINS_SOCKET, 0666), 0);
	assert_int_equal(join_as(1, 1, 1, fd), EPERM);
	assert_int_equal(join_as(NOBODY, 1, 1, fd), EPERM);
	assert_int_equal(seteuid(1), 0);
	joins_refuse("another user", fd, EPERM, "user 1 is not admitted by the keeper of web");
	assert_int_equal(seteuid(0), 0);
	close(fd);
	joins_end_watch(&run);
}

#define join_test(function) cmocka_unit_test_setup_teardown(function, joins_begin, joins_end)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		join_test(test_unprivileged_workers),
		join_test(test_unseen_workers),
		join_test(test_worker_dies),
		join_test(test_two_addresses),
		join_test(test_many_at_once),
		join_test(test_keeper_dies),
		join_test(test_keeper_is_stopped),
		join_test(test_detached_and_attached),
		join_test(test_users),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
