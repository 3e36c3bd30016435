// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a keeper refuses of those that join: the wrong socket, the wrong words, garbage; and what
 * it does where it can let nobody in.
 * LB_TEST_FUZZ_ROUNDS (environment) is how many random messages are sent.
 */
#include "harness/clients.h"
#include "harness/counters.h"
#include "harness/joins.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FUZZ_ROUNDS 1500

static struct demo demos[2];
static struct run run;
static struct show show;
static struct clients clients;
static struct counters before;

static size_t descriptors(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	return count_entries(path, false);
}

/* How many the keeper holds between two things that it does, once it has done everything once. */
static size_t keeper_descriptors(void)
{
	int fd = joins_listen("0.0.0.0", 8080, NULL);
	size_t least = SIZE_MAX, n;

	lbctl_worker_close(joins_take(fd));
	close(fd);
	for (int i = 0; i < 20; i++) {
		n = descriptors(run.pid);
		least = n < least ? n : least;
		harness_nap();
	}
	return least;
}

static int tcp_socket(int protocol, bool reuseport, uint16_t port, bool listens)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, protocol), one = 1;

	if (fd < 0)
		return -1;
	if (reuseport)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	if (listens)
		assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static int connected_socket(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(8080) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void test_wrong_sockets(void **state)
{
	static struct show after;
	size_t had;

	(void)state;
	joins_watch(&run, &demos[0], "rr");
	had = keeper_descriptors();
	show_read("web", &show);
	counters_read("web", &before);
	{
		const struct {
			const char *name;
			int fd;
			const char *words;
		} rows[] = {
			{ "UDP", socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "not a TCP" },
			{ "unix", socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "family" },
			{ "file", open("/dev/null", O_RDONLY | O_CLOEXEC), "not a socket" },
			{ "MPTCP", tcp_socket(262, true, 8083, true), "MPTCP" },
			{ "not listening", tcp_socket(0, true, 8080, false), "does not listen" },
			{ "other port", tcp_socket(0, true, 8081, true), "0.0.0.0:8081" },
			{ "no reuseport", tcp_socket(0, false, 8082, true), "SO_REUSEPORT" },
			{ "one address", joins_listen("127.0.0.1", 8080, NULL), "127.0.0.1:8080" },
			{ "other netns", joins_listen_elsewhere(), "another network namespace" },
		};

		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			if (rows[i].fd < 0 && !strcmp(rows[i].name, "MPTCP"))
				continue; /* this kernel has none */
			joins_refuse(rows[i].name, rows[i].fd, EINVAL, rows[i].words);
			/* what the library does not send, the keeper refuses too */
			assert_int_equal(joins_ask("{\"verb\":\"join\"}", &rows[i].fd, 1), 2);
			close(rows[i].fd);
		}
	}
	wait_until(descriptors(run.pid) <= had, RUN_MS);
	show_read("web", &after);
	assert_int_equal(after.nr_workers, show.nr_workers);
	assert_int_equal(after.unregistered, 0);
	counters_expect("web", &before, .cursor = 0);
	clients_run(&clients, (struct client_plan){ .connections = 10 });
	clients_expect(&clients, 1, (const unsigned int[]){ 10 });
	joins_end_watch(&run);
}

/* As the next, with a connection in its queue: that a connected socket can be told from it. */
static void test_connected_socket(void **state)
{
	int fd;

	(void)state;
	joins_watch(&run, &demos[0], "rr");
	fd = connected_socket();
	joins_refuse("connected", fd, EINVAL, "does not listen");
	close(fd);
	joins_end_watch(&run);
}

static void test_wrong_messages(void **state)
{
	static const struct {
		const char *packet;
		size_t fds;
		int status;
	} rows[] = {
		{ "{\"verb\":\"join\"}", 0, 2 },
		{ "{\"verb\":\"join\"}", 2, 2 },
		{ "{\"verb\":\"join\"}", 8, 2 },
		{ "{\"verb\":\"join\"", 1, 2 },
		{ "{\"verb\":\"join\",\"worker\":-1}", 1, 2 },
		{ "{\"verb\":\"join\",\"worker\":1024}", 1, 2 },
		{ "{\"verb\":\"join\",\"worker\":4294967296}", 1, 2 },
		{ "{\"verb\":\"join\",\"worker\":\"1\"}", 1, 2 },
		{ "{\"verb\":\"join\",\"worker\":null}", 1, 2 },
		{ "{\"verb\":\"hello\"}", 1, 0 },
		{ "{\"verb\":\"events\"}", 1, 0 },
		{ "{\"verb\":\"scale\",\"workers\":1}", 1, 1 },
		{ "", 1, -1 },
		{ "x", 1, 2 },
		{ "{\"verb\":\"join\"}", 1, 0 },
	};
	int fds[8];
	size_t had;

	(void)state;
	joins_watch(&run, &demos[0], "rr");
	fds[0] = joins_listen("0.0.0.0", 8080, NULL);
	for (size_t i = 1; i < ARRAY_SIZE(fds); i++)
		fds[i] = fds[0];
	had = keeper_descriptors();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int got = joins_ask(rows[i].packet, fds, rows[i].fds);

		if (got != rows[i].status)
			fail_msg("%s with %zu: status %d, want %d", rows[i].packet, rows[i].fds,
				 got, rows[i].status);
	}
	wait_until(descriptors(run.pid) <= had, RUN_MS);
	close(fds[0]);
	wait_until(joins_listening() == 1, RUN_MS);
	joins_end_watch(&run);
}

