// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A quiet service: one connection waits at a worker that does not accept, is moved to one that
 * sleeps, by each way there is, and then nothing else happens. It must be answered, also where the
 * kernel wakes nobody for it (host/wake_probe.h). Where the kernel does wake, the one that sleeps
 * here is deaf: it does not hear the first time, so that lbctl has to wake it all the same.
 *
 * The test is its own worker: `quiet worker SLEEP HOLDER DEAF`. With LBCTL_WAKE=never (environment)
 * it shows what happens when lbctl wakes nobody.
 */
#include "harness/commands.h"
#include "harness/events.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/sockdiag.h"
#include "host/wake_probe.h"

#define PORT 8080
#define ANSWER_MS 10000
#define HELD HARNESS_DIR "/held" /* there is a worker that does not accept */

static bool kernel_wakes;
static const char *deaf; /* "deaf" or "hears": whether the next workers are */
static const char *self;

/* --- the worker --- */

static int listener = -1;

static void close_listener(int signal)
{
	(void)signal;
	close(listener);
}

static void open_listener(void)
{
	const struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	const int on = 1;

	/* run --listen has made it */
	if (getenv("LISTEN_FDS")) {
		listener = 3;
		return;
	}
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) ||
	    bind(listener, (const struct sockaddr *)&at, sizeof(at)) || listen(listener, 64))
		exit(2);
}

static void sleep_by_epoll(uint32_t how)
{
	static int epoll = -1;
	struct epoll_event event = { .events = EPOLLIN | how };

	if (epoll < 0) {
		epoll = epoll_create1(EPOLL_CLOEXEC);
		epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	}
	while (epoll_wait(epoll, &event, 1, -1) < 1)
		;
}

static void sleep_by_level(void)
{
	sleep_by_epoll(0);
}

static void sleep_by_edge(void)
{
	sleep_by_epoll(EPOLLET);
}

static void sleep_by_poll(void)
{
	struct pollfd wanted = { .fd = listener, .events = POLLIN };

	while (poll(&wanted, 1, -1) < 1)
		;
}

/* accept() itself does. */
static void sleep_by_accept(void)
{
}

static const struct sleep {
	const char *name;
	void (*sleep)(void);
	bool blocks;
} sleeps[] = {
	{ "edge", sleep_by_edge, false },
	{ "level", sleep_by_level, false },
	{ "poll", sleep_by_poll, false },
	{ "accept", sleep_by_accept, true },
};

static void answer_all(void)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		if (write(fd, "!", 1) != 1)
			exit(3);
		close(fd);
	}
}

/* The first process of the worker with this number. */
static bool is_holder(const char *holder)
{
	const char *number = getenv("LBCTL_WORKER");

	return number && !strcmp(number, holder) &&
	       open(HELD, O_CREAT | O_EXCL | O_CLOEXEC, 0644) >= 0;
}

__attribute__((noreturn)) static void work(const char *how, const char *holder, bool is_deaf)
{
	const struct sleep *sleep = sleeps;
	bool holds = is_holder(holder);

	while (strcmp(sleep->name, how))
		sleep++;
	signal(SIGUSR1, close_listener);
	open_listener();
	while (holds)
		pause();
	if (!sleep->blocks)
		fcntl(listener, F_SETFL, O_NONBLOCK);
	for (;;) {
		sleep->sleep();
		if (is_deaf)
			sleep->sleep();
		answer_all();
	}
}

/* --- the world --- */

static struct run run;
static bool runs; /* there is a keeper, to be stopped */
static pid_t pids[2];

static pid_t start_worker(const char *number, const char *how)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		setenv("LBCTL_WORKER", number, 1);
		execl(self, self, "worker", how, "0", deaf, NULL);
		_exit(127);
	}
	return pid;
}

struct queues {
	unsigned int listeners, queued;
};

static struct queues queues(void)
{
	struct queues found = { 0 };
	struct sockdiag_list list;

	assert_int_equal(sockdiag_listeners(IPPROTO_TCP, PORT, &list), 0);
	found.listeners = list.count;
	for (size_t i = 0; i < list.count; i++)
		found.queued += list.items[i].queued;
	sockdiag_free(&list);
	return found;
}

