// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * hash: a client's address decides, who comes and goes moves few others, whoever can't take a
 * client moves nobody else.
 *
 * What the program did is held against the table in the map, walked here by the same arithmetic.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/kernel.h"
#include "harness/maps.h"
#include "harness/obey.h"
#include "harness/servers.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lb_hash.h"

#define ADDRESSES 240

static struct demo demos[WORKERS];
static struct clients clients;

static void start_service(void)
{
	demo_start_many(demos, WORKERS, ":8080");
	lbctl_ok("attach", "--name", "web", "--policy", "hash", ":8080", NULL);
}

/* Clients 127.1.0.1, 127.1.1.2, 127.1.2.3 ...: each in a network of its own. */
static uint32_t address_of(unsigned int client)
{
	return 0x7f010001 + client % ADDRESSES * 257;
}

static const char *text_of(uint32_t address)
{
	static char text[INET_ADDRSTRLEN];
	struct in_addr in = { htonl(address) };

	return inet_ntop(AF_INET, &in, text, sizeof(text));
}

/* The worker that answers this address. */
static int ask(const char *to, const char *from)
{
	clients_run(&clients, (struct client_plan){ .to = to, .from = from, .connections = 1 });
	return clients.worker[0];
}

static void ask_all(int worker[ADDRESSES])
{
	for (unsigned int i = 0; i < ADDRESSES; i++)
		worker[i] = ask(NULL, text_of(address_of(i)));
}

/* What the n-th draw for a client is by the table that is in force. */
static uint32_t table_slot(uint64_t hash, uint32_t n)
{
	struct lb_config config;
	uint32_t zero = 0, key;
	uint64_t slot;
	int fd = map_open("web", "lb_config");

	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &config), 0);
	close(fd);
	key = lb_schedule_key(config.word, lb_hash_draw(hash, n));
	fd = map_open("web", "lb_schedule");
	assert_int_equal(bpf_map_lookup_elem(fd, &key, &slot), 0);
	close(fd);
	return slot;
}

static unsigned int count_of(const int *worker, int which)
{
	unsigned int n = 0;

	for (int i = 0; i < ADDRESSES; i++)
		n += worker[i] == which;
	return n;
}

static unsigned int moved(const int *before, const int *after, int but)
{
	unsigned int n = 0;

	for (int i = 0; i < ADDRESSES; i++)
		n += before[i] != but && before[i] != after[i];
	return n;
}

/*
 * 1. every client gets the worker that the table says, the shares are counted, no cursor moves
 * 2. and the same one again
 * 3. and after a detach and an attach
 */
static void test_same_worker(void **state)
{
	int first[ADDRESSES], again[ADDRESSES];
	struct counters before;

	(void)state;
	start_service();
	counters_read("web", &before);
	ask_all(first);
	for (unsigned int i = 0; i < ADDRESSES; i++)
		assert_int_equal(first[i], table_slot(lb_hash_ipv4(address_of(i), 32), 0));
	for (int i = 0; i < WORKERS; i++)
		assert_in_range(count_of(first, i), 30, 90); /* of 60, give or take 4.5 sigma */
	counters_expect("web", &before,
			.selected = { count_of(first, 0), count_of(first, 1), count_of(first, 2),
				      count_of(first, 3) });
	ask_all(again);
	assert_int_equal(moved(first, again, -1), 0);
	lbctl_ok("detach", "web", NULL);
	lbctl_ok("attach", "--name", "web", "--policy", "hash", ":8080", NULL);
	ask_all(again);
	assert_int_equal(moved(first, again, -1), 0);
}

/*
 * 1. drained: its clients go to others, of the rest at most a tenth moves
 * 2. resumed: everybody is where they were
 */
static void test_drain_moves_few(void **state)
{
	int first[ADDRESSES], drained[ADDRESSES], again[ADDRESSES];

	(void)state;
	start_service();
	ask_all(first);
	lbctl_ok("drain", "web", "1", NULL);
	ask_all(drained);
	assert_int_equal(count_of(drained, 1), 0);
	assert_in_range(moved(first, drained, 1), 0, ADDRESSES / 10);
	lbctl_ok("resume", "web", "1", NULL);
	ask_all(again);
	assert_int_equal(moved(first, again, -1), 0);
}

/* The first worker but this one that the draws for a client name. */
static int heir(uint64_t hash, int dead)
{
	uint32_t n = 0;

	while (table_slot(hash, n) == (uint32_t)dead)
		n++;
	return table_slot(hash, n);
}

/*
 * A worker is dead and nobody has told lbctl: its clients go where their own draws say, and nobody
 * else moves.
 */
static void test_dead_worker_moves_its_own(void **state)
{
	int first[ADDRESSES], after[ADDRESSES];
	struct counters before;
	uint64_t draws = 0;

	(void)state;
	start_service();
	ask_all(first);
	demo_kill(&demos[2], SIGKILL);
	counters_read("web", &before);
	ask_all(after);
	for (unsigned int i = 0; i < ADDRESSES; i++) {
		uint64_t hash = lb_hash_ipv4(address_of(i), 32);

		assert_int_equal(after[i], heir(hash, 2));
		for (uint32_t n = 0; table_slot(hash, n) == 2; n++)
			draws++;
	}
	assert_int_equal(moved(first, after, 2), 0);
	counters_expect("web", &before, .redraws = draws, .skipped = { 0, 0, draws, 0 },
			.selected = { count_of(after, 0), count_of(after, 1), 0,
				      count_of(after, 3) });
}