/* Bytes and descriptors at random, of which some are right, from clients that may not read. */
static void test_random_messages(void **state)
{
	static const char *const seeds[] = {
		"{\"verb\":\"join\",\"worker\":3}",
		"{\"verb\":\"join\"}",
		"{\"verb\":\"hello\"}",
		"{\"verb\":\"events\"}",
		"{\"verb\":\"send\",\"worker\":1,\"message\":{}}",
		"[[[[[[[[[[\"",
	};
	int rounds = load_asked("LB_TEST_FUZZ_ROUNDS", FUZZ_ROUNDS);
	int pool[6], fds[8], talk[8];
	unsigned int seed = 71;
	char bytes[128];
	size_t had;

	(void)state;
	joins_watch(&run, &demos[0], "rr");
	had = keeper_descriptors();
	pool[0] = joins_listen("0.0.0.0", 8080, NULL);
	pool[1] = joins_listen("0.0.0.0", 8081, NULL);
	pool[2] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	pool[3] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pool[4] = connected_socket();
	pool[5] = joins_connect(); /* a connection of its own, sent through itself */
	for (size_t i = 0; i < ARRAY_SIZE(talk); i++)
		talk[i] = joins_connect();
	for (int round = 0; round < rounds; round++) {
		size_t which = rand_r(&seed) % ARRAY_SIZE(talk), len, n = rand_r(&seed) % 9;

		snprintf(bytes, sizeof(bytes), "%s", seeds[rand_r(&seed) % ARRAY_SIZE(seeds)]);
		len = strlen(bytes);
		if (rand_r(&seed) % 4 == 0)
			len = rand_r(&seed) % (len + 1);
		for (int change = rand_r(&seed) % 4; change > 1 && len; change--)
			bytes[rand_r(&seed) % len] = rand_r(&seed);
		for (size_t i = 0; i < n; i++)
			fds[i] = pool[rand_r(&seed) % ARRAY_SIZE(pool)];
		joins_send(talk[which], bytes, len, fds, n > 2 && rand_r(&seed) % 2 ? 1 : n);
		if (rand_r(&seed) % 16 == 0) {
			close(talk[which]);
			talk[which] = joins_connect();
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(talk); i++)
		close(talk[i]);
	for (size_t i = 0; i < ARRAY_SIZE(pool); i++)
		close(pool[i]);
	/* nothing is held: all its sockets are gone, and its descriptors as many as before */
	wait_until(joins_listening() == 1, RUN_MS);
	wait_until(descriptors(run.pid) <= had, RUN_MS);
	joins_demo(&demos[1], 1);
	clients_run(&clients, (struct client_plan){ .connections = 20 });
	clients_expect(&clients, 2, (const unsigned int[]){ 10, 10 });
	joins_end_watch(&run);
}

static uint64_t cpu_ns(pid_t pid)
{
	struct timespec used;
	clockid_t clock;

	assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
	assert_int_equal(clock_gettime(clock, &used), 0);
	return used.tv_sec * 1000000000ULL + used.tv_nsec;
}

/*
 * 1. the keeper has no descriptor for who connects: it does not spin meanwhile
 * 2. it has one again: who waited is answered
 */
static void test_no_descriptors(void **state)
{
	static const char hello[] = "{\"verb\":\"hello\"}";
	struct rlimit none = { 0 }, had;
	uint64_t begin, cpu;
	char answer[256];
	int fd;

	(void)state;
	joins_watch(&run, &demos[0], "rr");
	assert_int_equal(prlimit(run.pid, RLIMIT_NOFILE, NULL, &had), 0);
	none.rlim_max = had.rlim_max;
	assert_int_equal(prlimit(run.pid, RLIMIT_NOFILE, &none, NULL), 0);
	fd = joins_connect();
	joins_send(fd, hello, strlen(hello), NULL, 0);
	begin = now_ns();
	cpu = cpu_ns(run.pid);
	wait_until(now_ns() - begin > 1000000000, RUN_MS);
	assert_true(cpu_ns(run.pid) - cpu < (now_ns() - begin) / 10);
	assert_int_equal(recv(fd, answer, sizeof(answer), MSG_DONTWAIT), -1);
	assert_int_equal(prlimit(run.pid, RLIMIT_NOFILE, &had, NULL), 0);
	assert_true(recv(fd, answer, sizeof(answer), 0) > 0);
	close(fd);
	joins_end_watch(&run);
}

#define join_test(function) cmocka_unit_test_setup_teardown(function, joins_begin, joins_end)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		join_test(test_wrong_sockets),	join_test(test_connected_socket),
		join_test(test_wrong_messages), join_test(test_random_messages),
		join_test(test_no_descriptors),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