/* Two workers, of which 0 does not accept; no stall is noticed. */
static void begin_attached(const char *how)
{
	pids[0] = start_worker("0", how);
	wait_until(queues().listeners == 1, RUN_MS);
	pids[1] = start_worker("1", how);
	wait_until(queues().listeners == 2, RUN_MS);
	lbctl_ok("attach", "--name", "web", "--policy", "rr", ":8080", NULL);
	lbctl_ok("set", "web", "stall_ms=0", NULL);
}

static void begin_keeper(void)
{
	run_start_verb(&run, "web", "watch", "web", NULL);
	run_expect_keeper(&run);
	runs = true;
}

static void begin_watched(const char *how)
{
	begin_attached(how);
	begin_keeper();
}

static void begin_run(const char *how, const char *holder)
{
	run_start(&run, "web", "-n", "2", "--policy", "rr", "--", self, "worker", how, holder, deaf,
		  NULL);
	run_pids(&run, pids, 2);
	lbctl_ok("set", "web", "stall_ms=0", NULL);
	runs = true;
}

/* What lbctl has made and hands on. */
static void begin_listen(const char *how, const char *holder)
{
	run_start(&run, "web", "-n", "2", "--policy", "rr", "--listen", ":8080", "--", self,
		  "worker", how, holder, deaf, NULL);
	run_pids(&run, pids, 2);
	lbctl_ok("set", "web", "stall_ms=0", NULL);
	runs = true;
}

static void begin_listen_0(const char *how)
{
	begin_listen(how, "0");
}

static void begin_listen_1(const char *how)
{
	begin_listen(how, "1");
}

static void begin_run_0(const char *how)
{
	begin_run(how, "0");
}

static void begin_run_1(const char *how)
{
	begin_run(how, "1");
}

/* A connection that waits at the worker that does not accept. */
static int connect_to(const char *holder)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
					.sin_port = htons(PORT),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const char *other = *holder == '0' ? "1" : "0";
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	lbctl_ok("drain", "web", other, NULL);
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	wait_until(queues().queued == 1, RUN_MS);
	lbctl_ok("resume", "web", other, NULL);
	return fd;
}

/* --- the ways --- */

static void signal_holder(int signal)
{
	assert_int_equal(kill(pids[0], signal), 0);
}

static void rescue_by_hand(void)
{
	lbctl_ok("rescue", "web", "0", NULL);
}

static void rescue_by_keeper(void)
{
	lbctl_ok("set", "web", "stall_ms=100", NULL);
	run_expect_events(&run, 1, "rescued", NULL);
	/* not once more, from the one that sleeps */
	lbctl_ok("set", "web", "stall_ms=0", NULL);
}

static void crash(void)
{
	signal_holder(SIGKILL);
}

static void close_only(void)
{
	signal_holder(SIGUSR1);
}

static void terminate(void)
{
	signal_holder(SIGTERM);
}

/* It waits at the other, and nobody was there to wake that one. */
static void crash_unseen(void)
{
	crash();
	wait_until(queues().listeners == 1 && queues().queued == 1, RUN_MS);
}

static void drain(void)
{
	crash_unseen();
	lbctl_ok("drain", "web", "1", NULL);
}

static void detach(void)
{
	crash_unseen();
	lbctl_ok("detach", "web", NULL);
}

static void next_keeper(void)
{
	crash_unseen();
	begin_keeper();
}

static void scale(void)
{
	lbctl_ok("scale", "web", "1", NULL);
}

static void reload(void)
{
	lbctl_ok("reload", "web", NULL);
}

static void crash_by_hash(void)
{
	lbctl_ok("set-policy", "web", "kernel", NULL);
	crash();
}

