/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Joining, both ends: packets; what a socket must be; and the worker's side against keepers that
 * behave in every way. Answers are in test_answer.c, the real keeper in integration/join.c.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"
#include "lib/join.h"
#include "lib/packet.h"
#include "send_fds.h"
#include "service/join.h"

static size_t descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* --- packets --- */

static void send_with(int fd, const char *bytes, const int *fds, size_t n)
{
	assert_int_equal(send_fds(fd, bytes, strlen(bytes), fds, n), strlen(bytes));
}

static void test_packets(void **state)
{
	static const struct {
		const char *bytes;
		size_t fds;
		ssize_t want;
	} rows[] = {
		{ "hello", 0, 5 },
		{ "hello", 1, 5 },
		{ "hello", 2, -E2BIG },
		{ "hello", 64, -E2BIG },
		{ "12345678", 0, 8 },
		{ "12345678", 1, 8 },
		{ "123456789", 0, -EMSGSIZE },
		{ "123456789", 1, -EMSGSIZE },
		{ "", 0, 0 },
		{ "", 1, 0 },
	};
	int pair[2], fds[64], passed;
	size_t before;
	char bytes[8];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = pair[0];
	before = descriptors();
	assert_int_equal(lbctl_packet_receive(pair[1], bytes, sizeof(bytes), &passed), -EAGAIN);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		ssize_t got;

		send_with(pair[0], rows[i].bytes, fds, rows[i].fds);
		got = lbctl_packet_receive(pair[1], bytes, sizeof(bytes), &passed);
		if (got != rows[i].want || (passed >= 0) != (got > 0 && rows[i].fds == 1))
			fail_msg("\"%s\" with %zu: %zd, want %zd; descriptor %d", rows[i].bytes,
				 rows[i].fds, got, rows[i].want, passed);
		if (passed >= 0) {
			assert_true(fcntl(passed, F_GETFD) & FD_CLOEXEC);
			close(passed);
		}
		assert_int_equal(descriptors(), before);
	}
	assert_int_equal(lbctl_packet_send(pair[0], "x", 1, pair[0]), 0);
	assert_int_equal(lbctl_packet_receive(pair[1], bytes, sizeof(bytes), &passed), 1);
	assert_true(passed >= 0);
	close(passed);
	close(pair[0]);
	assert_int_equal(lbctl_packet_receive(pair[1], bytes, sizeof(bytes), &passed), 0);
	assert_int_equal(lbctl_packet_send(pair[1], "x", 1, -1), -EPIPE);
	close(pair[1]);
}

/* Nobody reads: the sender is told, and does not wait. */
static void test_full_packet_queue(void **state)
{
	int pair[2], err = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	for (int i = 0; i < 100000 && !err; i++)
		err = lbctl_packet_send(pair[0], "x", 1, -1);
	assert_int_equal(err, -EAGAIN);
	close(pair[0]);
	close(pair[1]);
}

/* --- what a socket must be --- */

static int tcp(int family, int protocol, bool reuseport, bool bound, bool listening)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, protocol), one = 1;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		return -1;
	if (reuseport)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (bound && (family == AF_INET ? bind(fd, (struct sockaddr *)&in, sizeof(in)) :
					  bind(fd, (struct sockaddr *)&in6, sizeof(in6)))) {
		close(fd);
		return -1;
	}
	if (listening)
		assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static int connected(void)
{
	int listener = tcp(AF_INET, 0, true, true, true), fd = tcp(AF_INET, 0, true, false, false);
	struct sockaddr_in at;
	socklen_t len = sizeof(at);

	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	close(listener);
	return fd;
}

