// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Rescues at random moments, of Node.js, nginx and demo workers under load that are stopped, or
 * block in a request, or run. LB_TEST_RESCUES (environment) is how many of each server.
 */
#include "harness/books.h"
#include "harness/commands.h"
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/rescue.h"

#define RESCUES 30
#define LONGEST_STALL_MS 400
#define MOST_STALLED 2 /* of WORKERS: the others must have somewhere to go */
#define ROUND_MS 5000
#define ANSWER_MS 20000
#define URL "http://127.0.0.1:8080/"

struct server {
	void (*start)(void);
	void (*stop)(void);
	const char *block;	     /* what a worker must be asked for to block for so many ms */
	const char *log;	     /* where it tells errors */
	const char *const *harmless; /* words of which each line there must hold one */
};

static struct {
	unsigned int by_hand, tried, refused, stops, blocks, kept, quiet;
	unsigned long requests, longest_us;
	uint64_t slowest_ns;
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

static const char *const harmless_of_run[] = {
	"; the first TCP port",	   " started, pid ",
	" listening on ",	   " is online",
	" does not accept; ",	   " accepts again,",
	" moved to others",	   "no other worker accepts",
	"could not be held still", " stopping; ",
	"web: watching; ",	   " exited",
	" killed by SIGTERM",	   NULL,
};

static void stop_run(void)
{
	assert_int_equal(run_lines(&run, " exited"), 0);
	lbctl_ok("stop", "web", NULL);
	assert_int_equal(run_wait(&run), 0);
}

static void start_demo(void)
{
	run_start(&run, "web", "-n", "4", "--", run_demo(), "-q", "--no-reuseport", "--listen",
		  ":8080", "--work-us", "300", NULL);
}

static const struct server demo = {
	start_demo, stop_run, "/busy?us=%u000", HARNESS_DIR "/web.log", harmless_of_run,
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
	run_start(&run, "web", "-n", "4", "--", "node", APP, NULL);
}

static const struct server node = {
	start_node, stop_run, "/?ms=%u", HARNESS_DIR "/web.log", harmless_of_run,
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

static const char *const harmless_of_nginx[] = { "(4: Interrupted system call)", NULL };

static const struct server nginx_server = {
	start_nginx, stop_nginx, "/block", HARNESS_DIR "/error.log", harmless_of_nginx,
};

/* Returns how many lines there are. */
static unsigned int expect_harmless(const char *path, const char *const *words)
{
	char *log = file_read(path), *rest = log, *line;
	unsigned int lines = 0;

	while ((line = strsep(&rest, "\n"))) {
		const char *const *word = words;

		while (*word && !strstr(line, *word))
			word++;
		if (*line && !*word)
			fail_msg("%s holds: %s", path, line);
		lines += *line != '\0';
	}
	free(log);
	return lines;
}

/* --- connections that are kept open a while, then ask --- */

#define KEPT 48
static struct {
	int fd; /* -1 = none */
	uint64_t asked_ns;
} kept[KEPT];

static void kept_close(unsigned int i)
{
	close(kept[i].fd);
	kept[i].fd = -1;
}

static void kept_ask(unsigned int i, const char *path)
{
	char request[128];
	int len = snprintf(request, sizeof(request), "GET %s HTTP/1.0\r\n\r\n", path);

	if (send(kept[i].fd, request, len, MSG_NOSIGNAL) != len)
		fail_msg("a connection was lost before its request: %s", strerror(errno));
	kept[i].asked_ns = now_ns();
}

static void kept_look(unsigned int i)
{
	char answer[1024] = "";
	ssize_t len = recv(kept[i].fd, answer, sizeof(answer) - 1, MSG_DONTWAIT);
	uint64_t waited_ns = now_ns() - kept[i].asked_ns;

	if (len < 0 && errno == EAGAIN) {
		if (kept[i].asked_ns && waited_ns > scaled_ms(ANSWER_MS) * 1000000)
			fail_msg("a request has no answer");
		return;
	}
	if (!kept[i].asked_ns || !strstr(answer, " 200 "))
		fail_msg("%s: %zd %s: %s", kept[i].asked_ns ? "no answer" : "a connection was lost",
			 len, len < 0 ? strerror(errno) : "", answer);
	if (waited_ns > sums.slowest_ns)
		sums.slowest_ns = waited_ns;
	sums.kept++;
	kept_close(i);
}

/* Any of them: it is opened, or asks, or the client has thought better of it. */
static void kept_step(void)
{
	const struct linger at_once = { 1, 0 };
	unsigned int i = rand() % KEPT;

	if (kept[i].fd < 0) {
		kept[i].fd = client_socket("127.0.0.1");
		client_wait(kept[i].fd);
		kept[i].asked_ns = 0;
	} else if (!kept[i].asked_ns && rand() % 8) {
		kept_ask(i, "/");
	} else if (!kept[i].asked_ns) {
		if (rand() % 2)
			setsockopt(kept[i].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		kept_close(i);
	}
}

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

	if (kept[i].fd < 0 || kept[i].asked_ns)
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
		map_mmap("web", "listener0/lb_stalls", LB_MIN_SLOTS * sizeof(*stalls));
	uint64_t n = 0;

	for (int slot = 0; slot < WORKERS; slot++)
		n += stalls[slot].rescues;
	munmap(stalls, LB_MIN_SLOTS * sizeof(*stalls));
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
	for (unsigned int i = 0; i < KEPT; i++) {
		if (kept[i].fd >= 0)
			kept_look(i);
	}
	kept_step();
	if (stalled(now) < MOST_STALLED && rand() % 4 == 0)
		rand() % 2 ? stop_one(now) : block_one(now);
	if (sampler && rand() % 4 == 0)
		rescue_one(sampler);
	harness_nap();
}

/* Nothing is stopped, asked or on its way, and connections are open: the books are right. */
static void expect_quiet(void)
{
	wake_due(UINT64_MAX);
	for (unsigned int i = 0; i < KEPT; i++) {
		while (kept[i].fd >= 0 && kept[i].asked_ns) {
			kept_look(i);
			harness_nap();
		}
	}
	expect_right_books(RUN_MS);
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
	for (unsigned int i = 0; i < KEPT; i++)
		kept[i].fd = -1;
	srand(20240229);
	server->start();
	run_pids(&run, pids, WORKERS);
	lbctl_ok("set", "web", "stall_ms=100", "rescue_ms=100", NULL);
	map_stats();
}

static void tell_sums(unsigned int lines)
{
	uint64_t in = 0, out = 0;
	struct books books;

	show_read("web", &show);
	books_read("web", &books);
	for (int i = 0; i < WORKERS; i++) {
		in += show.worker[i].migrated_in;
		out += show.worker[i].migrated_out;
		assert_int_equal(show.worker[i].live, 0);
	}
	print_message("%llu rescues (%u by hand of %u tries, %u refused), %llu "
		      "connections moved; %u stops, %u blocks; %lu requests and %u of connections "
		      "kept, the slowest %lu and %llu ms; books right %u times, %llu not noted; "
		      "%llu left to the kernel; %u lines of log\n",
		      (unsigned long long)rescued(), sums.by_hand, sums.tried, sums.refused,
		      (unsigned long long)in, sums.stops, sums.blocks, sums.requests, sums.kept,
		      sums.longest_us / 1000, (unsigned long long)sums.slowest_ns / 1000000,
		      sums.quiet, (unsigned long long)books.unnoted,
		      (unsigned long long)show.fallback, lines);
	assert_int_equal(in, out);
	assert_true(in > 0);
	/* a slot can't be selected in the moment between its listener's end and its registration */
	assert_in_range(show.fallback, 0, 1 + rescued() / 100);
}

/*
 * 1. rounds of load, stalls and rescues: no request fails, no connection is lost
 * 2. between them, with connections open, the books are what sock_diag says
 * 3. in the end nothing is open; no worker ended; nobody complained of anything
 */
static void soak(const struct server *which)
{
	unsigned int want = load_asked("LB_TEST_RESCUES", scaled_load(RESCUES));
	uint64_t end_ns = now_ns() + (scaled_ms(60000) + want * 1000ULL) * 1000000;
	struct sampler *sampler;
	struct state service;
	unsigned int lines;

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
	for (unsigned int i = 0; i < KEPT; i++) {
		if (kept[i].fd >= 0)
			kept_close(i);
	}
	expect_right_books(RUN_MS);
	wait_until(!live_sum(), RUN_MS);
	sampler_close(sampler);
	state_close(&service);
	lines = expect_harmless(server->log, server->harmless);
	tell_sums(lines);
	unmap_stats();
	server->stop();
	expect_harmless(run.log, harmless_of_run);
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
