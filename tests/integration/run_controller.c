// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The controller of lbctl run and lbctl watch: killed, stopped, started again, ended.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/load.h"
#include "harness/maps.h"
#include "harness/pins.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORKERS 4
#define URL "http://127.0.0.1:8080/"

static struct run run;
static struct show show;
static struct clients clients;

/* --- killed --- */

/*
 * 1. wrk runs; the controller is killed: everything goes on
 * 2. started again it finds the four, same pids; scale, reload and stop work
 */
static void kill_controller(void)
{
	pid_t pids[WORKERS], more[6];
	struct wrk wrk;
	struct job job;

	run_pids(&run, pids, WORKERS);
	wrk_start(&job, URL, "64", WRK_UNTIL_STOPPED);
	run_kill(&run);
	clients_run(&clients,
		    (struct client_plan){ .connections = scaled_load(1000), .at_once = 4 });
	run_expect_same(&run, pids, WORKERS);
	run_start_again(&run);
	run_expect_keeper(&run);
	run_expect_same(&run, pids, WORKERS);
	lbctl_ok("scale", "web", "6", NULL);
	run_pids(&run, more, 6);
	assert_memory_equal(pids, more, sizeof(pids));
	lbctl_ok("scale", "web", "4", NULL);
	run_expect_same(&run, pids, WORKERS);
	lbctl_ok("reload", "web", NULL);
	run_pids(&run, more, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		assert_int_not_equal(more[i], pids[i]);
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	print_message("%lu requests\n", wrk.requests);
	run_expect_no_failure(&run, &wrk);
	show_read("web", &show);
	assert_int_equal(show.fallback, 0);
	run_stop(&run);
}

static void test_killed(void **state)
{
	(void)state;
	run_start_shared(&run, WORKERS);
	kill_controller();
}

static void test_killed_with_listen(void **state)
{
	(void)state;
	run_start_with_listen(&run, WORKERS, ":8080");
	kill_controller();
}

/* Killed and started again five times while wrk runs. */
static void test_killed_often(void **state)
{
	pid_t pids[WORKERS];
	struct wrk wrk;
	struct job job;

	(void)state;
	run_start_shared(&run, WORKERS);
	run_pids(&run, pids, WORKERS);
	wrk_start(&job, URL, "64", WRK_UNTIL_STOPPED);
	for (int i = 0; i < 5; i++) {
		run_kill(&run);
		run_start_again(&run);
		run_expect_keeper(&run);
	}
	run_expect_same(&run, pids, WORKERS);
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	run_expect_no_failure(&run, &wrk);
	run_stop(&run);
}

/* --- what it leaves on the cgroup --- */

static unsigned int bind_hooks(void)
{
	uint32_t ids[64], n = ARRAY_SIZE(ids);
	int fd = open(CGROUPS "/lbctl-web", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(bpf_prog_query(fd, BPF_CGROUP_INET4_BIND, 0, NULL, ids, &n), 0);
	close(fd);
	return n;
}

/* A unit has no CAP_SYS_ADMIN, which it takes to reach a program by its id. */
static void test_hooks_are_replaced(void **state)
{
	(void)state;
	run_next_without(CAP_SYS_ADMIN);
	run_start_shared(&run, WORKERS);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(bind_hooks(), 1);
		run_kill(&run);
		run_next_without(CAP_SYS_ADMIN);
		run_start_again(&run);
		run_expect_keeper(&run);
	}
	assert_int_equal(bind_hooks(), 1);
	run_stop(&run);
}

/* --- a service that the next one can't read --- */

static void of_another_version(void)
{
	struct lb_config *config = map_mmap("web", "lb_config", sizeof(*config));

	config->abi_version = LB_ABI_VERSION + 1;
	munmap(config, sizeof(*config));
}

static void damaged(void)
{
	assert_int_equal(unlink(HARNESS_PINS "/web/lb_stats"), 0);
}

/*
 * 1. wrk runs; the controller is killed, and what it has pinned becomes unreadable
 * 2. the next one makes it again, for the same workers
 */
static void spoil(void (*how)(void))
{
	pid_t pids[WORKERS];
	struct wrk wrk;
	struct job job;

	run_pids(&run, pids, WORKERS);
	wrk_start(&job, URL, "16", WRK_UNTIL_STOPPED);
	run_kill(&run);
	how();
	run_start_again(&run);
	run_expect_keeper(&run);
	run_expect_same(&run, pids, WORKERS);
	run_expect_events(&run, 1, "trouble", NULL);
	wrk_stop(&job);
	wrk_wait(&job, &wrk);
	run_expect_no_failure(&run, &wrk);
	run_stop(&run);
}

static void test_service_of_another_version(void **state)
{
	(void)state;
	run_start_shared(&run, WORKERS);
	spoil(of_another_version);
}

static void test_service_of_another_version_with_listen(void **state)
{
	(void)state;
	run_start_with_listen(&run, WORKERS, ":8080");
	spoil(of_another_version);
}

static void test_damaged_service(void **state)
{
	(void)state;
	run_start_shared(&run, WORKERS);
	spoil(damaged);
}

/* --- and meanwhile --- */

/* Ten connections wait in worker 3's queue when it dies: the others answer them. */
static void crash_with_a_queue(const pid_t *pids)
{
	kill(pids[3], SIGSTOP);
	clients_begin(&clients, (struct client_plan){ .connections = 40, .at_once = 40 });
	clients_collect(&clients, 10);
	kill(pids[3], SIGKILL);
	clients_finish(&clients);
	assert_int_equal(clients.answered, 40);
	assert_int_equal(clients_of(&clients, 3), 0);
	wait_until(!process_lives(pids[3]), RUN_MS);
}

/* 1. no controller: a worker dies, its queue is handed on  2. the next controller replaces it */
static void test_worker_dies_without_controller(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	needs(migrate);
	run_start_shared(&run, WORKERS);
	run_pids(&run, pids, WORKERS);
	run_kill(&run);
	crash_with_a_queue(pids);
	run_start_again(&run);
	run_expect_keeper(&run);
	pids[3] = 0;
	run_pids(&run, pids, WORKERS);
	lbctl_ok("set-policy", "web", "rr", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	assert_int_equal(clients_of(&clients, 3), 10);
	run_stop(&run);
}

/* The same while it is stopped, which it does not notice. */
static void test_worker_dies_while_controller_is_stopped(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	needs(migrate);
	run_start_shared(&run, WORKERS);
	run_pids(&run, pids, WORKERS);
	kill(run.pid, SIGSTOP);
	crash_with_a_queue(pids);
	clients_run(&clients, (struct client_plan){ .connections = 30 });
	kill(run.pid, SIGCONT);
	run_pids(&run, pids, WORKERS);
	run_stop(&run);
}

static void test_with_controller_ends_the_workers(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	run_start(&run, "web", "-n", "4", "--with-controller", "--", run_demo(), "-q",
		  "--no-reuseport", "--listen", ":8080", NULL);
	run_pids(&run, pids, WORKERS);
	run_kill(&run);
	for (int i = 0; i < WORKERS; i++)
		wait_until(!process_lives(pids[i]), RUN_MS);
	run_start_again(&run);
	run_pids(&run, pids, WORKERS);
	run_stop(&run);
}

/* --- watch --- */

static bool worker_is(uint32_t worker, const char *want)
{
	show_read("web", &show);
	return worker < show.nr_workers && !strcmp(show.worker[worker].state, want);
}

/*
 * 1. watch attaches; a socket that joins gets its share, one that leaves is down
 * 2. Ctrl-C ends it, the service goes on
 */
static void test_watch(void **state)
{
	struct demo demos[WORKERS];
	struct run watch;

	(void)state;
	demo_start_many(demos, 3, ":8080");
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", NULL);
	run_start_verb(&watch, "web", "watch", "web", NULL);
	run_expect_keeper(&watch);
	demo_start(&demos[3], 3, "--listen", ":8080", NULL);
	wait_until(worker_is(3, "up"), RUN_MS);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(clients_of(&clients, i), 10);
	demo_kill(&demos[1], SIGTERM);
	wait_until(worker_is(1, "down"), RUN_MS);
	lbctl_expect(1, "did not start these workers", "scale", "web", "2", NULL);
	kill(watch.pid, SIGINT);
	assert_int_equal(run_wait(&watch), 0);
	clients_run(&clients, (struct client_plan){ .connections = 30 });
	show_read("web", &show);
	assert_int_equal(show.decisions, 70);
	assert_int_equal(show.fallback, 0);
	lbctl_ok("detach", "web", NULL);
	assert_true(pins_are_gone());
	assert_int_equal(count_entries(FILES_DIR, false), 0);
}

/* In one go or one by one, as the keeper happens to look. */
static bool all_joined(const struct demo *demos)
{
	int joined = 0;

	show_read("tcp-8080", &show);
	for (int i = 0; i < WORKERS; i++) {
		for (size_t row = 0; row < show.nr_workers; row++)
			joined += show.worker[row].pid == demos[i].pid &&
				  !strcmp(show.worker[row].state, "up");
	}
	return joined == WORKERS;
}

/* Given an address it attaches; the server comes back with new sockets, and so does the service. */
static void test_watch_attaches(void **state)
{
	struct demo demos[WORKERS];
	struct run watch;

	(void)state;
	demo_start_many(demos, WORKERS, "127.0.0.1:8080");
	run_start_verb(&watch, "tcp-8080", "watch", "127.0.0.1:8080", NULL);
	run_expect_events(&watch, 1, "refresh", "{s:i}", "workers", 4);
	for (int i = 0; i < WORKERS; i++)
		demo_kill(&demos[i], SIGKILL);
	demo_start_many(demos, WORKERS, "127.0.0.1:8080");
	wait_until(all_joined(demos), RUN_MS);
	lbctl_ok("set-policy", "tcp-8080", "rr", NULL);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(clients_of(&clients, i), 10);
	kill(watch.pid, SIGINT);
	assert_int_equal(run_wait(&watch), 0);
	lbctl_ok("detach", "--all", NULL);
}

/* --- the end --- */

static size_t descriptors(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	return count_entries(path, false);
}

/*
 * A controller holds no more descriptors after reloads and scaling than before. It may have been
 * about to close the last client's when they were counted first; a leak would show three times.
 */
static void test_descriptors(void **state)
{
	pid_t pids[WORKERS];
	size_t before;

	(void)state;
	run_start_with_listen(&run, WORKERS, ":8080");
	lbctl_ok("reload", "web", NULL);
	lbctl_ok("scale", "web", "6", NULL);
	lbctl_ok("scale", "web", "4", NULL);
	before = descriptors(run.pid);
	for (int i = 0; i < 3; i++) {
		lbctl_ok("reload", "web", NULL);
		lbctl_ok("scale", "web", "6", NULL);
		lbctl_ok("scale", "web", "4", NULL);
	}
	run_pids(&run, pids, WORKERS);
	wait_until(descriptors(run.pid) <= before, RUN_MS);
	run_stop(&run);
}

/* `stop` answers when the name is free again. */
static void test_start_right_after_stop(void **state)
{
	struct run next;

	(void)state;
	run_start_shared(&run, WORKERS);
	for (int i = 0; i < 5; i++) {
		lbctl_ok("stop", "web", NULL);
		next = run;
		run_start_again(&next);
		assert_int_equal(run_wait(&run), 0);
		run = next;
		run_expect_events(&run, WORKERS, "online", "{s:i}", "keeper", run.pid);
	}
	run_stop(&run);
}

/* Workers that ignore SIGTERM get SIGKILL after --kill-timeout, at once when asked twice. */
static void test_stubborn_workers(void **state)
{
	const char *script = "trap '' TERM; echo deaf; while :; do sleep 1; done";

	(void)state;
	run_start(&run, "web", "-n", "2", "--kill-timeout", "300", "--", "sh", "-c", script, NULL);
	run_expect_lines(&run, "deaf", 2);
	lbctl_ok("stop", "web", NULL);
	assert_int_equal(run_wait(&run), 0);
	run_expect_events(&run, 2, "kill", NULL);
	run_expect_events(&run, 2, "exit", "{s:s}", "signal", "SIGKILL");
	run_expect_nothing_left();
	run_start(&run, "web", "-n", "2", "--kill-timeout", "60000", "--", "sh", "-c", script,
		  NULL);
	run_expect_lines(&run, "deaf", 2);
	kill(run.pid, SIGTERM);
	run_expect_events(&run, 1, "stop", NULL);
	kill(run.pid, SIGTERM);
	assert_int_equal(run_wait(&run), 0);
	run_expect_nothing_left();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_killed),
		runs_test(test_killed_with_listen),
		runs_test(test_killed_often),
		runs_test(test_hooks_are_replaced),
		runs_test(test_service_of_another_version),
		runs_test(test_service_of_another_version_with_listen),
		runs_test(test_damaged_service),
		runs_test(test_worker_dies_without_controller),
		runs_test(test_worker_dies_while_controller_is_stopped),
		runs_test(test_with_controller_ends_the_workers),
		runs_test(test_watch),
		runs_test(test_watch_attaches),
		runs_test(test_descriptors),
		runs_test(test_start_right_after_stop),
		runs_test(test_stubborn_workers),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
