// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * latency=on says for what share of the time a worker is at work: one that computes, and one that
 * is blocked, both as long as they are; and nothing of one that waits for connections, by whatever
 * call. It goes on without a process, and ends with the switch.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/measured.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/world.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "service/busy.h"

#define TOOK_MS 20
#define REQUESTS 100
#define SLACK_PERCENT 12 /* some 300 looks at moments by chance: four times their spread */

static struct run run;
static struct clients clients;
static struct demo demos[2];

static void needs_busy(void)
{
	needs_latency();
	/* a timer of BPF takes the same kernel */
	needs(hold);
}

static struct lb_latency measured(int worker)
{
	struct lb_latency sums[MEASURED_WORKERS];

	measured_read("web", sums);
	return sums[worker];
}

/* What it was while `act` went on. */
static double busy_while(int worker, void (*act)(void))
{
	struct lb_latency before = measured(worker), now;

	act();
	now = measured(worker);
	/* it was looked at for all of the time */
	assert_true(now.watched_ns > before.watched_ns);
	return busy_percent_since(&now, &before);
}

static void expect_busy(const char *what, double got, double least, double most)
{
	if (got < least - SLACK_PERCENT || got > most + SLACK_PERCENT)
		fail_msg("%s: busy %.1f %%, want %.1f to %.1f %%", what, got, least, most);
}

/* --- what clients do --- */

static void nothing(void)
{
	usleep(2000000);
}

/* As long a pause as each takes. */
static void every_other_moment(void)
{
	for (int i = 0; i < REQUESTS; i++) {
		clients_run(&clients, (struct client_plan){ .connections = 1 });
		usleep(clients.longest_ns / 1000);
	}
}

static void all_the_time(void)
{
	clients_run(&clients, (struct client_plan){ .connections = REQUESTS, .at_once = 4 });
}

/* --- the tests --- */

static void start(const char *option, const char *us)
{
	run_start(&run, "web", "-n", "1", "--policy", "rr", "--", run_demo(), "-q", "-n", "1",
		  "--listen", "127.0.0.1:8080", option, us, NULL);
	run_expect_up(&run, 1);
	lbctl_ok("set", "web", "stall_ms=0", "rescue_ms=0", "hold_ms=0", "latency=on", NULL);
}

static void test_known_share(void **state)
{
	static const char *const options[] = { "--work-us", "--sleep-us" };

	(void)state;
	needs_busy();
	if (scaled_load(100) != 100) {
		print_message("needs CPUs that are not emulated\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		start(options[i], "20000");
		expect_busy(options[i], busy_while(0, nothing), 0, 0);
		expect_busy(options[i], busy_while(0, every_other_moment), 50, 50);
		expect_busy(options[i], busy_while(0, all_the_time), 100, 100);
		run_stop(&run);
	}
}

/* A server of each way to wait; each takes 20 ms for a request and does one at a time. */
static const char server[] =
	"import select, socket, sys, time\n"
	"s = socket.socket(); s.bind(('127.0.0.1', 8080)); s.listen(64)\n"
	"if sys.argv[1] == 'poll':\n"
	"    poll = select.poll(); poll.register(s, select.POLLIN); wait = poll.poll\n"
	"elif sys.argv[1] == 'epoll':\n"
	"    epoll = select.epoll(); epoll.register(s, select.EPOLLIN); wait = epoll.poll\n"
	"elif sys.argv[1] == 'select':\n"
	"    wait = lambda: select.select([s], [], [])\n"
	"else:\n"
	"    wait = lambda: None\n"
	"while True:\n"
	"    wait()\n"
	"    c = s.accept()[0]; c.recv(1000); time.sleep(0.02)\n"
	"    c.send(b'HTTP/1.0 200 OK\\r\\nX-Worker: 0\\r\\n\\r\\n'); c.close()\n";

static void test_each_way(void **state)
{
	static const char *const ways[] = { "accept", "poll", "select", "epoll" };

	(void)state;
	needs_busy();
	file_write(HARNESS_DIR "/app.py", server);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		run_start(&run, "web", "-n", "1", "--policy", "rr", "--", "python3",
			  HARNESS_DIR "/app.py", ways[i], NULL);
		run_expect_up(&run, 1);
		lbctl_ok("set", "web", "stall_ms=0", "rescue_ms=0", "hold_ms=0", "latency=on",
			 NULL);
		expect_busy(ways[i], busy_while(0, nothing), 0, 0);
		expect_busy(ways[i], busy_while(0, all_the_time), 100, 100);
		run_stop(&run);
	}
}

/* No process of lbctl is there meanwhile; each worker has its own share, which all show. */
static void test_shown(void **state)
{
	_cleanup_output_ struct output wide = { 0 }, metrics = { 0 };
	json_t *view;

	(void)state;
	needs_busy();
	for (int i = 0; i < 2; i++)
		demo_start(&demos[i], i, "--listen", ":8080", "--slow", "1:20000", NULL);
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", NULL);
	lbctl_ok("set", "web", "stall_ms=0", "rescue_ms=0", "latency=on", NULL);
	expect_busy("worker 1", busy_while(1, all_the_time), 100, 100);
	assert_true(busy_percent(&(struct lb_latency){ 0 }) < 0);
	view = lbctl_json("show", "web", "--json", NULL);
	for (size_t i = 0; i < 2; i++) {
		json_t *latency = json_object_get(
			json_array_get(json_object_get(view, "workers"), i), "latency");
		json_int_t watched = json_integer_value(json_object_get(latency, "watched_us"));
		json_int_t busy = json_integer_value(json_object_get(latency, "busy_us"));

		assert_true(watched > 500000);
		assert_true(i ? busy > watched / 2 : busy < watched / 4);
	}
	json_decref(view);
	lbctl_run(&wide, "show", "web", "--wide", NULL);
	assert_non_null(strstr(wide.out, " BUSY "));
	lbctl_run(&metrics, "stats", "web", "--prometheus", NULL);
	assert_non_null(strstr(metrics.out,
			       "\nlbctl_worker_busy_seconds_total{service=\"web\",worker=\"1\"} "));
	lbctl_ok("set", "web", "latency=off", NULL);
	assert_int_equal(access(HARNESS_PINS "/web/latency", F_OK), -1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_known_share),
		runs_test(test_each_way),
		runs_test(test_shown),
	};

	(void)argc;
	return runs_run(argv[0], tests);
}
