// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Who is idle is seen whatever way a worker waits for connections: one that was held goes to it as
 * soon as it waits again, by each way there is, also in a thread or a process that came later, or
 * in one that was there before its socket was, as with gunicorn. The test is its own worker:
 * `hold_idle worker WAY`.
 */
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/events.h"
#include "harness/maps.h"
#include "harness/processes.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT 8080
#define BUSY_MS 200
#define LATER 3 /* connections, until the thread or process that comes later takes over */

static const char *self;
static struct run run;

/* --- the worker --- */

static int listener;

static void wait_by_epoll(uint32_t how)
{
	static __thread int epoll = -1;
	struct epoll_event event = { .events = EPOLLIN | how };

	if (epoll < 0) {
		epoll = epoll_create1(EPOLL_CLOEXEC);
		epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	}
	epoll_wait(epoll, &event, 1, -1);
}

static void wait_by_level(void)
{
	wait_by_epoll(0);
}

static void wait_by_edge(void)
{
	wait_by_epoll(EPOLLET);
}

static void wait_by_poll(void)
{
	struct pollfd wanted = { .fd = listener, .events = POLLIN };

	poll(&wanted, 1, -1);
}

static void wait_by_select(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(listener, &set);
	select(listener + 1, &set, NULL, NULL, NULL);
}

/* accept() itself does. */
static void wait_by_accept(void)
{
}

static const struct way {
	const char *name;
	void (*wait)(void);
	enum { FOR_GOOD, THREAD_LATER, CHILD_LATER, CHILD_BEFORE, IN_A_CROWD } who;
} ways[] = {
	{ "epoll", wait_by_level, FOR_GOOD },
	{ "edge", wait_by_edge, FOR_GOOD },
	{ "poll", wait_by_poll, FOR_GOOD },
	{ "select", wait_by_select, FOR_GOOD },
	{ "accept", wait_by_accept, FOR_GOOD },
	{ "thread", wait_by_level, THREAD_LATER },
	{ "child", wait_by_level, CHILD_LATER },
	{ "polling-thread", wait_by_poll, THREAD_LATER },
	{ "accepting-child", wait_by_accept, CHILD_LATER },
	{ "earlier-child", wait_by_select, CHILD_BEFORE },
	{ "crowd", wait_by_level, IN_A_CROWD },
};

#define CROWD 1000 /* threads that do nothing */

static void serve_one(int fd)
{
	static const char answer[] = "HTTP/1.0 200 OK\r\nX-Worker: 0\r\n\r\n";
	char request[512];
	ssize_t n = read(fd, request, sizeof(request) - 1);

	request[n < 0 ? 0 : n] = '\0';
	if (strstr(request, "/busy"))
		usleep(BUSY_MS * 1000);
	if (write(fd, answer, strlen(answer)) < 0)
		exit(3);
	close(fd);
}

/* So many connections; 0 = any number. */
static void serve(const struct way *way, int most)
{
	for (int served = 0; !most || served < most;) {
		int fd;

		way->wait();
		while ((!most || served < most) &&
		       (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
			serve_one(fd);
			served++;
		}
	}
}

/* A child, and its child, which serves once there is something to serve. */
static void serve_in_grandchild(const struct way *way)
{
	int listens = 0;
	socklen_t len = sizeof(listens);

	if (fork())
		return;
	if (!fork()) {
		while (!getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) && !listens)
			usleep(1000);
		serve(way, 0);
	}
	for (;;)
		pause();
}

static void *do_nothing(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void make_crowd(void)
{
	pthread_attr_t small;
	pthread_t thread;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	for (int i = 0; i < CROWD; i++) {
		if (pthread_create(&thread, &small, do_nothing, NULL))
			exit(4);
	}
}

static void *serve_on(void *way)
{
	serve(way, 0);
	return NULL;
}

__attribute__((noreturn)) static void work(const char *name)
{
	const struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	const struct way *way = ways;
	const int on = 1;
	pthread_t thread;

	while (strcmp(way->name, name))
		way++;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (way->who == CHILD_BEFORE)
		serve_in_grandchild(way);
	if (way->who == IN_A_CROWD)
		make_crowd();
	if (setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) ||
	    bind(listener, (const struct sockaddr *)&at, sizeof(at)) || listen(listener, 64))
		exit(2);
	if (way->wait != wait_by_accept)
		fcntl(listener, F_SETFL, O_NONBLOCK);
	while (way->who == CHILD_BEFORE)
		pause();
	serve(way, way->who == FOR_GOOD || way->who == IN_A_CROWD ? 0 : LATER);
	if (way->who == THREAD_LATER)
		pthread_create(&thread, NULL, serve_on, (void *)way);
	else if (!fork())
		serve(way, 0);
	for (;;)
		pause();
}

/* --- the tests --- */

static int ask(const char *path)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
					.sin_port = htons(PORT),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char request[64];

	snprintf(request, sizeof(request), "GET %s HTTP/1.0\r\n\r\n", path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(write(fd, request, strlen(request)), (ssize_t)strlen(request));
	return fd;
}

static void expect_answer(int fd)
{
	char text[256];

	assert_true(read(fd, text, sizeof(text)) > 0);
	close(fd);
}

