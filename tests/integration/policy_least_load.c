// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * least-load: who reports the least gets the connection, plus what was sent since; what is too
 * old is not believed. Reports are stores into a mapped page, by anybody in the service's group.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/maps.h"
#include "harness/servers.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lbctl.h"

#define WORKERS 4
#define HOUR_NS 3600000000000ULL
#define REPORTER_FD 30

static struct demo demos[WORKERS];
static struct clients clients;
static struct lb_load *page;

/* With reports that stay fresh for as long as a test takes. */
static void start_service(const char *stale)
{
	demo_start_many(demos, WORKERS, ":8080");
	lbctl_ok("attach", "--name", "web", "--policy", "least-load", ":8080", NULL);
	lbctl_ok("set", "web", stale, NULL);
	page = map_mmap("web", "lb_load", WORKERS * sizeof(*page));
}

static void end_service(void)
{
	munmap(page, WORKERS * sizeof(*page));
}

static void report(int slot, uint64_t load, uint64_t time_ns)
{
	page[slot].load = load;
	__atomic_store_n(&page[slot].reported_ns, time_ns, __ATOMIC_RELEASE);
}

static void report_now(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	const uint64_t loads[WORKERS] = { a, b, c, d };

	for (int i = 0; i < WORKERS; i++)
		report(i, loads[i], now_ns());
}

static void expect_answers(unsigned int connections, unsigned int a, unsigned int b, unsigned int c,
			   unsigned int d)
{
	clients_run(&clients, (struct client_plan){ .connections = connections });
	clients_expect(&clients, WORKERS, (const unsigned int[]){ a, b, c, d });
}

/*
 * 1. reports 10, 20, 30, 40: the first ten connections bring worker 0 up to 20
 * 2. then 0 and 1 share, until both are at 30
 * 3. a new report forgets what was sent before it
 */
static void test_least_until_no_longer(void **state)
{
	struct counters before;

	(void)state;
	start_service("stale_ms=60000");
	counters_read("web", &before);
	report_now(10, 20, 30, 40);
	expect_answers(10, 10, 0, 0, 0);
	expect_answers(20, 10, 10, 0, 0);
	counters_expect("web", &before, .cursor = 30, .selected = { 20, 10 });
	report_now(10, 20, 30, 40);
	expect_answers(10, 10, 0, 0, 0);
	report_now(40, 30, 20, 10);
	expect_answers(10, 0, 0, 0, 10);
	end_service();
}

/* A weight of 2 counts as twice the room. */
static void test_weight(void **state)
{
	(void)state;
	start_service("stale_ms=60000");
	lbctl_ok("set-weight", "web", "0", "2", NULL);
	report_now(0, 0, 0, 0);
	expect_answers(100, 40, 20, 20, 20);
	end_service();
}

/* 100 at the same time on equal loads do not pile up: they differ by 2 at most. */
static void test_burst_spreads(void **state)
{
	unsigned int least = 100, most = 0;

	(void)state;
	start_service("stale_ms=60000");
	report_now(7, 7, 7, 7);
	clients_run(&clients, (struct client_plan){ .connections = 100, .at_once = 100 });
	for (int i = 0; i < WORKERS; i++) {
		unsigned int n = clients_of(&clients, i);

		least = n < least ? n : least;
		most = n > most ? n : most;
	}
	assert_in_range(most - least, 0, 2);
	end_service();
}

/*
 * 1. worker 3 never reported: it gets one connection, to see what it does, and no second one
 * 2. its report comes: the least load again
 */
static void test_silent_worker_is_probed(void **state)
{
	struct counters before;

	(void)state;
	start_service("stale_ms=60000");
	counters_read("web", &before);
	for (int i = 0; i < WORKERS - 1; i++)
		report(i, 0, now_ns());
	clients_run(&clients, (struct client_plan){ .connections = 40 });
	clients_expect(&clients, WORKERS, (const unsigned int[]){ 13, 13, 13, 1 });
	counters_expect("web", &before, .cursor = 40, .stale_probes = 1,
			.selected = { 13, 13, 13, 1 });
	report(3, 0, now_ns());
	expect_answers(10, 0, 0, 0, 10);
	end_service();
}

static bool is_past(uint64_t time_ns)
{
	return now_ns() > time_ns;
}

/* 1. all reports have gone stale: the table is walked  2. so it is when nobody ever reported */
static void test_all_stale(void **state)
{
	struct counters before;
	uint64_t reported_ns;

	(void)state;
	start_service("stale_ms=20");
	counters_read("web", &before);
	expect_answers(40, 10, 10, 10, 10);
	counters_expect("web", &before, .cursor = 40, .all_stale = 40,
			.selected = { 10, 10, 10, 10 });
	report_now(10, 0, 0, 0);
	reported_ns = now_ns();
	wait_until(is_past(reported_ns + 25000000), 1000);
	counters_read("web", &before);
	expect_answers(40, 10, 10, 10, 10);
	counters_expect("web", &before, .cursor = 40, .all_stale = 40,
			.selected = { 10, 10, 10, 10 });
	end_service();
}

/*
 * 1. a clock one hour ahead: the reports are believed when they are first seen
 * 2. but not for an hour: after the stale time they are as old as any
 */
