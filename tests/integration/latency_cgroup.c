// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* latency=on hangs on the cgroup that all workers are in, goes along, and never on the root. */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/events.h"
#include "harness/measured.h"
#include "harness/obey.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <bpf/bpf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/cgroup.h"
#include "service/latency.h"

static uint64_t hooked_cgroup(void)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);
	int link = bpf_obj_get(HARNESS_PINS "/web/latency/lb_answer");

	if (link < 0 || bpf_obj_get_info_by_fd(link, &info, &len))
		return 0;
	close(link);
	return info.cgroup.cgroup_id;
}

static uint64_t closed(void)
{
	struct lb_latency sum = { 0 };
	struct state state;

	assert_int_equal(state_open(&state, "web", STATE_READ), 0);
	for (uint32_t slot = 0; slot < state_used_slots(&state); slot++)
		latency_add(&state, slot, &sum);
	state_close(&state);
	return sum.closed;
}

/* With --dry-run, too: the reason and the way out are told, and nothing is attached. */
static void test_refused_in_the_root(void **state)
{
	static const char *const ways[] = { NULL, "--dry-run" };
	pid_t pid;

	(void)state;
	needs_latency();
	pid = worker_start_as(".", false);
	attach("rr");
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct output output;

		lbctl_run(&output, "set", "web", "latency=on", ways[i], NULL);
		assert_int_equal(output.status, 4);
		assert_non_null(strstr(output.err, "no cgroup in common but the root"));
		assert_non_null(strstr(output.err, "systemd unit"));
		output_free(&output);
		assert_int_equal(access(HARNESS_PINS "/web/latency", F_OK), -1);
		assert_int_equal(access(HARNESS_PINS "/web/lb_latency", F_OK), -1);
	}
	lbctl_ok("set", "web", "latency=off", NULL);
	lbctl_ok("detach", "web", NULL);
	worker_kill(pid);
}

/* A service whose connections carry less than what is measured: the reason and the way out. */
static void test_refused_of_an_earlier_one(void **state)
{
	struct state service;
	pid_t pid;

	(void)state;
	needs_latency();
	child_make("first");
	pid = worker_start_as(child_cgroup("first"), false);
	attach("rr");
	assert_int_equal(state_open(&service, "web", STATE_READ), 0);
	assert_null(latency_obstacle(&service));
	service.arrays[MAP_CONNS].value_bytes = LB_FIRST_conn;
	assert_non_null(strstr(latency_obstacle(&service), "an earlier lbctl made it"));
	state_close(&service);
	lbctl_ok("detach", "web", NULL);
	worker_kill(pid);
	wait_until(child_remove("first"), QUIET_MS);
}

/*
 * 1. its workers in a cgroup of theirs: there it hangs, and sees their connections
 * 2. the server is started anew in another one: after attach there, and what was stays
 * 3. one more worker elsewhere: on what they have in common
 */
static void test_follows(void **state)
{
	static const char *const names[] = { "first", "second" };
	pid_t pids[2], more;

	(void)state;
	needs_latency();
	for (int i = 0; i < 2; i++) {
		child_make(names[i]);
		pids[i] = worker_start_as(child_cgroup(names[i]), false);
		if (i == 0) {
			attach("rr");
			lbctl_ok("set", "web", "latency=on", NULL);
		}
		if (i == 1)
			lbctl_ok("attach", "--name", "web", ":8080", NULL);
		assert_int_equal(hooked_cgroup(), tracked_cgroup());
		assert_int_equal(hooked_cgroup(), id_of_cgroup(child_cgroup(names[i])));
		open_many(10);
		close_all();
		worker_kill(pids[i]);
		wait_until(closed() == 10 * (uint64_t)(i + 1), QUIET_MS);
		wait_until(child_remove(names[i]), QUIET_MS);
	}
	child_make("first");
	child_make("second");
	for (int i = 0; i < 2; i++)
		pids[i] = worker_start_as(child_cgroup(names[i]), false);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	assert_int_equal(hooked_cgroup(), id_of_cgroup(own_cgroup));
	/* one in the root: it stays where it was */
	more = worker_start_as(".", false);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	assert_int_equal(tracked_cgroup(), 1);
	assert_int_equal(hooked_cgroup(), id_of_cgroup(own_cgroup));
	worker_kill(more);
	lbctl_ok("detach", "web", NULL);
	for (int i = 0; i < 2; i++)
		worker_kill(pids[i]);
	wait_until(child_remove("first") && child_remove("second"), QUIET_MS);
}

/* --- lbctl run in the root --- */

static char service[32];

static void enter_root(void)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup_root);
	file_write(path, "0");
}

static void expect_measured(uint64_t *so_far)
{
	static struct clients clients;

	clients_run(&clients, (struct client_plan){ .connections = 40, .at_once = 4 });
	*so_far += 40;
	measured_expect(service, *so_far, *so_far);
}

/*
 * 1. a keeper in the root: its workers have cgroups of their own, and the sockets of --listen are
 *    of the service's; so it is measured there
 * 2. what a reload makes is, too
 */
static void test_listen_from_the_root(void **state)
{
	static struct run run;
	uint64_t so_far = 0;

	(void)state;
	needs_latency();
	harness_idle = events_take;
	/* the root is the host's: others may be there */
	snprintf(service, sizeof(service), "at-root-%s", own_cgroup + strlen(own_cgroup) - 8);
	run_prepare = enter_root;
	run_start(&run, service, "-n", "2", "--policy", "rr", "--listen", "127.0.0.1:8080", "--",
		  run_demo(), "-q", NULL);
	run_expect_up(&run, 2);
	lbctl_ok("set", service, "latency=on", NULL);
	expect_measured(&so_far);
	lbctl_ok("reload", service, NULL);
	expect_measured(&so_far);
	run_stop(&run);
}

/* Of a failed test it may be there still. */
static int remove_from_root(void **state)
{
	char name[sizeof(service) + 8];
	int err = obey_reset(state);

	harness_idle = NULL;
	events_forget();
	snprintf(name, sizeof(name), "lbctl-%s", service);
	cgroup_remove(cgroup_root, name);
	return err;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		obey_test(test_refused_in_the_root),
		obey_test(test_refused_of_an_earlier_one),
		obey_test(test_follows),
		cmocka_unit_test_teardown(test_listen_from_the_root, remove_from_root),
	};

	(void)argc;
	return obey_run(argv[0], tests);
}