static const struct way {
	const char *name;
	const char *holder; /* worker number */
	void (*begin)(const char *how);
	void (*move)(void);
	bool handed_on; /* with its socket, to the next process: then nobody has to be woken */
} ways[] = {
	{ "rescue by hand", "0", begin_attached, rescue_by_hand, false },
	{ "rescue by run", "0", begin_run_0, rescue_by_keeper, false },
	{ "crash, then drain of the other", "0", begin_attached, drain, false },
	{ "crash, then detach", "0", begin_attached, detach, false },
	{ "crash, then watch", "0", begin_attached, next_keeper, false },
	{ "crash under watch", "0", begin_watched, crash, false },
	{ "crash under watch, policy kernel", "0", begin_watched, crash_by_hash, false },
	{ "close under watch", "0", begin_watched, close_only, false },
	{ "SIGTERM under watch", "0", begin_watched, terminate, false },
	{ "crash under run", "0", begin_run_0, crash, false },
	{ "close under run", "0", begin_run_0, close_only, false },
	{ "scale of run", "1", begin_run_1, scale, false },
	{ "reload of run", "0", begin_run_0, reload, false },
	{ "rescue by run --listen", "0", begin_listen_0, rescue_by_keeper, false },
	{ "crash under run --listen", "0", begin_listen_0, crash, true },
	{ "scale of run --listen", "1", begin_listen_1, scale, false },
	{ "reload of run --listen", "0", begin_listen_0, reload, false },
};

static int end(void **state)
{
	/* a watched service outlives its keeper, until runs_reset() */
	if (runs) {
		lbctl_ok("stop", "web", NULL);
		assert_int_equal(run_wait(&run), 0);
	}
	runs = false;
	unlink(HELD);
	return runs_reset(state);
}

/* Returns after how many ms the connection was answered, -1 = it was not. */
static int64_t ms_to_answer(const struct way *way, const char *how)
{
	struct pollfd answer = { .events = POLLIN };
	uint64_t began_ns;
	char byte = 0;

	way->begin(how);
	answer.fd = connect_to(way->holder);
	began_ns = now_ns();
	way->move();
	if (poll(&answer, 1, scaled_ms(ANSWER_MS)) == 1)
		assert_int_equal(read(answer.fd, &byte, 1), 1);
	close(answer.fd);
	return byte == '!' ? (int64_t)((now_ns() - began_ns) / 1000000) : -1;
}

static void expect_answer(const struct way *way, const char *how, bool may_be_deaf,
			  unsigned int *unanswered)
{
	int64_t ms;
	void *none = NULL;

	deaf = kernel_wakes && may_be_deaf ? "deaf" : "hears";
	ms = ms_to_answer(way, how);
	if (ms < 0)
		print_message("%s, a worker that sleeps by %s: not answered\n", way->name, how);
	else
		print_message("%s, a worker that sleeps by %s: answered after %ld ms\n", way->name,
			      how, (long)ms);
	*unanswered += ms < 0;
	assert_int_equal(end(&none), 0);
}

static void test_each_way(void **state)
{
	unsigned int unanswered = 0;

	(void)state;
	needs(migrate);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		expect_answer(&ways[i], "edge", !ways[i].handed_on, &unanswered);
	assert_int_equal(unanswered, 0);
}

/* Whatever it sleeps in, and whatever waking does to that. Only one in epoll can be deaf. */
static void test_each_sleep(void **state)
{
	const struct way way = { "crash under run", "0", begin_run_0, crash, false };
	unsigned int unanswered = 0;

	(void)state;
	needs(migrate);
	for (size_t i = 0; i < ARRAY_SIZE(sleeps); i++)
		expect_answer(&way, sleeps[i].name, false, &unanswered);
	assert_int_equal(unanswered, 0);
}

/* doctor's own trial comes to the same. */
static void test_doctor(void **state)
{
	const char *words = kernel_wakes ? "ok    who sleeps is woken" :
					   "no    wake-ups for connections that migrate";

	(void)state;
	needs(migrate);
	lbctl_expect(0, words, "doctor", NULL);
}

#define quiet_test(function) cmocka_unit_test_teardown(function, end)

/* Inside the world, whose loopback is up. */
static void prepare(void)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", harness_build_path("tests/integration/quiet"));
	self = path;
	kernel_wakes = wake_probe() == 1;
	if (kernel_wakes)
		setenv("LBCTL_WAKE", "always", 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		quiet_test(test_doctor),
		quiet_test(test_each_way),
		quiet_test(test_each_sleep),
	};

	if (argc == 5 && !strcmp(argv[1], "worker"))
		work(argv[2], argv[3], !strcmp(argv[4], "deaf"));
	runs_enter(argv[0]);
	prepare();
	return cmocka_run_group_tests(tests, runs_begin, runs_check_clean);
}
