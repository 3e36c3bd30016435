// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The program that keeps the counters of connections: it comes back, follows the workers' cgroup,
 * lets others' programs live, and is missed where there is no cgroup v2.
 */
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/obey.h"
#include "harness/pins.h"
#include "harness/show.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/cgroup.h"

static struct show show;

/* Opens and closes one. */
static bool opening_is_seen(void)
{
	uint64_t before = opened_sum();

	open_one("127.0.0.1");
	reset_one(nr_open - 1);
	return opened_sum() != before;
}

/*
 * 1. counts are wrong by 7: attach puts them right
 * 2. the program is away for a while: 20 of 40 connections end, 30 others begin
 * 3. attach puts the program back, takes the 20 off and counts the 30 in; their end counts too
 */
static void test_drift_is_mended(void **state)
{
	struct counters before;
	pid_t pids[WORKERS];
	uint64_t cgroup;
	int64_t live;

	(void)state;
	needs(late_count);
	workers_start(pids);
	attach("least-conn");
	cgroup = tracked_cgroup();
	assert_int_equal(links_on(cgroup), 1);
	open_many(40);
	wait_until(counters_are_right() && live_sum() == 40, QUIET_MS);
	__atomic_fetch_add(&stats[0].live, 7, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&stats[1].live, -7, __ATOMIC_SEQ_CST);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	expect_live(10, 10, 10, 10);

	assert_int_equal(unlink(HARNESS_PINS "/web/lb_track_link"), 0);
	wait_until(links_on(cgroup) == 0 && !opening_is_seen(), QUIET_MS);
	counters_read("web", &before);
	live = live_sum();
	for (int i = 0; i < 20; i++)
		reset_one(nr_open - 1);
	open_many(30);
	assert_int_equal(live_sum(), live);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	assert_int_equal(live_sum(), 50);
	assert_true(counters_are_right());
	counters_expect("web", &before, .cursor = 30, .unseen = 30,
			.selected = { stats[0].selected - before.selected[0],
				      stats[1].selected - before.selected[1],
				      stats[2].selected - before.selected[2],
				      stats[3].selected - before.selected[3] });
	while (nr_open)
		reset_one(nr_open - 1);
	wait_until(live_sum() == 0, QUIET_MS);
}

/*
 * 1. the workers are in a cgroup, and so is the program
 * 2. a new set of workers in a new cgroup, as after a restart: attach follows
 * 3. workers in a third one: attach goes to the one above both, and no count is lost
 */
static void test_cgroup_is_followed(void **state)
{
	pid_t pids[WORKERS], more;
	uint64_t first;

	(void)state;
	child_make("first");
	for (int i = 0; i < WORKERS; i++)
		pids[i] = worker_start_as(child_cgroup("first"), false);
	attach("least-conn");
	first = id_of_cgroup(child_cgroup("first"));
	assert_int_equal(tracked_cgroup(), first);
	open_many(40);
	wait_until(live_sum() == 40, QUIET_MS);
	for (int i = 0; i < WORKERS; i++)
		worker_kill(pids[i]);
	close_all();
	wait_until(child_remove("first"), QUIET_MS);

	child_make("second");
	for (int i = 0; i < WORKERS; i++)
		pids[i] = worker_start_as(child_cgroup("second"), false);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	assert_int_equal(tracked_cgroup(), id_of_cgroup(child_cgroup("second")));
	assert_int_equal(links_on(first), 0);
	open_many(40);
	wait_until(counters_are_right() && live_sum() == 40, QUIET_MS);
	expect_live(10, 10, 10, 10);

	child_make("third");
	more = worker_start_as(child_cgroup("third"), false);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	assert_int_equal(tracked_cgroup(), id_of_cgroup(own_cgroup));
	open_many(10);
	wait_until(counters_are_right() && live_sum() == 50, QUIET_MS);
	assert_int_equal(stats[4].live, 10);
	close_all();
	worker_kill(more);
	for (int i = 0; i < WORKERS; i++)
		worker_kill(pids[i]);
	wait_until(live_sum() == 0, QUIET_MS);
	lbctl_ok("detach", "web", NULL);
	wait_until(child_remove("second") && child_remove("third"), QUIET_MS);
}

