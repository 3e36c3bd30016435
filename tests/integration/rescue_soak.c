// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Rescues at random moments, of Node.js, nginx and demo workers under load that are stopped, or
 * block in a request, or run. LB_TEST_RESCUES (environment) is how many of each server.
 */
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/events.h"
#include "harness/kept.h"
#include "harness/load.h"
#include "harness/maps.h"
#include "harness/obey.h"
#include "harness/runs.h"
#include "harness/servers.h"
#include "harness/show.h"
#include "harness/world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/rescue.h"

#define RESCUES 30
#define LONGEST_STALL_MS 400
#define MOST_STALLED 2 /* of WORKERS: the others must have somewhere to go */
#define ROUND_MS 5000
#define URL "http://127.0.0.1:8080/"

struct server {
	void (*start)(void);
	void (*stop)(void);
	const char *block; /* what a worker must be asked for to block for so many ms */
	void (*expect_no_complaint)(void);
};

static struct {
	unsigned int by_hand, tried, refused, stops, blocks, quiet;
	unsigned long requests, longest_us;
} sums;

static const struct server *server;
static struct run run;
static struct nginx nginx;
static struct show show;
static pid_t pids[WORKERS];

static unsigned int between(unsigned int least, unsigned int most)
{
	return least + rand() % (most - least + 1);
}

/* --- the servers --- */

#define LOGS HARNESS_DIR "/logs"

/* Nothing that the keeper has told is an end or a failure. */
static void expect_quiet_keeper(void)
{
	static const char *const harmless[] = { "start",   "listening",	  "online",  "set",
						"stalled", "recovered",	  "rescued", "not-rescued",
						"holding", "not-holding", NULL };

	run_expect_types(&run, harmless);
	run_expect_events(&run,
			  run_events(&run, "not-rescued", "{s:s}", "why",
				     rescue_text(RESCUE_NO_OTHER)) +
				  run_events(&run, "not-rescued", "{s:s}", "why",
					     rescue_text(RESCUE_NOT_STILL)),
			  "not-rescued", NULL);
}

/* Nor have the workers written anything. */
static void expect_quiet_run(void)
{
	char *log;

	expect_quiet_keeper();
	for (int i = 0; i < WORKERS; i++) {
		char path[64];

		snprintf(path, sizeof(path), LOGS "/web-%d.log", i);
		log = file_read(path);
		if (*log)
			fail_msg("worker %d wrote: %s", i, log);
		free(log);
	}
}

static void stop_run(void)
{
	lbctl_ok("stop", "web", NULL);
	assert_int_equal(run_wait(&run), 0);
	command_ok("rm", "-r", LOGS, NULL);
}

static void start_demo(void)
{
	assert_int_equal(mkdir(LOGS, 0755), 0);
	run_start(&run, "web", "-n", "4", "--log-dir", LOGS, "--", run_demo(), "-q",
		  "--no-reuseport", "--listen", ":8080", "--work-us", "300", NULL);
}

static const struct server demo = {
	start_demo,
	stop_run,
	"/busy?us=%u000",
	expect_quiet_run,
};

#define APP HARNESS_DIR "/app.js"
static const char node_app[] =
	"const server = require('http').createServer((request, answer) => {\n"
	"  const end = Date.now() + Number(request.url.split('=')[1] || 0);\n"
	"  while (Date.now() < end);\n"
	"  answer.end('hello');\n"
	"});\n"
	"server.listen(8080);\n"
	"process.on('SIGTERM', () => server.close(() => process.exit(0)));\n";

static void start_node(void)
{
	file_write(APP, node_app);
	assert_int_equal(mkdir(LOGS, 0755), 0);
	run_start(&run, "web", "-n", "4", "--log-dir", LOGS, "--", "node", APP, NULL);
}

static const struct server node = {
	start_node,
	stop_run,
	"/?ms=%u",
	expect_quiet_run,
};

/* nginx never waits for anybody but for its log, and there for a full pipe that nobody reads. */
#define PIPE HARNESS_DIR "/pipe"
static int pipe_fd = -1;
static uint64_t read_pipe_ns;

static void pipe_fill(void)
{
	while (write(pipe_fd, "\n", 1) == 1)
		continue;
	assert_int_equal(errno, EAGAIN);
}

static void pipe_empty(void)
{
	char lines[4096];

	while (read(pipe_fd, lines, sizeof(lines)) > 0)
		continue;
	assert_int_equal(errno, EAGAIN);
	read_pipe_ns = 0;
}

