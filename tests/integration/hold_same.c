// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A connection that was held is the same as any other: its worker finds all options as its listener
 * has them. The test is its own worker: `hold_same worker OPTIONS`. It keeps its first connection,
 * sleeps a while when it is asked to, so that the next one is held, and answers that one with the
 * first option in which the two differ.
 */
#include "harness/clients.h"
#include "harness/commands.h"
#include "harness/counters.h"
#include "harness/events.h"
#include "harness/runs.h"
#include "harness/world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/socket_like.h"

#define PORT 8080
#define BUSY_MS 300
/* While there is such a file, a worker "later" is one of a new version. */
#define NEW_VERSION "/run/test/new-version"

static const char *self;
static struct run run;

/* --- the worker --- */

static void set_number(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)))
		exit(10);
}

/* As unlike a fresh socket as it gets. */
static void set_many(int fd)
{
	const struct timeval second = { .tv_sec = 1 };
	const struct linger linger = { .l_onoff = 1, .l_linger = 2 };

	set_number(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_number(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	set_number(fd, SOL_SOCKET, SO_PRIORITY, 4);
	set_number(fd, SOL_SOCKET, SO_RCVLOWAT, 2);
	set_number(fd, SOL_SOCKET, SO_SNDBUF, 40000);
	set_number(fd, SOL_SOCKET, SO_RCVBUF, 50000);
	set_number(fd, IPPROTO_IP, IP_TOS, 0x10);
	set_number(fd, IPPROTO_IP, IP_TTL, 33);
	set_number(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_number(fd, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	set_number(fd, IPPROTO_TCP, TCP_KEEPINTVL, 7);
	set_number(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
	set_number(fd, IPPROTO_TCP, TCP_SYNCNT, 4);
	set_number(fd, IPPROTO_TCP, TCP_LINGER2, 9);
	set_number(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 4321);
	set_number(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384);
	set_number(fd, IPPROTO_TCP, TCP_SAVE_SYN, 1);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second)) ||
	    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4))
		exit(11);
	/* root's */
	if (!geteuid()) {
		set_number(fd, SOL_SOCKET, SO_MARK, 5);
		if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2))
			exit(12);
	}
}

/* It lets all through; what an accepted socket inherits of it nobody can read. */
static void set_filter(int fd)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, 0xffff);
	const struct sock_fprog filter = { .len = 1, .filter = &all };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)))
		exit(13);
}

static int listen_with(const char *options)
{
	const struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!strcmp(options, "many"))
		set_many(fd);
	if (!strcmp(options, "filter"))
		set_filter(fd);
	if (!strcmp(options, "later") && !access(NEW_VERSION, F_OK))
		set_number(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_number(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) || listen(fd, 64))
		exit(14);
	return fd;
}

static void answer(int fd, const char *what)
{
	char text[256];

	snprintf(text, sizeof(text), "HTTP/1.0 200 OK\r\nX-Worker: 0\r\nX-Differs: %s\r\n\r\n",
		 what ? what : "nothing");
	if (write(fd, text, strlen(text)) < 0)
		exit(15);
}

/* The first connection is kept, open, to be compared with. */
__attribute__((noreturn)) static void work(const char *options)
{
	int listener = listen_with(options), first = -1, fd;
	char request[512];

	for (;;) {
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		if (read(fd, request, sizeof(request)) < 1)
			exit(16);
		if (first < 0) {
			first = dup(fd);
			/* the next one comes meanwhile, and is held */
			usleep(BUSY_MS * 1000);
		}
		answer(fd, socket_differs(first, fd, true));
		shutdown(fd, SHUT_WR);
		close(fd);
	}
}

/* --- the tests --- */

static int ask(void)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
					.sin_port = htons(PORT),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(write(fd, "GET / HTTP/1.0\r\n\r\n", 18), 18);
	return fd;
}

static void expect_same(int fd)
{
	char text[512] = "";
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	close(fd);
	if (!strstr(text, "X-Differs: nothing"))
		fail_msg("answered: %s", text);
}

static void start(const char *options, const char *user)
{
	needs(hold);
	if (user)
		run_start(&run, "web", "-n", "1", "--policy", "least-conn", "--user", user, "--",
			  self, "worker", options, NULL);
	else
		run_start(&run, "web", "-n", "1", "--policy", "least-conn", "--", self, "worker",
			  options, NULL);
	run_expect_up(&run, 1);
	lbctl_ok("set", "web", "hold_ms=20000", NULL);
}

static void expect_same_options(const char *options, const char *user)
{
	struct counters after;
	int first, second;

	start(options, user);
	run_expect_events(&run, 1, "holding", NULL);
	first = ask();
	usleep(BUSY_MS * 1000 / 3);
	second = ask();
	expect_same(first);
	expect_same(second);
	counters_read("web", &after);
	assert_int_equal(after.held, 1);
	assert_int_equal(after.waited[0], 1);
	run_stop(&run);
}

static void test_plain(void **state)
{
	(void)state;
	expect_same_options("none", NULL);
}

static void test_many_options(void **state)
{
	(void)state;
	expect_same_options("many", NULL);
}

static void test_another_user(void **state)
{
	(void)state;
	expect_same_options("many", "nobody");
}

/* What can't be copied: nothing is held, which is told, and all are served. */
static void test_filter(void **state)
{
	int first, second;
	json_t *show;
	char *procs;

	(void)state;
	start("filter", NULL);
	run_expect_events(&run, 1, "not-holding", "{s:s}", "why",
			  "SO_ATTACH_FILTER of a worker's listening socket can't be copied");
	/* who tried has left the service's cgroup again */
	procs = file_read(CGROUPS "/lbctl-web/cgroup.procs");
	assert_string_equal(procs, "");
	free(procs);
	show = lbctl_json("show", "web", "--json", NULL);
	assert_false(json_is_true(json_object_get(show, "holding")));
	assert_non_null(strstr(json_string_value(json_object_get(show, "hold_obstacle")),
			       "SO_ATTACH_FILTER"));
	json_decref(show);
	first = ask();
	second = ask();
	expect_same(first);
	expect_same(second);
	run_stop(&run);
}

static void expect_held_is_same(void)
{
	int first = ask(), second;

	usleep(BUSY_MS * 1000 / 3);
	second = ask();
	expect_same(first);
	expect_same(second);
}

/*
 * A worker of a new version, with an option that the old one's socket had not: what waits for the
 * old one doesn't go to it, holding ends, and goes on with sockets like those of the new version.
 */
static void test_another_version(void **state)
{
	struct counters after;

	(void)state;
	start("later", NULL);
	run_expect_events(&run, 1, "holding", NULL);
	expect_held_is_same();
	file_write(NEW_VERSION, "");
	lbctl_ok("reload", "web", NULL);
	run_expect_events(&run, 1, "not-holding", "{s:s}", "why",
			  "the workers' listening sockets differ in TCP_NODELAY");
	run_expect_events(&run, 2, "holding", NULL);
	expect_held_is_same();
	counters_read("web", &after);
	assert_int_equal(after.held, 2);
	run_stop(&run);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		runs_test(test_plain),		 runs_test(test_many_options),
		runs_test(test_another_user),	 runs_test(test_filter),
		runs_test(test_another_version),
	};

	if (argc == 3 && !strcmp(argv[1], "worker"))
		work(argv[2]);
	self = argv[0];
	return runs_run(argv[0], tests);
}