static int ask_later(uint32_t address)
{
	const struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr = { htonl(address) } };
	const struct sockaddr_in to = { AF_INET, htons(PORT), { htonl(INADDR_LOOPBACK) }, { 0 } };
	const struct timeval patience = { .tv_sec = 10 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(send(fd, "GET / HTTP/1.0\r\n\r\n", 18, 0), 18);
	return fd;
}

/* The worker in the answer. */
static int hear(int fd)
{
	char answer[1024] = "", *worker;

	assert_true(recv(fd, answer, sizeof(answer) - 1, 0) > 0);
	worker = strstr(answer, "X-Worker: ");
	assert_non_null(worker);
	close(fd);
	return atoi(worker + strlen("X-Worker: "));
}

/*
 * The address comes from the connection: there is no packet when a listener closes. All clients of
 * worker 0 wait there; it dies; each is answered by the heir that its address names.
 */
static void test_migration_by_address(void **state)
{
	unsigned int by[WORKERS] = { 0 }, n = 0;
	int fds[ADDRESSES], who[ADDRESSES];
	struct counters before, after;

	(void)state;
	needs(migrate);
	demo_start(&demos[0], 0, "--listen", ":8080", "--no-accept", NULL);
	for (int i = 1; i < WORKERS; i++)
		demo_start(&demos[i], i, "--listen", ":8080", NULL);
	lbctl_ok("attach", "--name", "web", "--policy", "hash", ":8080", NULL);
	for (unsigned int i = 0; i < ADDRESSES; i++) {
		if (table_slot(lb_hash_ipv4(address_of(i), 32), 0))
			continue;
		fds[n] = ask_later(address_of(i));
		who[n++] = i;
	}
	assert_in_range(n, 30, 90);
	counters_read("web", &before);
	demo_kill(&demos[0], SIGKILL);
	for (unsigned int i = 0; i < n; i++) {
		int worker = hear(fds[i]);

		assert_int_equal(worker, heir(lb_hash_ipv4(address_of(who[i]), 32), 0));
		by[worker]++;
	}
	counters_read("web", &after);
	for (int i = 0; i < WORKERS; i++) {
		assert_true(i == 0 || by[i] > 0);
		assert_int_equal(after.migrated_in[i] - before.migrated_in[i], by[i]);
	}
	assert_int_equal(after.migrated_out[0] - before.migrated_out[0], n);
}

/* 1. /24: 20 clients of each network are one  2. /32 again: they are 20 */
static void test_prefix(void **state)
{
	unsigned int others = 0;

	(void)state;
	start_service();
	lbctl_ok("set", "web", "hash_prefix4=24", NULL);
	for (uint32_t network = 0x7f020000; network < 0x7f020300; network += 256) {
		uint32_t want = table_slot(lb_hash_ipv4(network, 24), 0);

		for (uint32_t i = 1; i <= 20; i++)
			assert_int_equal(ask(NULL, text_of(network + i)), want);
	}
	lbctl_ok("set", "web", "hash_prefix4=32", NULL);
	for (uint32_t i = 1; i <= 20; i++) {
		int worker = ask(NULL, text_of(0x7f020000 + i));

		assert_int_equal(worker, table_slot(lb_hash_ipv4(0x7f020000 + i, 32), 0));
		others += (uint32_t)worker != table_slot(lb_hash_ipv4(0x7f020000, 24), 0);
	}
	assert_in_range(others, 5, 20);
}

/*
 * 1. an IPv4 client of a listener for both families is an IPv4 client
 * 2. an IPv6 client goes by all its bits, or by the network
 */
static void test_ipv6(void **state)
{
	char from[INET6_ADDRSTRLEN];
	unsigned int others = 0;

	(void)state;
	kernel_set("net/ipv6/ip_nonlocal_bind", "1");
	command_ok("ip", "-6", "route", "add", "local", "fd00:1::/32", "dev", "lo", NULL);
	for (int i = 0; i < WORKERS; i++)
		demo_start(&demos[i], i, "--listen", "[::]:8080", "--dual", NULL);
	lbctl_ok("attach", "--name", "web", "--policy", "hash", "[::]:8080", NULL);
	for (unsigned int i = 0; i < 40; i++)
		assert_int_equal(ask("127.0.0.1", text_of(address_of(i))),
				 table_slot(lb_hash_ipv4(address_of(i), 32), 0));
	for (unsigned int i = 1; i <= 40; i++) {
		snprintf(from, sizeof(from), "fd00:1:2:3::%x", i);
		assert_int_equal(ask("::1", from),
				 table_slot(lb_hash_ipv6(0xfd00000100020003, i, 128), 0));
	}
	lbctl_ok("set", "web", "hash_prefix6=64", NULL);
	for (unsigned int i = 1; i <= 40; i++) {
		snprintf(from, sizeof(from), "fd00:1:2:%x::%x", i % 10, i);
		assert_int_equal(ask("::1", from),
				 table_slot(lb_hash_ipv6(0xfd00000100020000 + i % 10, 0, 64), 0));
		others += clients.worker[0] != 0;
	}
	assert_in_range(others, 1, 39);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		obey_test(test_same_worker),
		obey_test(test_drain_moves_few),
		obey_test(test_dead_worker_moves_its_own),
		obey_test(test_migration_by_address),
		obey_test(test_prefix),
		obey_test(test_ipv6),
	};

	(void)argc;
	return obey_run(argv[0], tests);
}
