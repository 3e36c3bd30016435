// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Two lbctl of one ABI version take turns on a service under load: ours, and one that has appended
 * a field to the values of all maps (build/tests/appended/lbctl). Whoever made the service, the
 * other has values of another length before it.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/load.h"
#include "harness/maps.h"
#include "harness/pins.h"
#include "harness/processes.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORKERS 4
#define OPEN 8 /* connections from before the attach */
#define APPENDED_BYTES 64

static char ours[256], longer[256];
static struct demo demos[WORKERS];
static struct clients clients;

static int set_up(void **state)
{
	(void)state;
	snprintf(ours, sizeof(ours), "%s", harness_build_path("lbctl"));
	snprintf(longer, sizeof(longer), "%s", harness_build_path("tests/appended/lbctl"));
	for (int i = 0; i < WORKERS; i++)
		demo_start(&demos[i], i, "--listen", ":8080", "--listen", "[::]:8080", NULL);
	return 0;
}

static uint32_t value_bytes(const char *map)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd = map_open("web", map);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	close(fd);
	return info.value_size;
}

/* What one of the two says of the service. */
struct said {
	long long decisions, fallback, rescued, selected, opened, live;
};

static json_t *ask(const char *lbctl)
{
	const char *const argv[] = { lbctl, "show", "web", "--json", NULL };
	_cleanup_output_ struct output output;
	json_t *json;

	command_run(&output, argv, COMMAND_MS);
	assert_int_equal(output.status, 0);
	json = json_loads(output.out, 0, NULL);
	assert_non_null(json);
	return json;
}

static struct said said_by(const char *lbctl)
{
	json_t *json = ask(lbctl), *totals = json_object_get(json, "totals"), *worker;
	struct said said = {
		.decisions = json_integer_value(json_object_get(totals, "decisions")),
		.fallback = json_integer_value(json_object_get(totals, "fallback")),
		.rescued = json_integer_value(json_object_get(totals, "rescued")),
	};
	size_t i;

	assert_int_equal(json_array_size(json_object_get(json, "workers")), WORKERS);
	json_array_foreach(json_object_get(json, "workers"), i, worker) {
		assert_int_equal(json_integer_value(json_object_get(worker, "pid")), demos[i].pid);
		assert_int_equal(json_integer_value(json_object_get(worker, "weight")), 1);
		said.selected += json_integer_value(json_object_get(worker, "selected"));
		said.opened += json_integer_value(json_object_get(worker, "opened"));
		said.live += json_integer_value(json_object_get(worker, "live"));
	}
	json_decref(json);
	return said;
}

/* Both say the same, once nothing is open but these. */
static struct said agreed(long long live)
{
	struct said one, two;

	wait_until(said_by(ours).live == live, 5000);
	one = said_by(ours);
	two = said_by(longer);
	assert_memory_equal(&one, &two, sizeof(one));
	return one;
}

/* Everything that one can do to a service, with no worker less than before at the end. */
static void use(const char *lbctl)
{
	command_ok(lbctl, "attach", "--name", "web", ":8080", NULL);
	command_ok(lbctl, "list", NULL);
	command_ok(lbctl, "stats", "web", "--prometheus", NULL);
	command_ok(lbctl, "set-policy", "web", "hash", NULL);
	if (probe_features()->track)
		command_ok(lbctl, "set-policy", "web", "least-latency", NULL);
	command_ok(lbctl, "set", "web", "stale_ms=500", "limit=1000", NULL);
	command_ok(lbctl, "set-weight", "web", "0", "3", NULL);
	command_ok(lbctl, "drain", "web", "3", NULL);
	command_ok(lbctl, "resume", "web", "3", NULL);
	command_ok(lbctl, "set-weight", "web", "0", "1", NULL);
	command_ok(lbctl, "set", "web", "limit=0", NULL);
	command_ok(lbctl, "set-policy", "web", "rr", NULL);
	said_by(lbctl);
}

static long long queued_at(const char *lbctl, size_t worker)
{
	json_t *json = ask(lbctl);
	json_t *row = json_array_get(json_object_get(json, "workers"), worker);
	long long queued = json_integer_value(json_object_get(row, "queued"));

	json_decref(json);
	return queued;
}

/* What waits at a worker that hangs is moved; the load goes on. */
static void rescue_with(const char *lbctl)
{
	if (!probe_features()->migrate)
		return;
	kill(demos[1].pid, SIGSTOP);
	wait_until(queued_at(lbctl, 1) > 0, 5000);
	command_ok(lbctl, "rescue", "web", "1", NULL);
	kill(demos[1].pid, SIGCONT);
	holds_end("web");
}

/* The queue of each slot's socket is known. */
static void expect_queues(unsigned int listener)
{
	char queues[32], sockets[32];
	uint32_t bytes;
	char *at;
	int fd;

	snprintf(queues, sizeof(queues), "listener%u/lb_queues", listener);
	snprintf(sockets, sizeof(sockets), "listener%u/lb_sockets", listener);
	bytes = value_bytes(queues);
	at = map_mmap("web", queues, WORKERS * bytes);
	fd = map_open("web", sockets);
	for (uint32_t slot = 0; slot < WORKERS; slot++) {
		const struct lb_queue *queue = (const struct lb_queue *)(at + slot * bytes);
		uint64_t cookie = 0;

		assert_int_equal(bpf_map_lookup_elem(fd, &slot, &cookie), 0);
		assert_int_equal(queue->cookie, cookie);
		assert_true(queue->sock != 0);
	}
	close(fd);
	munmap(at, WORKERS * bytes);
}