static void test_checks(void **state)
{
	const struct {
		const char *name;
		int fd;
		const char *words; /* NULL = may join */
	} rows[] = {
		{ "IPv4", tcp(AF_INET, 0, true, true, true), NULL },
		{ "IPv6", tcp(AF_INET6, 0, true, true, true), NULL },
		{ "closed", 9999, "not a socket" },
		{ "file", open("/dev/null", O_RDONLY | O_CLOEXEC), "not a socket" },
		{ "unix", socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "another family" },
		{ "UDP", socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "not a TCP socket" },
		{ "UDP6", socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), "not a TCP socket" },
		{ "MPTCP", tcp(AF_INET, 262, true, true, true), "MPTCP" },
		{ "no reuseport", tcp(AF_INET, 0, false, true, true), "SO_REUSEPORT" },
		{ "bound", tcp(AF_INET, 0, true, true, false), "does not listen" },
		{ "fresh", tcp(AF_INET, 0, true, false, false), "does not listen" },
		{ "connected", connected(), "does not listen" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct trouble trouble = { 0 };
		int status;

		if (rows[i].fd < 0)
			continue; /* no IPv6, no MPTCP here */
		status = join_check(rows[i].fd, &trouble);
		if (status != (rows[i].words ? EXIT_USAGE : EXIT_DONE) ||
		    (rows[i].words && !strstr(trouble.text, rows[i].words)))
			fail_msg("%s: %d \"%s\"", rows[i].name, status, trouble.text);
		if (rows[i].fd != 9999)
			close(rows[i].fd);
	}
}

/* --- the worker's side --- */

#define PLACE "{\"status\":0,\"worker\":3,\"slot\":5}"
#define HELLO "{\"status\":0,\"text\":\"lbctl\"}"

static char dir[] = "/tmp/test_join.XXXXXX", path[64];

/* Keeper of a test: what it says to the first and to the second question of each connection. */
struct keeper_script {
	const char *name;
	const char *hello, *join;     /* NULL = hangs up; "" = says nothing */
	size_t with_hello, with_join; /* descriptors */
	int busy;		      /* connections that are sent away before */
	int err;
	const char *words;
	int gone; /* calls that are hung up on before */
};

static const struct keeper_script *script;
static int listener = -1, got_sockets;

static bool answer(int fd, const char *bytes, size_t fds)
{
	const int both[] = { listener, listener };
	char question[256];
	int passed;
	ssize_t n = -EAGAIN;

	if (!bytes)
		return false;
	while (n == -EAGAIN) {
		n = lbctl_packet_receive(fd, question, sizeof(question), &passed);
		usleep(100);
	}
	if (passed >= 0) {
		close(passed);
		got_sockets++;
	}
	if (n <= 0)
		return false;
	if (*bytes)
		send_with(fd, bytes, both, fds);
	return true;
}

static void take_call(void)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	char byte;

	if (answer(fd, script->hello, script->with_hello) &&
	    answer(fd, script->join, script->with_join) && read(fd, &byte, 1) < 0)
		perror("read");
	close(fd);
}

static void *keep(void *arg)
{
	int fd;

	for (int i = 0; i < script->busy; i++) {
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		send_with(fd, "{\"status\":1,\"text\":\"busy\",\"again\":true}", NULL, 0);
		close(fd);
	}
	for (int i = 0; i < script->gone; i++)
		close(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	/* who is hung up on calls once more */
	for (int i = script->gone; i < (script->join ? 1 + script->gone : 2); i++)
		take_call();
	return arg;
}

static int begin_keeper(void **state)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/web.sock", dir);
	strcpy(at.sun_path, path);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	return bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 16);
}

static int end_keeper(void **state)
{
	(void)state;
	close(listener);
	unlink(path);
	return rmdir(dir);
}

