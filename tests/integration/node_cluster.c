// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * tools/node: a program that uses Node.js's cluster, unchanged, with a listening socket for each of
 * its workers. Node.js is no dependency of the tests: where it is, it is tested. One that can't set
 * SO_REUSEPORT itself (before 22.12 and 23.1) is in a cgroup with the bind hook of lbctl run.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/load.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"
#include "keeper/bindhook.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 4
#define EACH 50
#define HOOKED CGROUPS "/hooked"
#define TOLD HARNESS_DIR "/told"
#define URL "http://127.0.0.1:8080/"
#define ALIKE_MS 240000

static struct show show;
static struct clients clients;
static struct run watch, run;

/* --- the program --- */

/* Static until the next call. */
static const char *source(const char *name)
{
	static char path[PATH_MAX];

	if (!realpath(harness_build_path(name), path))
		fail_msg("%s: not found", name);
	return path;
}

/* A cgroup in which whoever binds one of these ports shares it. */
static void hook_ports(void)
{
	const struct lb_bindhook rules = { .shared[LB_BIND_TCP] = { { 8080, 8101, 8102, 80 }, 4 } };
	struct bindhooks *hooks;
	int fd;

	mkdir(HOOKED, 0755);
	fd = open(HOOKED, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(bindhook_open("hooked", fd, &rules, 0, &hooks), 0);
	bindhook_close(hooks);
	close(fd);
}

static int unhook(void **state)
{
	int status;

	unsetenv("LBCTL_CLUSTER");
	unsetenv("NODE_OPTIONS");
	status = runs_reset(state);
	bindhook_remove("hooked");
	return status;
}

static unsigned int lines_of(const char *path, const char *words)
{
	FILE *file = fopen(path, "re");
	char line[512];
	unsigned int n = 0;

	while (file && fgets(line, sizeof(line), file))
		n += strstr(line, words) != NULL;
	if (file)
		fclose(file);
	return n;
}

static void load_package(void)
{
	char options[PATH_MAX + 16];

	snprintf(options, sizeof(options), "--require %s", source("../tools/node/cluster.js"));
	setenv("NODE_OPTIONS", options, 1);
}

/* `how` is LBCTL_CLUSTER, or NULL. Returns the primary, told of all listening workers. */
static pid_t program_start(const char *how, bool in_cgroup)
{
	pid_t pid;

	load_package();
	if (how)
		setenv("LBCTL_CLUSTER", how, 1);
	unlink(TOLD);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (in_cgroup)
			file_write(HOOKED "/cgroup.procs", "0");
		execlp("node", "node", source("../tests/integration/node/app.js"), "8080", TOLD,
		       NULL);
		_exit(127);
	}
	wait_until(lines_of(TOLD, "\"port\":8080") == WORKERS, RUN_MS);
	return pid;
}

/* With a socket for each worker. */
static pid_t program_start_own(void)
{
	bool hook = !node_sets_reuseport();

	if (hook)
		hook_ports();
	return program_start(hook ? "on" : NULL, hook);
}

static void program_end(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGTERM), 0);
	wait_until(waitpid(pid, &status, WNOHANG) == pid, RUN_MS);
	assert_int_equal(status, 0);
}

static size_t listening_sockets(void)
{
	const char *argv[] = { "ss", "-Hltn", "sport = :8080", NULL };
	struct output output;
	size_t n = 0;

	command_run(&output, argv, COMMAND_MS);
	for (const char *at = output.out; (at = strchr(at, '\n')); at++)
		n++;
	output_free(&output);
	return n;
}

/* --- tests --- */

/*
 * 1. four listeners, told to the primary, which has none  2. 200 connections: 50 each
 * 3. they go on while the primary is stopped  4. the program ends as ever
 */