static bool policy_is_available(const char *policy)
{
	json_t *rows = lbctl_json("policies", "--json", NULL), *row;
	bool available = false;
	size_t i;

	json_array_foreach(rows, i, row) {
		if (!strcmp(json_string_value(json_object_get(row, "policy")), policy))
			available = json_is_true(json_object_get(row, "available"));
	}
	json_decref(rows);
	return available;
}

/*
 * 1. no cgroup v2 in sight: a service works, and `live` is what sock_diag says
 * 2. least-conn is refused with a reason, in each place where it can be asked for
 * 3. with cgroup v2 mounted, attach counts in what is open, and the policy is to be had
 */
static void test_without_cgroups(void **state)
{
	struct output output;
	pid_t pids[WORKERS];
	int64_t live = 0;

	(void)state;
	workers_start(pids);
	assert_true(policy_is_available("least-conn"));
	while (!umount2(cgroup_root, MNT_DETACH))
		continue;
	assert_false(policy_is_available("least-conn"));
	assert_false(policy_is_available("least-latency"));
	assert_true(policy_is_available("rr"));
	lbctl_run(&output, "attach", "--policy", "least-conn", ":8080", NULL);
	assert_int_equal(output.status, 4);
	assert_non_null(strstr(output.err, "cgroup"));
	output_free(&output);
	assert_true(pins_are_gone());
	attach("rr");
	open_many(40);
	for (int i = 0; i < 500 && live < 40; i++) {
		show_read("web", &show);
		live = 0;
		for (int j = 0; j < WORKERS; j++)
			live += show.worker[j].live;
	}
	assert_int_equal(live, 40);
	lbctl_run(&output, "set-policy", "web", "least-conn", NULL);
	assert_int_equal(output.status, 4);
	output_free(&output);
	lbctl_run(&output, "set-policy", "web", "least-latency", NULL);
	assert_int_equal(output.status, 4);
	output_free(&output);
	lbctl_run(&output, "set", "web", "limit=5", NULL);
	assert_int_equal(output.status, 4);
	assert_non_null(strstr(output.err, "count connections"));
	output_free(&output);
	lbctl_ok("set", "web", "limit=0", NULL);

	assert_int_equal(mount("none", cgroup_root, "cgroup2", 0, NULL), 0);
	assert_true(policy_is_available("least-conn"));
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	needs(late_count);
	assert_true(counters_are_right());
	expect_live(10, 10, 10, 10);
	lbctl_ok("set-policy", "web", "least-conn", NULL);
	open_many(40);
	expect_live(20, 20, 20, 20);
	close_all();
}

#define OPS_FIELD(name) ((short)offsetof(struct bpf_sock_ops, name))
#define RTT_FLAG 8 /* BPF_SOCK_OPS_RTT_CB_FLAG */

/*
 * Somebody else's sockops program, which asks for round-trip times when a connection is
 * established, and counts how often it is told. Returns a descriptor of its link.
 */
static int count_round_trips(int map_fd, int cgroup_fd)
{
	const struct bpf_insn insns[] = {
		/* r6 = ops; r2 = op */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1 },
		{ .code = BPF_LDX | BPF_MEM | BPF_W,
		  .dst_reg = 2,
		  .src_reg = 6,
		  .off = OPS_FIELD(op) },
		{ .code = BPF_JMP | BPF_JNE | BPF_K,
		  .dst_reg = 2,
		  .off = 4,
		  .imm = BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB },
		/* cb_flags_set(ops, ops->flags | RTT) */
		{ .code = BPF_LDX | BPF_MEM | BPF_W,
		  .dst_reg = 2,
		  .src_reg = 6,
		  .off = OPS_FIELD(bpf_sock_ops_cb_flags) },
		{ .code = BPF_ALU64 | BPF_OR | BPF_K, .dst_reg = 2, .imm = RTT_FLAG },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sock_ops_cb_flags_set },
		{ .code = BPF_JMP | BPF_JA, .off = 9 },
		{ .code = BPF_JMP | BPF_JNE | BPF_K,
		  .dst_reg = 2,
		  .off = 8,
		  .imm = BPF_SOCK_OPS_RTT_CB },
		/* (*lookup(map, &0))++ */
		{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4 },
		{ .code = BPF_LD | BPF_IMM | BPF_DW,
		  .dst_reg = 1,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map_fd },
		{ 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .off = 1 },
		{ .code = BPF_ST | BPF_MEM | BPF_DW, .imm = 1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int program = bpf_prog_load(BPF_PROG_TYPE_SOCK_OPS, "stranger", "GPL", insns,
				    ARRAY_SIZE(insns), NULL);
	int link = bpf_link_create(program, cgroup_fd, BPF_CGROUP_SOCK_OPS, NULL);

	assert_true(program >= 0 && link >= 0);
	close(program);
	return link;
}

