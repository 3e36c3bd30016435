// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Workers that say the number of their socket, {"join":{"fd":18}}, and report by messages, as one
 * can in any language. All of them are user nobody.
 */
#include "harness/asks.h"
#include "harness/attacks.h"
#include "harness/events.h"
#include "harness/joins.h"
#include "harness/maps.h"
#include "harness/show.h"
#include "harness/world.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define A_SECOND_NS 1000000000ULL

static struct run run;
static struct show show;

static struct lb_load *load_page(void)
{
	return map_mmap("web", "lb_load", 4 * sizeof(struct lb_load));
}

static void free_page(struct lb_load *page)
{
	munmap(page, 4 * sizeof(*page));
}

/* --- what it is for --- */

static void join_and_report(void)
{
	int fd = by_packets();

	be_listener(NUMBER);
	/* nothing to report for yet */
	asked(fd, "{\"load\":7}", 3, "join first");
	asked(fd, "{\"heartbeat\":true}", 3, "join first");
	join_as_18(fd);
	/* again, with its number: nothing changes */
	asked(fd, "{\"join\":{\"fd\":18,\"worker\":1}}", 0, "worker 1,");
	asked(fd, "{\"load\":-1}", 2, "whole number");
	asked(fd, "{\"load\":1.5}", 2, "whole number");
	asked(fd, "{\"load\":\"7\"}", 2, "whole number");
	asked(fd, "{\"heartbeat\":1}", 2, "heartbeat");
	say(fd, "{\"load\":4611686018427387904}");
	say(fd, "{\"load\":70}");
	/* what was taken has no answer: this one is the next */
	asked(fd, "{\"verb\":\"hello\"}", 0, "lbctl");
}

/* 1. a process of user nobody joins by a number and reports  2. it gets its share, and then dies */
static void test_join_and_report(void **state)
{
	struct lb_load *page;
	uint64_t reported_ns;
	pid_t worker;

	(void)state;
	asks_watch(&run);
	worker = attack(join_and_report);
	page = load_page();
	assert_int_equal(page[1].load, 70);
	reported_ns = page[1].reported_ns;
	assert_true(reported_ns > now_ns() - 60 * A_SECOND_NS && reported_ns <= now_ns());
	assert_int_equal(page[1].heartbeat_ns, reported_ns);
	run_expect_events(&run, 1, "listening", "{s:i, s:i, s:s}", "worker", 1, "pid", worker,
			  "addr", "0.0.0.0:8080");
	show_read("web", &show);
	assert_int_equal(show.nr_workers, 2);
	assert_int_equal(show.worker[1].pid, worker);
	/* nobody holds its socket but itself */
	end_attack(worker);
	wait_until(joins_listening() == 1, RUN_MS);
	free_page(page);
	asks_end_watch(&run);
}

/* The same by lines, for languages without SOCK_SEQPACKET; two requests may come in one piece. */
static void join_by_lines(void)
{
	int fd = by_lines();

	be_listener(NUMBER);
	say(fd, "{\"join\":{\"fd\":18}}\n{\"load\":33}\n{\"verb\":\"he");
	answered(fd, 0, "\"worker\":1");
	say(fd, "llo\"}\n");
	answered(fd, 0, "lbctl");
	asked(fd, "{\"heartbeat\":true}\n{\"verb\":\"events\"}\n", 4, "a worker may join");
}

static void test_join_by_lines(void **state)
{
	struct lb_load *page;
	uint64_t reported_ns;
	pid_t worker;

	(void)state;
	asks_watch(&run);
	worker = attack(join_by_lines);
	page = load_page();
	assert_int_equal(page[1].load, 33);
	reported_ns = page[1].reported_ns;
	/* the heartbeat came last, and keeps the report from going stale */
	assert_int_equal(page[1].heartbeat_ns, reported_ns);
	end_attack(worker);
	free_page(page);
	asks_end_watch(&run);
}

/* Where nothing was reported a heartbeat makes up no report. */
static void only_heartbeat(void)
{
	int fd = by_packets();

	be_listener(NUMBER);
	join_as_18(fd);
	say(fd, "{\"heartbeat\":true}");
	asked(fd, "{\"verb\":\"hello\"}", 0, "lbctl");
}

