// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The sockets of --listen are of the service's cgroup, as the processes are that accept from them:
 * whoever is attached there sees their connections, and nobody else's.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/maps.h"
#include "harness/obey.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <bpf/bpf.h>
#include <signal.h>
#include <unistd.h>

#include "host/cgroup.h"
#include "host/sockdiag.h"

#define SOME 3 /* workers */
#define SERVICE_CGROUP "lbctl-web"

static struct run run;
static struct clients clients;

static uint64_t id_of(const char *name)
{
	int fd = cgroup_make(CGROUPS, name);
	uint64_t id = cgroup_id(fd);

	close(fd);
	return id;
}

/* Listeners of the service, or of all with 0, that are of this cgroup. */
static size_t sockets_in(uint64_t cgroup)
{
	struct sockdiag_list list;
	size_t n = 0;

	assert_int_equal(sockdiag_listeners(LB_PROTO_TCP, 8080, &list), 0);
	for (size_t i = 0; i < list.count; i++)
		n += !cgroup || list.items[i].cgroup_id == cgroup;
	sockdiag_free(&list);
	return n;
}

static void expect_all_inside(size_t workers)
{
	const uint64_t cgroup = id_of(SERVICE_CGROUP);

	run_expect_up(&run, workers);
	wait_until(sockets_in(0) == workers, RUN_MS);
	assert_int_equal(sockets_in(cgroup), workers);
	assert_int_equal(tracked_cgroup(), cgroup);
}

/* What is open is counted, and nothing is afterwards. */
static void expect_counted(void)
{
	map_stats();
	open_many(12);
	wait_until(live_sum() == 12, RUN_MS);
	close_all();
	wait_until(live_sum() == 0, RUN_MS);
	unmap_stats();
}

/*
 * 1. at the start; where a worker's next process has the sockets of the one that was killed
 * 2. a reload makes new ones, scale more, and so does another keeper
 */
static void test_of_the_service(void **state)
{
	pid_t pids[SOME];

	(void)state;
	needs(track);
	run_start(&run, "web", "-n", "3", "--policy", "rr", "--max-restarts", "100", "--user",
		  "nobody", "--listen", "0.0.0.0:8080", "--", run_demo(), "-q", NULL);
	expect_all_inside(SOME);
	expect_counted();
	run_pids(&run, pids, SOME);
	kill(pids[1], SIGKILL);
	run_expect_events(&run, SOME + 1, "online", NULL);
	expect_all_inside(SOME);
	lbctl_ok("reload", "web", NULL);
	expect_all_inside(SOME);
	lbctl_ok("scale", "web", "5", NULL);
	expect_all_inside(SOME + 2);
	run_kill(&run);
	run_start_again(&run);
	run_expect_keeper(&run);
	lbctl_ok("scale", "web", "6", NULL);
	expect_all_inside(SOME + 3);
	expect_counted();
	run_stop(&run);
}

/*
 * 1. the service's cgroup is frozen when it is scaled: the keeper goes on
 * 2. the new socket is of the keeper's cgroup, and connections are counted in what they have in
 *    common
 */
static void test_frozen(void **state)
{
	struct output output;
	struct job scale;

	(void)state;
	needs(track);
	run_start(&run, "web", "-n", "3", "--policy", "rr", "--listen", "0.0.0.0:8080", "--",
		  run_demo(), "-q", NULL);
	expect_all_inside(SOME);
	file_write(CGROUPS "/" SERVICE_CGROUP "/cgroup.freeze", "1");
	lbctl_start(&scale, "scale", "web", "4", NULL);
	wait_until(sockets_in(id_of(".")) == 1, RUN_MS);
	file_write(CGROUPS "/" SERVICE_CGROUP "/cgroup.freeze", "0");
	job_wait(&scale, &output);
	assert_int_equal(output.status, 0);
	output_free(&output);
	run_expect_up(&run, SOME + 1);
	wait_until(tracked_cgroup() == id_of("."), RUN_MS);
	expect_counted();
	run_stop(&run);
}

/* Several addresses, and more workers than are made at once. */
static void test_many(void **state)
{
	(void)state;
	needs(track);
	run_start(&run, "web", "-n", "40", "--policy", "rr", "--listen", ":8080", "--listen",
		  "127.0.0.1:8081", "--", run_demo(), "-q", NULL);
	run_expect_up(&run, 40);
	assert_int_equal(sockets_in(id_of(SERVICE_CGROUP)), 80);
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	clients_run(&clients, (struct client_plan){ .connections = 40, .to = "::1" });
	clients_run(&clients, (struct client_plan){ .connections = 40, .port = 8081 });
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_of_the_service),
		runs_test(test_frozen),
		runs_test(test_many),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
