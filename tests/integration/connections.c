// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The kernel's own counters of connections: `live` of every worker must be what sock_diag says
 * whenever nothing moves, after whatever happened. LB_TEST_STORM (environment) is how many steps
 * the storm has.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/kernel.h"
#include "harness/obey.h"
#include "harness/show.h"
#include "harness/storm.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>

#include "host/sockdiag.h"

#define STORM 6000

/*
 * One worker dies with all it has, or closes its listeners and lives on for a while; another one
 * takes its place. Returns the old one, if it lives.
 */
static pid_t replace_worker(pid_t *pid, bool gracefully)
{
	pid_t old = *pid;

	if (gracefully) {
		size_t left = listeners() - 2;

		kill(old, SIGUSR1);
		wait_until(listeners() == left, QUIET_MS);
	} else {
		worker_kill(old);
	}
	*pid = worker_start_as(NULL, true);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	return gracefully ? old : 0;
}

/*
 * 1. STORM opens, closes, resets and half-closes from either side, IPv4 and IPv6, in any order
 * 2. every 500 steps a worker is killed, or replaced while it ends its connections
 * 3. at each quiet moment every worker's count is right; it is never below 0
 * 4. every client gone: connections left half-closed by them stay until the servers end
 */
static void test_storm(void **state)
{
	int steps = load_asked("LB_TEST_STORM", STORM);
	pid_t pids[WORKERS], old = 0;

	(void)state;
	for (int i = 0; i < WORKERS; i++)
		pids[i] = worker_start_as(NULL, true);
	attach("least-conn");
	for (int i = 1; i <= steps; i++) {
		storm_step(&(const struct storm){ .ipv6 = true });
		live_sum();
		if (i % 500 == 250)
			old = replace_worker(&pids[storm_random() % WORKERS], storm_random() % 2);
		if (i % 500 == 450 && old)
			worker_kill(old);
		if (i % 500 == 450)
			old = 0;
		if (!old && i % 100 == 0)
			wait_until(counters_are_right(), QUIET_MS);
	}
	if (old)
		worker_kill(old);
	assert_true(opened_sum() > (uint64_t)steps / 3);
	print_message("%llu connections\n", (unsigned long long)opened_sum());
	close_all();
	wait_until(counters_are_right(), QUIET_MS);
	for (int i = 0; i < WORKERS; i++)
		worker_kill(pids[i]);
	wait_until(live_sum() == 0, QUIET_MS);
}

/* The same with SYN cookies only: nothing is known of a connection before it is established. */
static void test_syn_cookies(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	kernel_set("net/ipv4/tcp_syncookies", "2");
	workers_start(pids);
	attach("least-conn");
	open_many(100);
	wait_until(counters_are_right(), QUIET_MS);
	expect_live(25, 25, 25, 25);
	assert_int_equal(opened_sum(), 100);
	close_all();
	for (int i = 0; i < WORKERS; i++)
		worker_kill(pids[i]);
	wait_until(live_sum() == 0, QUIET_MS);
}

static int open_fast(void)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(sendto(fd, "h", 1, MSG_FASTOPEN, (void *)&to, sizeof(to)), 1);
	return fd;
}

/*
 * TCP Fast Open: established and accepted before the handshake ends. The first asks for a cookie.
 */
static void test_fast_open(void **state)
{
	pid_t pids[WORKERS];
	uint64_t fast;

	(void)state;
	kernel_set("net/ipv4/tcp_fastopen", "3");
	workers_start(pids);
	attach("least-conn");
	fast = kernel_counter("TcpExtTCPFastOpenPassive");
	for (int i = 0; i < 40; i++)
		open_fds[nr_open++] = open_fast();
	wait_until(counters_are_right() && live_sum() == 40, QUIET_MS);
	/* each worker gives cookies of its own key, unless the host sets one for all */
	if (kernel_counter("TcpExtTCPFastOpenPassive") == fast)
		print_message("no connection was opened fast here\n");
	while (nr_open)
		reset_one(nr_open - 1);
	wait_until(live_sum() == 0, QUIET_MS);
}

static struct show show;

static uint32_t waiting(void)
{
	struct sockdiag_list list;
	uint32_t sum = 0;

	assert_int_equal(sockdiag_listeners(LB_PROTO_TCP, PORT, &list), 0);
	for (size_t i = 0; i < list.count; i++)
		sum += list.items[i].queued;
	sockdiag_free(&list);
	return sum;
}

/*
 * 1. 60 connections are open before attach, some of them unaccepted at a worker that hangs
 * 2. attach counts in what is accepted; the others once they are, when it comes by again
 * 3. as opened count only those that it sees opening; the policy levels out what the kernel's hash
 *    had done
 * 4. their end counts too
 */
static void test_open_before_attach(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	needs(late_count);
	workers_start(pids);
	kill(pids[0], SIGSTOP);
	open_many(60);
	for (int i = 0; i < 10; i++)
		shutdown(open_fds[i], SHUT_WR);
	attach("least-conn");
	assert_true(counters_are_right());
	assert_in_range(live_sum(), 1, 59);
	kill(pids[0], SIGCONT);
	wait_until(!waiting(), QUIET_MS);
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	assert_true(counters_are_right());
	assert_int_equal(live_sum(), 60);
	assert_int_equal(opened_sum(), 0);
	open_many(140);
	wait_until(live_sum() == 200, QUIET_MS);
	expect_live(50, 50, 50, 50);
	assert_int_equal(opened_sum(), 140);
	show_read("web", &show);
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(show.worker[i].live, 50);
	close_all();
	for (int i = 0; i < WORKERS; i++)
		worker_kill(pids[i]);
	wait_until(live_sum() == 0, QUIET_MS);
}