static void test_future_times_are_cut(void **state)
{
	struct counters before;
	uint64_t seen_ns;

	(void)state;
	start_service("stale_ms=400");
	counters_read("web", &before);
	for (int i = 0; i < WORKERS; i++)
		report(i, 10 * i, now_ns() + HOUR_NS);
	expect_answers(4, 4, 0, 0, 0);
	seen_ns = now_ns();
	counters_expect("web", &before, .cursor = 4, .selected = { 4 });
	wait_until(is_past(seen_ns + 450000000), 2000);
	counters_read("web", &before);
	expect_answers(40, 10, 10, 10, 10);
	counters_expect("web", &before, .cursor = 40, .all_stale = 40,
			.selected = { 10, 10, 10, 10 });
	end_service();
}

static bool all_have_reported(const uint64_t *loads)
{
	for (int i = 0; i < WORKERS; i++) {
		if (!page[i].reported_ns || page[i].load != loads[i])
			return false;
	}
	return true;
}

/*
 * 1. workers without privileges; bpffs is closed to them (mode 0700); the service has a group
 * 2. their reports arrive, and decide
 */
static void test_unprivileged_workers(void **state)
{
	static const uint64_t loads[] = { 1010, 1020, 1030, 1040 };

	(void)state;
	if (!probe_unprivileged_open())
		skip();
	setenv("LBCTL_SERVICE", "web", 1);
	for (int i = 0; i < WORKERS; i++)
		demo_start(&demos[i], i, "--listen", ":8080", "--user", "nobody", "--load",
			   "1010,1020,1030,1040", NULL);
	unsetenv("LBCTL_SERVICE");
	lbctl_ok("attach", "--name", "web", "--policy", "least-load", "--group", "nogroup", ":8080",
		 NULL);
	page = map_mmap("web", "lb_load", WORKERS * sizeof(*page));
	wait_until(all_have_reported(loads), 5000);
	expect_answers(10, 10, 0, 0, 0);
	end_service();
}

/* Without the group the same workers serve on and reach nothing. */
static void test_strangers_cannot_report(void **state)
{
	uint64_t looked_ns;

	(void)state;
	setenv("LBCTL_SERVICE", "web", 1);
	for (int i = 0; i < WORKERS; i++)
		demo_start(&demos[i], i, "--listen", ":8080", "--user", "nobody", "--load", "5",
			   NULL);
	unsetenv("LBCTL_SERVICE");
	lbctl_ok("attach", "--name", "web", "--policy", "least-load", "--group", "daemon", ":8080",
		 NULL);
	page = map_mmap("web", "lb_load", WORKERS * sizeof(*page));
	/* a worker looks once a second while it finds nothing */
	looked_ns = now_ns() + 1500000000;
	wait_until(is_past(looked_ns), 3000);
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(page[i].reported_ns, 0);
	expect_answers(40, 10, 10, 10, 10);
	end_service();
}

/* The other half of the next test: marks in the trace, and 10,000 reports between them. */
static int run_reporter(void)
{
	struct lbctl_worker *worker = lbctl_worker_open("web", REPORTER_FD);

	if (lbctl_worker_slot(worker) < 0)
		return 1;
	if (write(STDOUT_FILENO, "begin\n", 6) != 6)
		return 1;
	for (int i = 0; i < 10000; i++)
		lbctl_report_load(worker, i);
	if (write(STDOUT_FILENO, "end\n", 4) != 4)
		return 1;
	lbctl_worker_close(worker);
	return 0;
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

/* strace sees no system call between the marks around 10,000 reports. */
static void test_reports_make_no_system_call(void **state)
{
	const char *argv[] = {
		"strace", "-f", "-o", HARNESS_DIR "/trace", NULL, "--reporter", NULL
	};
	char self[256] = "", *trace, *begin, *end;
	struct output output;
	int fd = listen_on(8080);

	(void)state;
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	argv[4] = self;
	lbctl_ok("attach", "--name", "web", ":8080", NULL);
	assert_int_equal(dup2(fd, REPORTER_FD), REPORTER_FD); /* this one is inherited */
	command_run(&output, argv, COMMAND_MS);
	if (output.status)
		fail_msg("strace: %s%s", output.out, output.err);
	output_free(&output);
	page = map_mmap("web", "lb_load", WORKERS * sizeof(*page));
	assert_int_equal(page[0].load, 9999);
	trace = file_read(HARNESS_DIR "/trace");
	begin = strstr(trace, "\"begin\\n\"");
	assert_non_null(begin);
	begin = strchr(begin, '\n') + 1;
	end = strchr(begin, '\n');
	assert_non_null(end);
	*end = '\0';
	if (!strstr(begin, "\"end\\n\""))
		fail_msg("a system call among reports: %s", begin);
	free(trace);
	close(fd);
	close(REPORTER_FD);
	end_service();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		harness_test(test_least_until_no_longer),
		harness_test(test_weight),
		harness_test(test_burst_spreads),
		harness_test(test_silent_worker_is_probed),
		harness_test(test_all_stale),
		harness_test(test_future_times_are_cut),
		harness_test(test_unprivileged_workers),
		harness_test(test_strangers_cannot_report),
		harness_test(test_reports_make_no_system_call),
	};

	if (argc == 2 && !strcmp(argv[1], "--reporter"))
		return run_reporter();
	return harness_run(argv[0], tests);
}