static bool was_told(int map_fd)
{
	uint64_t value = 0, none = 0;
	uint32_t zero = 0;

	assert_int_equal(bpf_map_lookup_elem(map_fd, &zero, &value), 0);
	assert_int_equal(bpf_map_update_elem(map_fd, &zero, &none, BPF_ANY), 0);
	return value;
}

/* All connections end: the counters and the other program know. */
static void end_and_be_told(int map)
{
	was_told(map);
	for (size_t i = 0; i < nr_open; i++)
		tell(open_fds[i], HALF_CLOSE);
	wait_until(was_told(map), QUIET_MS);
	wait_until(live_sum() == 0, QUIET_MS);
	close_all();
}

/*
 * 1. another program asks for more of a connection's events before ours does; it is told, and ours
 *    counts
 * 2. connections that only it had seen are counted in, and it is told of them still
 */
static void test_other_programs_are_heard(void **state)
{
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "told", 4, 8, 1, NULL);
	int cgroup = cgroup_make(cgroup_root, own_cgroup);
	int link = count_round_trips(map, cgroup);
	pid_t pids[WORKERS];

	(void)state;
	needs(late_count);
	workers_start(pids);
	open_many(40);
	attach("least-conn");
	assert_int_equal(live_sum(), 40);
	end_and_be_told(map);
	open_many(40);
	end_and_be_told(map);
	close(link);
	close(cgroup);
	close(map);
}

#define OTHER_PORT 9090

static void open_elsewhere(void)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
					.sin_port = htons(OTHER_PORT),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	open_fds[nr_open] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(open_fds[nr_open], (const struct sockaddr *)&to, sizeof(to)), 0);
	nr_open++;
}

/*
 * 1. TPROXY brings connections to another port to the workers: they have that port, and count
 * 2. a count that is wrong is put right with these in it
 */
static void test_other_local_port(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	workers_start(pids);
	attach("least-conn");
	command_ok("nft", "add", "table", "ip", "lb", NULL);
	command_ok("nft", "add chain ip lb pre { type filter hook prerouting priority mangle; }",
		   NULL);
	command_ok("nft", "add rule ip lb pre tcp dport 9090 tproxy to :8080 accept", NULL);
	open_many(10);
	for (int i = 0; i < 10; i++)
		open_elsewhere();
	wait_until(live_sum() == 20, QUIET_MS);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	assert_int_equal(live_sum(), 20);
	__atomic_fetch_add(&stats[0].live, 7, __ATOMIC_SEQ_CST);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	assert_int_equal(live_sum(), 20);
	while (nr_open)
		reset_one(nr_open - 1);
	wait_until(live_sum() == 0, QUIET_MS);
	command_ok("nft", "delete", "table", "ip", "lb", NULL);
}

/* Connections outlive the service; a new one counts them as its own. */
static void test_detach_and_attach(void **state)
{
	pid_t pids[WORKERS];
	uint64_t cgroup;

	(void)state;
	needs(late_count);
	workers_start(pids);
	attach("least-conn");
	cgroup = tracked_cgroup();
	open_many(40);
	wait_until(counters_are_right() && live_sum() == 40, QUIET_MS);
	for (int i = 0; i < 5; i++) {
		lbctl_ok("detach", "web", NULL);
		assert_true(pins_are_gone());
		wait_until(links_on(cgroup) == 0, QUIET_MS);
		attach("least-conn");
		assert_int_equal(live_sum(), 40);
		assert_true(counters_are_right());
	}
	lbctl_ok("detach", "web", NULL);
	unmap_stats();
	for (size_t i = 0; i < nr_open; i++)
		tell(open_fds[i], CLOSE);
	close_all();
	wait_until(pinned_objects_are_freed(), QUIET_MS);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		obey_test(test_drift_is_mended),  obey_test(test_cgroup_is_followed),
		obey_test(test_without_cgroups),  obey_test(test_other_programs_are_heard),
		obey_test(test_other_local_port), obey_test(test_detach_and_attach),
	};

	(void)argc;
	return obey_run(argv[0], tests);
}
