// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* UDP: each datagram is a decision, flows stay where they are, what can't read is passed by. */
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/datagrams.h"
#include "harness/maps.h"
#include "harness/pins.h"
#include "harness/runs.h"
#include "harness/show.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLIENTS 64

static struct show show;

static const unsigned int even[] = { 25, 25, 25, 25 };

static void expect_even(int kind, bool v4, bool v6)
{
	const unsigned int each = 25 * (v4 + v6);
	struct counters before;

	udp_start(kind, "rr");
	counters_read("dns", &before);
	if (v4)
		udp_expect(100, false, even);
	if (v6)
		udp_expect(100, true, even);
	counters_expect("dns", &before, .cursor = 4 * each, .selected = { each, each, each, each });
	for (int i = 0; i < WORKERS; i++)
		udp_worker_end(i, SIGKILL);
	wait_until(udp_unconnected() == 0, 5000);
	lbctl_ok("detach", "dns", NULL);
}

/* IPv4, IPv6, one socket for both: exact to the datagram. */
static void test_rr(void **state)
{
	(void)state;
	expect_even(ONLY4, true, false);
	expect_even(ONLY6, false, true);
	expect_even(DUAL, true, true);
}

/*
 * 1. a weight of 3, a drained worker
 * 2. detach leaves no pin and a server that answers
 */
static void test_weights_and_drain(void **state)
{
	static const unsigned int heavy[] = { 60, 20, 20, 20 }, drained[] = { 60, 0, 20, 20 };
	struct counters before;

	(void)state;
	udp_start(ONLY4, "rr");
	lbctl_ok("set-weight", "dns", "0", "3", NULL);
	counters_read("dns", &before);
	udp_expect(120, false, heavy);
	counters_expect("dns", &before, .cursor = 120, .selected = { 60, 20, 20, 20 });
	lbctl_ok("drain", "dns", "1", "--wait", "5", NULL);
	counters_read("dns", &before);
	udp_expect(100, false, drained);
	counters_expect("dns", &before, .cursor = 100, .selected = { 60, 0, 20, 20 });
	lbctl_ok("detach", "dns", NULL);
	assert_true(pins_are_gone());
	for (int i = 0; i < 20; i++)
		assert_in_range(udp_ask(false), 0, WORKERS - 1);
}

/* Clients 127.1.0.1 and on, three datagrams each from ports of their own. */
static unsigned int ask_clients(int worker[CLIENTS])
{
	unsigned int split = 0;

	for (int i = 0; i < CLIENTS; i++) {
		for (int again = 0; again < 3; again++) {
			int fd = udp_client(0x7f010001 + i * 257, 0), number = udp_ask_on(fd);

			split += again && number != worker[i];
			worker[i] = number;
			close(fd);
		}
	}
	return split;
}

static void test_hash(void **state)
{
	unsigned int count[WORKERS] = { 0 }, moved = 0;
	int first[CLIENTS], then[CLIENTS];
	struct counters before;

	(void)state;
	udp_start(ONLY4, "hash");
	counters_read("dns", &before);
	assert_int_equal(ask_clients(first), 0);
	for (int i = 0; i < CLIENTS; i++)
		count[first[i]] += 3;
	counters_expect("dns", &before, .selected = { count[0], count[1], count[2], count[3] });
	lbctl_ok("drain", "dns", "1", NULL);
	assert_int_equal(ask_clients(then), 0);
	for (int i = 0; i < CLIENTS; i++) {
		assert_int_not_equal(then[i], 1);
		moved += first[i] != 1 && first[i] != then[i];
	}
	assert_in_range(moved, 0, CLIENTS / 10);
}

static int flow_fds[8], flow_worker[8];

/* Asks on all flows; how many are where they were. */
static unsigned int ask_flows(void)
{
	unsigned int stayed = 0;

	for (int i = 0; i < 8; i++) {
		int number = udp_ask_on(flow_fds[i]);

		stayed += number == flow_worker[i];
		flow_worker[i] = number;
	}
	return stayed;
}

/*
 * 1. eight flows: one turn each, and there they stay
 * 2. one worker is drained, one dies: their flows, and no others, are picked again, and stay
 * 3. silent for flow_ms: picked again
 */
static void test_flows(void **state)
{
	struct counters before, after;

	(void)state;
	udp_start(ONLY4, "rr");
	lbctl_ok("set", "dns", "flow_ms=600000", NULL);
	for (int i = 0; i < 8; i++)
		flow_fds[i] = udp_client(INADDR_LOOPBACK, 0);
	counters_read("dns", &before);
	ask_flows();
	for (int i = 0; i < 4; i++)
		assert_int_equal(ask_flows(), 8);
	counters_expect("dns", &before, .cursor = 8, .kept = 32, .selected = { 10, 10, 10, 10 });

	lbctl_ok("drain", "dns", "1", NULL);
	counters_read("dns", &before);
	assert_int_equal(ask_flows(), 6);
	assert_int_equal(ask_flows(), 8);
	counters_read("dns", &after);
	assert_int_equal(after.kept - before.kept, 14);
	lbctl_ok("resume", "dns", "1", NULL);
	udp_worker_end(2, SIGKILL);
	assert_in_range(ask_flows(), 8 - 4, 8 - 2);
	assert_int_equal(ask_flows(), 8);

	lbctl_ok("set", "dns", "flow_ms=1", NULL);
	counters_read("dns", &before);
	harness_nap();
	ask_flows();
	counters_read("dns", &after);
	assert_int_equal(after.kept, before.kept);
	assert_int_equal(counters_selected(&after) - counters_selected(&before), 8);
	for (int i = 0; i < 8; i++)
		close(flow_fds[i]);
}