static void start_nginx(void)
{
	assert_int_equal(mkfifo(PIPE, 0666), 0);
	pipe_fd = open(PIPE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	assert_true(pipe_fd >= 0);
	nginx_start(&nginx,
		    "listen 8080 reuseport;\n"
		    "location /block { access_log " PIPE " short; return 200 'hello\\n'; }",
		    "127.0.0.1", 8080);
	lbctl_ok("attach", "--name", "web", "--rescue", ":8080", NULL);
	run_start_verb(&run, "web", "watch", "web", NULL);
}

static void stop_nginx(void)
{
	lbctl_ok("stop", "web", NULL);
	assert_int_equal(run_wait(&run), 0);
	lbctl_ok("detach", "web", NULL);
	nginx_stop(&nginx);
	close(pipe_fd);
	pipe_fd = -1;
}

static void expect_quiet_nginx(void)
{
	char *log = file_read(HARNESS_DIR "/error.log"), *rest = log, *line;

	expect_quiet_keeper();
	while ((line = strsep(&rest, "\n"))) {
		if (*line && !strstr(line, "(4: Interrupted system call)"))
			fail_msg("nginx wrote: %s", line);
	}
	free(log);
}

static const struct server nginx_server = {
	start_nginx,
	stop_nginx,
	"/block",
	expect_quiet_nginx,
};

/* --- stalls --- */

static uint64_t wake_ns[WORKERS]; /* 0 = it is not stopped */
static uint64_t blocked_until_ns;

static unsigned int stalled(uint64_t now)
{
	unsigned int n = blocked_until_ns > now;

	for (int i = 0; i < WORKERS; i++)
		n += wake_ns[i] != 0;
	return n;
}

static void stop_one(uint64_t now)
{
	int which = rand() % WORKERS;

	if (wake_ns[which])
		return;
	assert_int_equal(kill(pids[which], SIGSTOP), 0);
	wake_ns[which] = now + between(0, LONGEST_STALL_MS) * 1000000ULL;
	sums.stops++;
}

/*
 * Whichever gets the request, and at nginx whoever else is asked the same before the pipe is read.
 */
static void block_one(uint64_t now)
{
	unsigned int i = rand() % KEPT, ms = between(0, LONGEST_STALL_MS);
	char path[64];

	if (!kept_is_silent(i))
		return;
	blocked_until_ns = now + ms * 1000000ULL;
	if (pipe_fd >= 0) {
		pipe_fill();
		read_pipe_ns = blocked_until_ns;
	}
	snprintf(path, sizeof(path), server->block, ms);
	kept_ask(i, path);
	sums.blocks++;
}

static void wake_due(uint64_t now)
{
	for (int i = 0; i < WORKERS; i++) {
		if (!wake_ns[i] || wake_ns[i] > now)
			continue;
		assert_int_equal(kill(pids[i], SIGCONT), 0);
		wake_ns[i] = 0;
	}
	if (read_pipe_ns && read_pipe_ns <= now)
		pipe_empty();
}

/* --- rescues --- */

static uint64_t rescued(void)
{
	struct lb_stall *stalls =
		map_mmap("web", "listener0/lb_stalls", COUNTERS_SLOTS * sizeof(*stalls));
	uint64_t n = 0;

	for (int slot = 0; slot < WORKERS; slot++)
		n += stalls[slot].rescues;
	munmap(stalls, COUNTERS_SLOTS * sizeof(*stalls));
	return n;
}

/* Any worker, stopped, blocked or running, while it is handled by the keeper maybe. */
static void rescue_one(struct sampler *sampler)
{
	pid_t pid = rescue_start("web", rand() % WORKERS, run.pid, sampler);
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	sums.tried++;
	switch (rescue_end("web", status)) {
	case RESCUE_DONE:
		sums.by_hand++;
		holds_end("web");
		break;
	case RESCUE_NOTHING_WAITS:
		break;
	case RESCUE_NO_OTHER:
	case RESCUE_NOT_STILL: /* a worker that gets no CPU for a while */
		sums.refused++;
		break;
	default:
		fail_msg("%s", rescue_text(WEXITSTATUS(status)));
	}
}

static void step(struct sampler *sampler)
{
	uint64_t now = now_ns();

	wake_due(now);
	kept_look_at_all();
	kept_step();
	if (stalled(now) < MOST_STALLED && rand() % 4 == 0)
		rand() % 2 ? stop_one(now) : block_one(now);
	if (sampler && rand() % 4 == 0)
		rescue_one(sampler);
	harness_nap();
}

/* Nothing is stopped, asked or on its way, and connections are open: the counters are right. */
static void expect_quiet(void)
{
	wake_due(UINT64_MAX);
	kept_expect_answers();
	expect_right_counters(RUN_MS);
	sums.quiet++;
}

/*
 * Some seconds of load. By hand: rescues of any worker too, and each gets its share again at once.
 * Else the keeper alone rescues, and a worker that was rescued has to accept its probe first.
 */
static void soak_round(uint64_t want, struct sampler *sampler)
{
	uint64_t before = opened_sum(), end_ns;
	struct job traffic;
	struct wrk wrk;

	wrk_start(&traffic, URL, "32", 100);
	/* a round may be short, and wrk is late on a slow machine */
	wait_until(opened_sum() - before > 100, RUN_MS);
	end_ns = now_ns() + ROUND_MS * 1000000ULL;
	/* who stops and wakes comes before who makes load: the CPUs are never idle here */
	setpriority(PRIO_PROCESS, 0, -20);
	while (now_ns() < end_ns && rescued() < want)
		step(sampler);
	setpriority(PRIO_PROCESS, 0, 0);
	wake_due(UINT64_MAX);
	wrk_stop(&traffic);
	wrk_wait(&traffic, &wrk);
	wrk_expect_no_failure(&wrk);
	sums.requests += wrk.requests;
	if (wrk.longest_us > sums.longest_us)
		sums.longest_us = wrk.longest_us;
	expect_quiet();
}

static void start_server(void)
{
	memset(&sums, 0, sizeof(sums));
	memset(wake_ns, 0, sizeof(wake_ns));
	kept_begin();
	srand(20240229);
	server->start();
	run_pids(&run, pids, WORKERS);
	lbctl_ok("set", "web", "stall_ms=100", "rescue_ms=100", NULL);
	map_stats();
}

static void tell_sums(void)
{
	uint64_t in = 0, out = 0;
	struct counters counters;

	show_read("web", &show);
	counters_read("web", &counters);
	for (int i = 0; i < WORKERS; i++) {
		in += show.worker[i].migrated_in;
		out += show.worker[i].migrated_out;
		assert_int_equal(show.worker[i].live, 0);
	}
	print_message("%llu rescues (%u by hand of %u tries, %u refused), %llu "
		      "connections moved; %u stops, %u blocks; %lu requests and %u of connections "
		      "kept, the slowest %lu and %llu ms; counters right %u times, %llu not noted; "
		      "%llu left to the kernel\n",
		      (unsigned long long)rescued(), sums.by_hand, sums.tried, sums.refused,
		      (unsigned long long)in, sums.stops, sums.blocks, sums.requests,
		      kept_sums.answered, sums.longest_us / 1000,
		      (unsigned long long)kept_sums.slowest_ns / 1000000, sums.quiet,
		      (unsigned long long)counters.unnoted, (unsigned long long)show.fallback);
	assert_int_equal(in, out);
	assert_true(in > 0);
	/* a slot can't be selected in the moment between its listener's end and its registration */
	assert_in_range(show.fallback, 0, 1 + rescued() / 100);
}

/*
 * 1. rounds of load, stalls and rescues: no request fails, no connection is lost
 * 2. between them, with connections open, the counters are what sock_diag says
 * 3. in the end nothing is open; no worker ended; nobody complained of anything
 */
static void soak(const struct server *which)
{
	unsigned int want = load_asked("LB_TEST_RESCUES", scaled_load(RESCUES));
	uint64_t end_ns = now_ns() + (scaled_ms(60000) + want * 1000ULL) * 1000000;
	struct sampler *sampler;
	struct state service;

	needs(migrate);
	server = which;
	start_server();
	assert_int_equal(state_open(&service, "web", STATE_READ), 0);
	assert_int_equal(sampler_open(&service, &sampler), 0);
	for (bool by_hand = false; rescued() < want; by_hand = !by_hand) {
		if (now_ns() > end_ns)
			fail_msg("%llu rescues in time, want %u", (unsigned long long)rescued(),
				 want);
		/* of the last round each does a half */
		soak_round(by_hand ? want : rescued() + (want - rescued() + 1) / 2,
			   by_hand ? sampler : NULL);
	}
	kept_end();
	expect_right_counters(RUN_MS);
	wait_until(!live_sum(), RUN_MS);
	sampler_close(sampler);
	state_close(&service);
	server->expect_no_complaint();
	tell_sums();
	unmap_stats();
	server->stop();
}

static void test_demo(void **state)
{
	(void)state;
	soak(&demo);
}

static void test_node(void **state)
{
	(void)state;
	needs_node();
	soak(&node);
}

static void test_nginx(void **state)
{
	(void)state;
	soak(&nginx_server);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_demo),
		runs_test(test_node),
		runs_test(test_nginx),
	};

	(void)argc;
	stalls_count = true;
	return runs_run(argv[0], tests);
}
