// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Who waits at a socket of ours, by which call; and the texts of /proc. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "check.h"
#include "host/proc_file.h"
#include "host/waits.h"

#define WAIT_MS 5000

static int open_socket(int type)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 5), 0);
	return fd;
}

static uint64_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

/* --- ways to wait, in a child --- */

static void do_nothing(int fd)
{
	(void)fd;
	sleep(60);
}

static void do_accept(int fd)
{
	accept(fd, NULL, NULL);
}

static void do_accept4(int fd)
{
	accept4(fd, NULL, NULL, SOCK_CLOEXEC);
}

static void do_accept_copy(int fd)
{
	accept(dup(fd), NULL, NULL);
}

static void do_receive(int fd)
{
	char byte;

	recvfrom(fd, &byte, 1, 0, NULL, NULL);
}

static void do_poll(int fd)
{
	struct pollfd fds[] = { { -1, POLLIN, 0 }, { STDERR_FILENO, 0, 0 }, { fd, POLLIN, 0 } };

	poll(fds, ARRAY_SIZE(fds), -1);
}

static void poll_another(int fd)
{
	struct pollfd other = { open_socket(SOCK_STREAM), POLLIN, 0 };

	(void)fd;
	poll(&other, 1, -1);
}

static void do_select(int fd)
{
	fd_set fds;

	FD_ZERO(&fds);
	FD_SET(fd, &fds);
	select(fd + 1, &fds, NULL, NULL, NULL);
}

static void select_another(int fd)
{
	fd_set fds;
	int other = open_socket(SOCK_STREAM);

	(void)fd;
	FD_ZERO(&fds);
	FD_SET(other, &fds);
	select(other + 1, &fds, NULL, NULL, NULL);
}

static void do_epoll(int fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	epoll_wait(epoll, &event, 1, -1);
}

static void *accept_in_thread(void *arg)
{
	do_accept(*(int *)arg);
	return NULL;
}

static void do_thread(int fd)
{
	pthread_t thread;

	pthread_create(&thread, NULL, accept_in_thread, &fd);
	sleep(60);
}

static const struct {
	const char *name;
	int type;
	void (*wait)(int fd);
	bool want;
} rows[] = {
	{ "does something else", SOCK_STREAM, do_nothing, false },
	{ "accept", SOCK_STREAM, do_accept, true },
	{ "accept4", SOCK_STREAM, do_accept4, true },
	{ "accept on a duplicate", SOCK_STREAM, do_accept_copy, true },
	{ "accept in a thread", SOCK_STREAM, do_thread, true },
	{ "poll", SOCK_STREAM, do_poll, true },
	{ "poll on another one", SOCK_STREAM, poll_another, false },
	{ "select", SOCK_STREAM, do_select, true },
	{ "select on another one", SOCK_STREAM, select_another, false },
	{ "epoll", SOCK_STREAM, do_epoll, true },
	{ "recvfrom", SOCK_DGRAM, do_receive, true },
	{ "poll of UDP", SOCK_DGRAM, do_poll, true },
};

/* Until its first thread sleeps in a call, and that for a while. */
static void await_sleep(pid_t pid)
{
	char text[256];

	for (int asleep = 0, ms = 0; asleep < 20; ms++) {
		assert_in_range(ms, 0, WAIT_MS);
		usleep(1000);
		asleep = proc_file_read(pid, "syscall", text, sizeof(text)) > 0 && *text != 'r' ?
				 asleep + 1 :
				 0;
	}
}

static void test_ways_to_wait(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fd = open_socket(rows[i].type);
		uint64_t inode = inode_of(fd);
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			rows[i].wait(fd);
			_exit(0);
		}
		await_sleep(pid);
		check("waits", rows[i].name, waits_at(&inode, 1, &pid, 1), rows[i].want);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		check("waits, ended", rows[i].name, waits_at(&inode, 1, &pid, 1), false);
		close(fd);
	}
}

static void test_texts(void **state)
{
	static const char *const nothing[] = {
		"",
		"running\n",
		"-1 0x7ffe 0x7f\n",
		"999999 0x3 0x0 0x0 0x0 0x0 0x0 0x1 0x2\n",
	};
	struct waits_call call;
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(nothing); i++) {
		waits_parse(nothing[i], &call);
		check("how", nothing[i], call.how, WAITS_NOT);
	}
	snprintf(text, sizeof(text), "%d 0x7ffe0010 0x2 0x0 0x0 0x0 0x0 0x1 0x2\n", SYS_ppoll);
	waits_parse(text, &call);
	check("how", text, call.how, WAITS_POLL);
	check("first", text, call.args[0], 0x7ffe0010);
	check("second", text, call.args[1], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ways_to_wait),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