/* Connections that come and go, many at a time, until it is killed. */
static pid_t start_churn(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	for (;;) {
		open_many(20);
		for (size_t i = 0; i < nr_open; i++)
			tell(open_fds[i], CLOSE);
		close_all();
	}
}

/*
 * 1. clients of this host, outside of the cgroup of the workers, come and go: their sockets take
 * the memory of connections that have ended
 * 2. attach counts again and again meanwhile, while connections wait: no client is counted
 */
static void test_attach_amid_clients_of_this_host(void **state)
{
	pid_t pids[WORKERS], clients[2];

	(void)state;
	needs(late_count);
	child_make("workers");
	for (int i = 0; i < WORKERS; i++)
		pids[i] = worker_start_as(child_cgroup("workers"), false);
	attach("rr");
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		clients[i] = start_churn();
	for (int i = 0; i < 40; i++) {
		kill(pids[i % WORKERS], SIGSTOP);
		lbctl_ok("attach", "--name", "web", ":8080", NULL);
		kill(pids[i % WORKERS], SIGCONT);
	}
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		worker_kill(clients[i]);
	expect_right_counters(QUIET_MS);
	for (int i = 0; i < WORKERS; i++)
		worker_kill(pids[i]);
	wait_until(live_sum() == 0, QUIET_MS);
	lbctl_ok("detach", "web", NULL);
	wait_until(child_remove("workers"), QUIET_MS);
}

/*
 * 1. worker 3 hangs with 10 of 40 connections in its queue, and is killed
 * 2. the 10 are the others' now, in the counters as well
 * 3. one of these is killed in turn with everything, and again the counters follow
 * 4. nothing is left when the clients end
 */
static void test_migrated_connections(void **state)
{
	pid_t pids[WORKERS];

	(void)state;
	needs(migrate);
	workers_start(pids);
	attach("least-conn");
	kill(pids[3], SIGSTOP);
	open_many(40);
	wait_until(live_sum() == 40, QUIET_MS);
	expect_live(10, 10, 10, 10);
	for (int i = 0; i < 3; i++)
		wait_until(slot_is_right(i), QUIET_MS);
	kill(pids[2], SIGSTOP);
	worker_kill(pids[3]);
	wait_until(stats[3].live == 0, QUIET_MS);
	assert_int_equal(live_sum(), 40);
	assert_int_equal(stats[3].migrated_out, 10);
	/* worker 2 hangs, so what it got waits there; its first 10 it had accepted */
	assert_in_range(stats[2].live, 13, 14);
	worker_kill(pids[2]);
	wait_until(live_sum() == 30, QUIET_MS);
	wait_until(counters_are_right(), QUIET_MS);
	expect_live(15, 15, 0, 0);
	for (int i = 0; i < 40; i++)
		tell(open_fds[i], CLOSE);
	wait_until(live_sum() == 0, QUIET_MS);
	close_all();
}

/*
 * 1. worker 0 closes its listener and serves its connections on
 * 2. its successor has the same number, and none of them in its counts: first in a slot of its own,
 *    then, with both slots of the worker still in use, in the place of the last but one
 * 3. an old process ends: its successor's counters stay right
 */
static void test_successor_starts_at_zero(void **state)
{
	pid_t pids[WORKERS], old[4];
	int slot;

	(void)state;
	workers_start(pids);
	attach("least-conn");
	open_many(40);
	wait_until(counters_are_right() && live_sum() == 40, QUIET_MS);
	for (int generation = 0; generation < 4; generation++) {
		old[generation] = pids[0];
		kill(pids[0], SIGUSR1);
		wait_until(listeners() == WORKERS - 1, QUIET_MS);
		pids[0] = worker_start();
		lbctl_ok("attach", "--name", "web", ":8080", NULL);
		show_read("web", &show);
		assert_int_equal(show.nr_workers, WORKERS);
		assert_int_equal(show.worker[0].pid, pids[0]);
		slot = slot_of_process(pids[0]);
		assert_int_equal(stats[slot].live, 0);
		open_many(10);
		wait_until(stats[slot].live > 4 && slot_is_right(slot), QUIET_MS);
	}
	for (int generation = 0; generation < 4; generation++) {
		worker_kill(old[generation]);
		live_sum();
		assert_true(slot_is_right(slot));
	}
	close_all();
	for (int i = 0; i < WORKERS; i++)
		worker_kill(pids[i]);
	wait_until(live_sum() == 0, QUIET_MS);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		obey_test(test_storm),
		obey_test(test_syn_cookies),
		obey_test(test_fast_open),
		obey_test(test_open_before_attach),
		obey_test(test_attach_amid_clients_of_this_host),
		obey_test(test_migrated_connections),
		obey_test(test_successor_starts_at_zero),
	};

	(void)argc;
	return obey_run(argv[0], tests);
}