/* So many held ones waited for this worker so far, and none was given to it while it was busy. */
static void expect_held(uint64_t want)
{
	struct counters now;

	counters_read("web", &now);
	assert_int_equal(now.held, want);
	assert_int_equal(now.waited[0], want);
	assert_int_equal(now.held_late, 0);
}

static uint64_t last_sleep_ns(void)
{
	struct lb_idle *mapped = map_mmap("web", "lb_idle", LB_ALL_SLOTS * sizeof(*mapped));
	uint64_t slept_ns = mapped[0].slept_ns;

	munmap(mapped, LB_ALL_SLOTS * sizeof(*mapped));
	return slept_ns;
}

/*
 * 1. some connections, so that whoever comes later is there
 * 2. a busy request, and another one: that is held, and answered when the first one is
 * 3. once more
 */
static void expect_seen(const struct way *way)
{
	uint64_t served_ns;

	print_message("%s\n", way->name);
	run_start(&run, "web", "-n", "1", "--policy", "least-conn", "--", self, "worker", way->name,
		  NULL);
	run_expect_up(&run, 1);
	lbctl_ok("set", "web", "hold_ms=60000", "stall_ms=0", NULL);
	run_expect_events(&run, 1, "holding", NULL);
	served_ns = now_ns();
	for (int i = 0; i < LATER + 2; i++) {
		expect_answer(ask("/"));
		usleep(20000);
	}
	assert_true(last_sleep_ns() > served_ns);
	for (uint64_t i = 1; i <= 2; i++) {
		uint64_t begun_ns = now_ns();
		int busy = ask("/busy"), held;

		usleep(BUSY_MS * 1000 / 4);
		held = ask("/");
		expect_answer(busy);
		expect_answer(held);
		assert_true(now_ns() - begun_ns < scaled_ms(10 * BUSY_MS) * 1000000);
		expect_held(i);
		usleep(20000);
	}
	run_stop(&run);
}

static void test_each_way(void **state)
{
	(void)state;
	needs(hold);
	for (const struct way *way = ways; way->who != IN_A_CROWD; way++) {
		expect_seen(way);
		runs_reset(NULL);
	}
}

static void run_on_cpu(pid_t pid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	assert_int_equal(sched_setaffinity(pid, sizeof(set), &set), 0);
}

/* Nobody else runs on that CPU until it is killed, or for two seconds. */
static pid_t occupy_cpu(int cpu)
{
	const struct sched_param first = { .sched_priority = 2 };
	uint64_t end_ns = now_ns() + 2000000000ULL;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	run_on_cpu(0, cpu);
	sched_setscheduler(0, SCHED_FIFO, &first);
	while (now_ns() < end_ns)
		continue;
	_exit(0);
}

/*
 * 1. a worker has a thousand threads, which would take as many descriptors of who follows them
 * 2. it is looked at now and then instead: what is held comes to it all the same
 */
static void test_crowd(void **state)
{
	char path[64];
	int busy, held;
	pid_t holder;

	(void)state;
	needs(hold);
	run_start(&run, "web", "-n", "1", "--policy", "least-conn", "--", self, "worker", "crowd",
		  NULL);
	run_expect_up(&run, 1);
	lbctl_ok("set", "web", "hold_ms=60000", "stall_ms=0", NULL);
	run_expect_events(&run, 1, "holding", NULL);
	holder = processes_child_named(run.pid, "lbctl-hold");
	assert_true(holder > 0);
	snprintf(path, sizeof(path), "/proc/%d/fd", holder);
	assert_in_range(count_entries(path, false), 1, CROWD / 2);
	busy = ask("/busy");
	usleep(BUSY_MS * 1000 / 4);
	held = ask("/");
	expect_answer(busy);
	expect_answer(held);
	expect_held(1);
	run_stop(&run);
}

#define AT_ONCE 5

/*
 * 1. a worker that sleeps in select() is woken by a connection, and its CPU has other things to do
 * 2. it is not idle: the next connections are held, and come to it one after the other
 */
static void test_woken_and_not_running(void **state)
{
	int fds[AT_ONCE];
	pid_t hog, pid;

	(void)state;
	needs(hold);
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		skip();
	run_start(&run, "web", "-n", "1", "--policy", "least-conn", "--", self, "worker", "select",
		  NULL);
	run_expect_up(&run, 1);
	lbctl_ok("set", "web", "hold_ms=60000", "stall_ms=0", NULL);
	run_expect_events(&run, 1, "holding", NULL);
	expect_answer(ask("/"));
	run_pids(&run, &pid, 1);
	run_on_cpu(pid, 0);
	run_on_cpu(0, 1);
	usleep(50000);
	hog = occupy_cpu(0);
	usleep(20000);
	for (int i = 0; i < AT_ONCE; i++) {
		fds[i] = ask("/");
		usleep(5000);
	}
	kill(hog, SIGKILL);
	waitpid(hog, NULL, 0);
	for (int i = 0; i < AT_ONCE; i++)
		expect_answer(fds[i]);
	expect_held(AT_ONCE - 1);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_each_way),
		runs_test(test_crowd),
		runs_test(test_woken_and_not_running),
	};

	if (argc == 3 && !strcmp(argv[1], "worker"))
		work(argv[2]);
	self = argv[0];
	return runs_run(argv[0], tests);
}