static void test_heartbeat_is_no_report(void **state)
{
	struct lb_load *page;
	pid_t worker;

	(void)state;
	asks_watch(&run);
	worker = attack(only_heartbeat);
	page = load_page();
	assert_int_equal(page[1].reported_ns, 0);
	assert_true(page[1].heartbeat_ns);
	end_attack(worker);
	free_page(page);
	asks_end_watch(&run);
}

/* --- reports of who has none to make --- */

/* A socket that was closed is open for as long as some child of the keeper looks at it. */
static void refused_at_last(int fd)
{
	char text[4096];
	int status;

	do {
		usleep(20000);
		say(fd, "{\"load\":6}");
		say(fd, "{\"verb\":\"hello\"}");
		status = hear(fd, text);
	} while (status == 0);
	expect(status == 3, text);
}

/*
 * 1. two connections join with one socket: the last reports
 * 2. the socket is closed, and another one joins: nobody else reports for that one
 */
static void report_for_another(void)
{
	int one = by_packets(), other = by_packets(), third = by_packets();

	be_listener(NUMBER);
	join_as_18(one);
	/* once the keeper has noted that, it reads on */
	asked(one, "{\"verb\":\"hello\"}", 0, "lbctl");
	join_as_18(other);
	asked(other, "{\"verb\":\"hello\"}", 0, "lbctl");
	asked(one, "{\"load\":5}", 3, "join first");
	close(NUMBER);
	be_listener(NUMBER + 1);
	asked(third, "{\"join\":{\"fd\":19}}", 0, "worker");
	say(third, "{\"load\":44}");
	refused_at_last(other);
	asked(third, "{\"verb\":\"hello\"}", 0, "lbctl");
}

static uint32_t reporting(uint64_t load)
{
	struct lb_load *page = map_mmap("web", "lb_load", 64 * sizeof(*page));
	uint32_t n = 0;

	for (int i = 0; i < 64; i++)
		n += page[i].load == load;
	munmap(page, 64 * sizeof(*page));
	return n;
}

static void test_report_for_another(void **state)
{
	pid_t worker;

	(void)state;
	asks_watch(&run);
	worker = attack(report_for_another);
	assert_int_equal(reporting(44), 1);
	assert_int_equal(reporting(5), 0);
	end_attack(worker);
	asks_end_watch(&run);
}

/* There is no room for all at once: who is sent away for a moment comes again. */
static int join_patiently(void)
{
	static const char join[] = "{\"join\":{\"fd\":18}}";
	char text[4096];

	for (;;) {
		int fd = by_packets();

		/* who was sent away can't send, but hears why */
		(void)!send(fd, join, strlen(join), MSG_NOSIGNAL);
		if (hear(fd, text) == 0)
			return fd;
		expect(strstr(text, "\"again\":true"), text);
		close(fd);
		usleep(20000);
	}
}

/* Many that have joined stay connected, to report; others find room all the same. */
static void join_many(void)
{
	for (int i = 0; i < 40; i++) {
		pid_t pid = fork();

		if (!pid) {
			int fd;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			be_listener(NUMBER);
			fd = join_patiently();
			say(fd, "{\"load\":9}");
			asked(fd, "{\"verb\":\"hello\"}", 0, "lbctl");
			/* it is killed with who began it */
			pause();
		}
		expect(pid > 0, "fork");
	}
}

static void test_many_report(void **state)
{
	pid_t workers;

	(void)state;
	asks_watch(&run);
	workers = attack(join_many);
	wait_until(reporting(9) == 40, RUN_MS);
	assert_int_equal(joins_ask("{\"verb\":\"hello\"}", NULL, 0), 0);
	end_attack(workers);
	asks_end_watch(&run);
}

#define join_test(function) cmocka_unit_test_setup_teardown(function, joins_begin, joins_end)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		join_test(test_join_and_report),
		join_test(test_join_by_lines),
		join_test(test_heartbeat_is_no_report),
		join_test(test_report_for_another),
		join_test(test_many_report),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