static const struct keeper_script scripts[] = {
	{ "good", HELLO, PLACE, 0, 1, 0, 0, "", 0 },
	{ "busy first", HELLO, PLACE, 0, 1, 2, 0, "", 0 },
	{ "refuses the user", "{\"status\":4,\"text\":\"you may not\"}", "", 0, 0, 0, -EPERM,
	  "you may not", 0 },
	{ "refuses the socket", HELLO, "{\"status\":2,\"text\":\"not that\"}", 0, 0, 0, -EINVAL,
	  "not that", 0 },
	{ "has no service", HELLO, "{\"status\":3,\"text\":\"none\"}", 0, 0, 0, -ENOENT, "none",
	  0 },
	{ "can't", HELLO, "{\"status\":1,\"text\":\"full\"}", 0, 0, 0, -EBUSY, "full", 0 },
	{ "refuses and sends", HELLO, "{\"status\":1,\"text\":\"full\"}", 0, 1, 0, -EBUSY, "full",
	  0 },
	{ "hangs up", NULL, NULL, 0, 0, 0, -EPROTO, "went away", 1 },
	{ "hangs up later", HELLO, NULL, 0, 0, 0, -EPROTO, "went away", 0 },
	{ "hung up when it died", HELLO, PLACE, 0, 1, 0, 0, "", 1 },
	{ "is stopped", "", "", 0, 0, 0, -ETIMEDOUT, "did not answer", 0 },
	{ "is stopped later", HELLO, "", 0, 0, 0, -ETIMEDOUT, "did not answer", 0 },
	{ "garbage", "hello yourself", "", 0, 0, 0, -EPROTO, "no sense", 0 },
	{ "garbage later", HELLO, "{\"status\":0", 0, 1, 0, -EPROTO, "no sense", 0 },
	{ "no page", HELLO, PLACE, 0, 0, 0, -EPROTO, "no place", 0 },
	{ "two pages", HELLO, PLACE, 0, 2, 0, -EPROTO, "went away", 0 },
	{ "no slot", HELLO, "{\"status\":0,\"worker\":3}", 0, 1, 0, -EPROTO, "no place", 0 },
	{ "wrong slot", HELLO, "{\"status\":0,\"worker\":3,\"slot\":2048}", 0, 1, 0, -EPROTO,
	  "no place", 0 },
	{ "wrong worker", HELLO, "{\"status\":0,\"worker\":1024,\"slot\":0}", 0, 1, 0, -EPROTO,
	  "no place", 0 },
	{ "page too early", HELLO, PLACE, 1, 1, 0, 0, "", 0 },
};

/* Joins at a keeper that behaves so, with the socket `own`; must end as the script says. */
static void run_script(const struct keeper_script *which, int own)
{
	/* where it answers, a busy machine may take its time */
	const struct lbctl_joining joining = {
		"web", path, 3, own, which->err == -ETIMEDOUT ? 300 : 60000,
	};
	struct lbctl_joined joined = { .load_fd = -1 };
	char why[LBCTL_WHY_BYTES] = "";
	size_t before = descriptors();
	pthread_t thread;
	int err;

	script = which;
	got_sockets = 0;
	assert_int_equal(pthread_create(&thread, NULL, keep, NULL), 0);
	err = lbctl_join(&joining, &joined, why);
	pthread_join(thread, NULL);
	if (err != script->err || !strstr(why, script->words))
		fail_msg("keeper %s: %d \"%s\", want %d \"%s\"", script->name, err, why,
			 script->err, script->words);
	if (!err) {
		assert_int_equal(joined.slot, 5);
		assert_int_equal(joined.worker, 3);
		close(joined.load_fd);
	}
	/* the socket goes only to a keeper that has said hello */
	assert_int_equal(got_sockets,
			 script->hello && !strcmp(script->hello, HELLO) && script->join);
	if (descriptors() != before)
		fail_msg("keeper %s: %zu descriptors, before %zu", script->name, descriptors(),
			 before);
}

static void test_keepers(void **state)
{
	int own = tcp(AF_INET, 0, true, true, true);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++)
		run_script(&scripts[i], own);
	close(own);
}

static void test_no_keeper(void **state)
{
	struct lbctl_joining joining = { "web", "/nowhere/web.sock", -1, 0, 300 };
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct lbctl_joined joined;
	char why[LBCTL_WHY_BYTES], dead[80], longer[200];
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(lbctl_join(&joining, &joined, why), -ENOENT);
	assert_non_null(strstr(why, "no keeper of web"));
	snprintf(dead, sizeof(dead), "%s/dead", dir);
	strcpy(at.sun_path, dead);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	close(fd);
	joining.path = dead;
	assert_int_equal(lbctl_join(&joining, &joined, why), -ECONNREFUSED);
	assert_non_null(strstr(why, "is dead"));
	unlink(dead);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	joining.path = longer;
	assert_int_equal(lbctl_join(&joining, &joined, why), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets),	  cmocka_unit_test(test_full_packet_queue),
		cmocka_unit_test(test_checks),	  cmocka_unit_test(test_keepers),
		cmocka_unit_test(test_no_keeper),
	};

	return cmocka_run_group_tests(tests, begin_keeper, end_keeper);
}