static void test_a_socket_for_each_worker(void **state)
{
	static const unsigned int want[] = { EACH, EACH, EACH, EACH };
	pid_t primary, pids[WORKERS];

	(void)state;
	needs_node();
	primary = program_start_own();
	assert_int_equal(processes_children(primary, pids, WORKERS), WORKERS);
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", NULL);
	show_read("web", &show);
	assert_int_equal(show.nr_workers, WORKERS);
	for (size_t i = 0; i < WORKERS; i++) {
		char words[48];

		snprintf(words, sizeof(words), "\"listening\":%d", (int)show.worker[i].pid);
		assert_int_equal(lines_of(TOLD, words), 1);
	}
	clients_run(&clients, (struct client_plan){ .connections = WORKERS * EACH });
	clients_expect(&clients, WORKERS, want);
	kill(primary, SIGSTOP);
	wait_until(process_state(primary) == 'T', RUN_MS);
	clients_run(&clients, (struct client_plan){ .connections = WORKERS * EACH });
	clients_expect(&clients, WORKERS, want);
	kill(primary, SIGCONT);
	program_end(primary);
	lbctl_ok("detach", "web", NULL);
}

/* All workers are replaced while each request is a connection of its own: none fails. */
static void test_replaced_one_after_the_other(void **state)
{
	struct job load;
	struct wrk wrk;
	pid_t primary;

	(void)state;
	needs_node();
	needs(migrate);
	primary = program_start_own();
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", NULL);
	run_start_verb(&watch, "web", "watch", "web", NULL);
	run_expect_keeper(&watch);
	wrk_start(&load, URL, "8", WRK_UNTIL_STOPPED);
	kill(primary, SIGUSR2);
	wait_until(lines_of(TOLD, "\"replaced\"") == 1, RUN_MS);
	run_expect_up(&watch, WORKERS);
	wrk_stop(&load);
	wrk_wait(&load, &wrk);
	run_expect_no_failure(&watch, &wrk);
	assert_int_equal(lines_of(TOLD, "\"port\":8080"), 2 * WORKERS);
	program_end(primary);
	kill(watch.pid, SIGINT);
	assert_int_equal(run_wait(&watch), 0);
	lbctl_ok("detach", "web", NULL);
}

/* Switched off, or where a port can't be shared, the primary listens alone, as ever. */
static void test_the_primary_serves(void **state)
{
	pid_t primary;

	(void)state;
	needs_node();
	primary = program_start("off", false);
	assert_int_equal(listening_sockets(), 1);
	lbctl_expect(1, "lbctl run --help", "attach", ":8080", NULL);
	clients_run(&clients, (struct client_plan){ .connections = WORKERS * EACH });
	program_end(primary);
	if (node_sets_reuseport())
		return;
	primary = program_start("on", false);
	assert_int_equal(listening_sockets(), 1);
	clients_run(&clients, (struct client_plan){ .connections = WORKERS * EACH });
	program_end(primary);
}

/* lbctl run steers one socket a worker, so each of its workers is a cluster as Node.js has it. */
static void test_below_lbctl_run(void **state)
{
	(void)state;
	needs_node();
	load_package();
	run_start(&run, "web", "-n", "2", "--policy", "rr", "--", "node",
		  source("../tests/integration/node/app.js"), "8080", TOLD, NULL);
	run_expect_up(&run, 2);
	clients_run(&clients, (struct client_plan){ .connections = WORKERS * EACH });
	run_stop(&run);
}

/* What programs see of cluster is what they see without: some of them (alike.js). */
static void test_alike(void **state)
{
	const char *argv[] = { "node", source("../tests/integration/node/alike.js"), NULL };
	struct output output;

	(void)state;
	needs_node();
	if (!node_sets_reuseport()) {
		needs(bind_setsockopt); /* else the hook shares all ports, which some are not to be */
		hook_ports();
		setenv("HOOKED", HOOKED, 1);
	}
	command_run(&output, argv, ALIKE_MS);
	if (output.status)
		fail_msg("%s%s", output.out, output.err);
	output_free(&output);
}

#define node_test(function) cmocka_unit_test_teardown(function, unhook)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		node_test(test_a_socket_for_each_worker),
		node_test(test_replaced_one_after_the_other),
		node_test(test_the_primary_serves),
		node_test(test_below_lbctl_run),
		node_test(test_alike),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