/* A worker that ends is replaced by the next process of its number, in the same slot. */
static void replace_worker(const char *lbctl, int worker)
{
	char number[12];

	if (!probe_features()->migrate)
		return;
	snprintf(number, sizeof(number), "%d", worker);
	command_ok(lbctl, "drain", "web", number, NULL);
	demo_kill(&demos[worker], SIGTERM);
	demo_start(&demos[worker], worker, "--listen", ":8080", "--listen", "[::]:8080", NULL);
	command_ok(lbctl, "attach", "--name", "web", ":8080", NULL);
	command_ok(lbctl, "resume", "web", number, NULL);
	/* whoever comes next would mend it */
	expect_queues(0);
	expect_queues(1);
}

/* Connections that are open before anybody counts, of each family. */
static void open_before(int *fds)
{
	for (size_t i = 0; i < OPEN; i++) {
		struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(8080) };
		struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = htons(8080) };

		to.sin6_addr = in6addr_loopback;
		to4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		fds[i] = socket(i % 2 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fds[i],
					 i % 2 ? (struct sockaddr *)&to : (struct sockaddr *)&to4,
					 i % 2 ? sizeof(to) : sizeof(to4)),
				 0);
	}
}

/* How many of them their worker has not ended. */
static int still_open(const int *fds)
{
	int open = 0;
	char byte;

	for (size_t i = 0; i < OPEN; i++)
		open += recv(fds[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
	return open;
}

/* The sum of what only the longer lbctl's programs count, where the maps have it. */
static uint64_t appended_sum(void)
{
	uint32_t bytes = value_bytes("lb_stats");
	char *at = map_mmap("web", "lb_stats", WORKERS * bytes);
	uint64_t sum = 0;

	for (size_t slot = 0; slot < WORKERS; slot++)
		sum += *(uint64_t *)(at + slot * bytes + sizeof(struct lb_stats));
	munmap(at, WORKERS * bytes);
	return sum;
}

/* The count of a slot is wrong, as if events had been missed. */
static void falsify_live(uint32_t slot)
{
	uint32_t bytes = value_bytes("lb_stats");
	char *at = map_mmap("web", "lb_stats", WORKERS * bytes);

	__atomic_fetch_add(&((struct lb_stats *)(at + slot * bytes))->live, 3, __ATOMIC_SEQ_CST);
	munmap(at, WORKERS * bytes);
}

/* n connections of each family go to the workers in turn, and are counted by both. */
static void expect_exact_turns(long long live, unsigned int n)
{
	struct said before = agreed(live), after;
	struct clients six;

	clients_run(&clients, (struct client_plan){ .connections = n });
	clients_run(&six, (struct client_plan){ .to = "::1", .connections = n });
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(clients_of(&clients, i) + clients_of(&six, i), 2 * n / WORKERS);
	after = agreed(live);
	assert_int_equal(after.decisions - before.decisions, 2 * n);
	assert_int_equal(after.selected - before.selected, 2 * n);
	assert_int_equal(after.fallback, 0);
	if (probe_features()->track)
		assert_int_equal(after.opened - before.opened, 2 * n);
}

/*
 * 1. `maker` makes the service, on IPv4; clients come and go from here on
 * 2. `other` brings it up to date, with a listener and a program of its own on the maker's maps;
 *    then each uses all of it in turn, and moves the queue of a worker that hangs; `other` takes
 *    the next process of a worker in
 * 3. no request failed; connections from before are counted once, and a wrong count is corrected;
 *    turns are exact; both say the same
 * 4. `other` detaches it
 */
static void take_turns(const char *maker, const char *other)
{
	uint32_t more = maker == longer ? APPENDED_BYTES : 0;
	int open_fds[OPEN], live;
	uint64_t appended;
	struct wrk wrk;
	struct job load;

	open_before(open_fds);
	command_ok(maker, "attach", "--name", "web", "--policy", "rr", "0.0.0.0:8080", NULL);
	stalls_forgive();
	assert_int_equal(value_bytes("lb_stats"), sizeof(struct lb_stats) + more);
	assert_int_equal(value_bytes("lb_config"), sizeof(struct lb_config) + more);
	assert_int_equal(value_bytes("lb_migrated"), sizeof(struct lb_conn) + more);
	wrk_start(&load, "http://127.0.0.1:8080/", "8", WRK_UNTIL_STOPPED);
	use(other);
	assert_int_equal(value_bytes("listener1/lb_stalls"),
			 sizeof(struct lb_stall) + APPENDED_BYTES - more);
	replace_worker(other, 2);
	use(maker);
	rescue_with(other);
	use(other);
	rescue_with(maker);
	command_ok(maker, "set-policy", "web", "rr", NULL);
	wrk_stop(&load);
	wrk_wait(&load, &wrk);
	wrk_expect_no_failure(&wrk);
	if (probe_features()->track)
		falsify_live(2);
	command_ok(other, "attach", "--name", "web", ":8080", NULL);
	live = probe_features()->late_count ? still_open(open_fds) : 0;
	if (probe_features()->migrate)
		assert_int_equal(said_by(other).rescued, 2);
	appended = more ? appended_sum() : 0;
	expect_exact_turns(live, 40);
	/* the program of IPv4 is the maker's, that of IPv6 is not */
	if (more)
		assert_int_equal(appended_sum() - appended, 40);
	for (size_t i = 0; i < OPEN; i++)
		close(open_fds[i]);
	agreed(0);
	command_ok(other, "detach", "web", NULL);
	assert_true(pins_are_gone());
}

static void test_upgrade(void **state)
{
	(void)state;
	take_turns(ours, longer);
}

static void test_downgrade(void **state)
{
	(void)state;
	take_turns(longer, ours);
}

#define upgrade_test(function) cmocka_unit_test_setup_teardown(function, set_up, harness_reset)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		upgrade_test(test_upgrade),
		upgrade_test(test_downgrade),
	};

	(void)argc;
	return harness_run(argv[0], tests);
}