/* More flows than the table holds: some are picked again, and every datagram is answered. */
static void test_more_flows_than_room(void **state)
{
	struct counters before, after;
	static int fds[400];

	(void)state;
	for (int i = 0; i < WORKERS; i++)
		udp_worker_start(i, ONLY4);
	lbctl_ok("attach", "--name", "dns", "--flows", "16", "udp/:8080", NULL);
	lbctl_ok("set", "dns", "flow_ms=600000", NULL);
	counters_read("dns", &before);
	for (int i = 0; i < 400; i++)
		fds[i] = udp_client(INADDR_LOOPBACK, 0);
	for (int i = 0; i < 800; i++)
		udp_ask_on(fds[i % 400]);
	counters_read("dns", &after);
	assert_int_equal(counters_selected(&after) - counters_selected(&before), 800);
	assert_int_equal(after.cursor - before.cursor + after.kept - before.kept, 800);
	assert_in_range(after.kept - before.kept, 0, 100);
	for (int i = 0; i < 400; i++)
		close(fds[i]);
}

/*
 * A connected socket in the group gets its peer's datagrams; everyone else's are steered exactly.
 */
static void test_connected_socket(void **state)
{
	struct sockaddr_in peer = { 0 };
	socklen_t len = sizeof(peer);
	struct counters before;
	int mine, client;
	char byte;

	(void)state;
	for (int i = 0; i < WORKERS; i++)
		udp_worker_start(i, ONLY4);
	mine = udp_bound(AF_INET, SOCK_DGRAM, false);
	client = udp_client(INADDR_LOOPBACK, 0);
	assert_return_code(getsockname(client, (void *)&peer, &len), errno);
	assert_return_code(connect(mine, (void *)&peer, sizeof(peer)), errno);
	lbctl_ok("attach", "--name", "dns", "udp/:8080", NULL);
	show_read("dns", &show);
	assert_int_equal(show.nr_workers, WORKERS);
	assert_int_equal(show.unregistered, 0);
	for (int i = 0; i < 10; i++) {
		struct pollfd ready = { mine, POLLIN, 0 };

		udp_say(client, false, 1);
		assert_int_equal(poll(&ready, 1, scaled_ms(ANSWER_MS)), 1);
		assert_int_equal(recv(mine, &byte, 1, 0), 1);
	}
	counters_read("dns", &before);
	udp_expect(100, false, even);
	counters_expect("dns", &before, .cursor = 100, .selected = { 25, 25, 25, 25 });
	close(client);
	close(mine);
}

static void nobody_reads(int number)
{
	int fd = udp_client(INADDR_LOOPBACK, 0);

	kill(udp_pids[number], SIGSTOP);
	for (int i = 0; i < 120; i++)
		udp_say(fd, false, 500);
	close(fd);
}

static bool others_have_read(int number)
{
	show_read("dns", &show);
	for (int i = 0; i < WORKERS; i++) {
		if (i != number && show.worker[i].queued)
			return false;
	}
	return show.worker[number].queued != 0;
}

static bool has_read(int number)
{
	show_read("dns", &show);
	return !show.worker[number].queued;
}

/* A buffer without room is passed by, to the datagram; read again, it takes its share. */
static void test_full_buffer(void **state)
{
	static const unsigned int three[] = { 30, 30, 30, 0 }, again[] = { 10, 10, 10, 10 };
	struct counters before;

	(void)state;
	udp_start(ONLY4 | SHORT, "rr");
	nobody_reads(3);
	wait_until(others_have_read(3), 5000);
	/* what is shorter than that has room a little longer */
	for (int i = 0; i < 4 * WORKERS; i++)
		udp_ask(false);
	while (udp_ask(false) != 2)
		;
	counters_read("dns", &before);
	udp_expect(90, false, three);
	counters_expect("dns", &before, .cursor = 120, .redraws = 30, .selected = { 30, 30, 30 },
			.skipped = { 0, 0, 0, 30 });
	kill(udp_pids[3], SIGCONT);
	wait_until(has_read(3), 5000);
	lbctl_ok("drain", "dns", "3", "--wait", "5", NULL);
	lbctl_ok("resume", "dns", "3", NULL);
	udp_expect(40, false, again);
}

static bool is_skipped(int number)
{
	int fd = udp_client(INADDR_LOOPBACK, 0);
	struct counters counters;

	udp_say(fd, false, 1);
	close(fd);
	counters_read("dns", &counters);
	return counters.skipped[number];
}

/*
 * A worker that hangs is told and passed by after stall_ms, without a keeper; then it takes part.
 */
static void test_hung_worker(void **state)
{
	(void)state;
	stalls_count = true;
	udp_start(ONLY4, "rr");
	lbctl_ok("set", "dns", "stall_ms=300", NULL);
	kill(udp_pids[1], SIGSTOP);
	wait_until(is_skipped(1), 10000);
	show_read("dns", &show);
	assert_string_equal(show.worker[1].state, "stalled");
	for (int i = 0; i < 60; i++)
		assert_true(udp_ask(false) >= 0);
	kill(udp_pids[1], SIGCONT);
	wait_until(udp_ask(false) == 1, 10000);
	stalls_count = false;
}

/* Lengths and source ports that look like an IP header's. */
static void test_odd_datagrams(void **state)
{
	static const size_t bytes[] = { PORT - 8, PORT - 8 + 40, PORT - 8 + 20, 0, 1, 9000 };
	static const uint16_t ports[] = { 0x4500, 20000, 0x4fff, 0x6000, 0x6f00 };
	const unsigned int n = ARRAY_SIZE(bytes) * ARRAY_SIZE(ports);
	struct counters before, after;

	(void)state;
	udp_start(ONLY4, "rr");
	counters_read("dns", &before);
	for (unsigned int i = 0; i < n; i++) {
		int fd = udp_client(INADDR_LOOPBACK, ports[i / ARRAY_SIZE(bytes)]);

		udp_say(fd, false, bytes[i % ARRAY_SIZE(bytes)]);
		assert_int_equal(udp_hear(fd), i % WORKERS);
		close(fd);
	}
	counters_read("dns", &after);
	assert_int_equal(after.not_header, before.not_header);
	assert_int_equal(after.cursor - before.cursor, n);
}

/* TCP and UDP in one service share one turn. */
static void test_with_tcp(void **state)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
					.sin_port = htons(PORT),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct counters before;
	int fds[20];

	(void)state;
	for (int i = 0; i < WORKERS; i++)
		udp_worker_start(i, ONLY4 | AND_TCP);
	lbctl_ok("attach", "--policy", "rr", "--name", "dns", ":8080", "udp/:8080", NULL);
	show_read("dns", &show);
	assert_int_equal(show.nr_workers, WORKERS);
	assert_int_equal(show.nr_listeners, 2);
	counters_read("dns", &before);
	for (int i = 0; i < 20; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_return_code(connect(fds[i], (void *)&to, sizeof(to)), errno);
		assert_int_equal(udp_ask(false), (2 * i + 1) % WORKERS);
	}
	counters_expect("dns", &before, .cursor = 40, .selected = { 10, 10, 10, 10 });
	for (int i = 0; i < 20; i++)
		close(fds[i]);
}

/* What is of connections alone can't be set: it would do nothing. */
static void test_settings_of_connections(void **state)
{
	(void)state;
	udp_start(ONLY4, "rr");
	lbctl_expect(1, "hold_ms has connections wait", "set", "dns", "hold_ms=100", NULL);
	lbctl_expect(1, "limit counts connections", "set", "dns", "limit=5", NULL);
	lbctl_ok("set", "dns", "hold_ms=auto", "limit=0", NULL);
}

/* Every worker is drained, ended and started anew under a stream: nothing is lost. */
static void test_restart_under_a_stream(void **state)
{
	unsigned int *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				   -1, 0); /* asked, lost */
	static const char *const numbers[] = { "0", "1", "2", "3" };
	pid_t stream;

	(void)state;
	udp_start(ONLY4, "rr");
	stream = fork();
	while (!stream) {
		count[1] += udp_ask(false) < 0;
		count[0]++;
	}
	for (int i = 0; i < WORKERS; i++) {
		unsigned int seen = count[0];

		lbctl_ok("drain", "dns", numbers[i], "--wait", "5", NULL);
		udp_worker_end(i, SIGTERM);
		udp_worker_start(i, ONLY4);
		lbctl_ok("attach", "udp/:8080", NULL);
		wait_until(count[0] > seen + 20, 10000);
	}
	kill(stream, SIGKILL);
	waitpid(stream, NULL, 0);
	show_read("dns", &show);
	print_message("%u datagrams, %u not answered\n", count[0], count[1]);
	assert_int_equal(count[1], 0);
	assert_int_equal(show.nr_workers, WORKERS);
	assert_int_equal(show.fallback, 0);
	munmap(count, 4096);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_rr),
		harness_test(test_weights_and_drain),
		harness_test(test_hash),
		harness_test(test_flows),
		harness_test(test_more_flows_than_room),
		harness_test(test_connected_socket),
		harness_test(test_full_buffer),
		harness_test(test_hung_worker),
		harness_test(test_odd_datagrams),
		harness_test(test_with_tcp),
		harness_test(test_settings_of_connections),
		harness_test(test_restart_under_a_stream),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
