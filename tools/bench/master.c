// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lb-bench master PORT N COMMAND...: the peer `master`. Accepts for N workers and hands them the
 * descriptors in turn, each through a Unix socket, as Node.js' cluster and PM2 do, without the
 * cost of their runtime. A worker finds its end as LISTEN_FDS does it.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "cmd.h"

#define MAX_WORKERS 64
#define BACKLOG 2048
#define FIRST_FD 3

struct master {
	int listener;
	int channels[MAX_WORKERS];
	unsigned int workers, next;
};

static int open_listener(uint16_t port)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
	    bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) || listen(fd, BACKLOG))
		return -errno;
	return fd_steal(&fd);
}

static void run_worker(int channel, unsigned int number, char **command)
{
	char text[16];

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	snprintf(text, sizeof(text), "%u", number);
	setenv("LBCTL_WORKER", text, 1);
	setenv("LISTEN_FDS", "1", 1);
	snprintf(text, sizeof(text), "%d", getpid());
	setenv("LISTEN_PID", text, 1);
	/* dup2() of a descriptor to itself would leave it close-on-exec */
	if (channel == FIRST_FD)
		fcntl(channel, F_SETFD, 0);
	else if (dup2(channel, FIRST_FD) < 0)
		_exit(1);
	execv(command[0], command);
	_exit(127);
}

static int start_worker(struct master *master, char **command)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	pid = fork();
	if (!pid)
		run_worker(pair[1], master->workers, command);
	close(pair[1]);
	if (pid < 0)
		return -errno;
	master->channels[master->workers++] = pair[0];
	return 0;
}

/* Returns whether the worker took it: it is full, or gone, else. */
static bool hand_over(int channel, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .header = {
			      .cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS,
			      .cmsg_len = CMSG_LEN(sizeof(int)),
		      } };
	struct iovec data = { "", 1 };
	const struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	return sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

static void dispatch(struct master *master, int fd)
{
	for (unsigned int tries = 0; tries < master->workers; tries++) {
		int channel = master->channels[master->next];

		master->next = (master->next + 1) % master->workers;
		if (hand_over(channel, fd))
			return;
	}
	/* all are full: wait for one rather than to lose the connection */
	poll(&(struct pollfd){ master->channels[master->next], POLLOUT, 0 }, 1, 1000);
	hand_over(master->channels[master->next], fd);
}

static int run(struct master *master)
{
	for (;;) {
		_cleanup_close_ int fd =
			accept4(master->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			dispatch(master, fd);
		else if (errno != EINTR && errno != ECONNABORTED)
			return -errno;
	}
}

int cmd_master(int argc, char **argv)
{
	struct master master = { 0 };
	struct trouble trouble = { 0 };
	uint64_t port, workers;
	int err;

	if (argc < 4 || parse_u64(argv[1], 1, 65535, &port) ||
	    parse_u64(argv[2], 1, MAX_WORKERS, &workers)) {
		trouble_set(&trouble, EXIT_USAGE,
			    "master: usage: lb-bench master PORT N COMMAND...");
		return cmd_fail(&trouble);
	}
	err = master.listener = open_listener(port);
	while (err >= 0 && master.workers < workers)
		err = start_worker(&master, argv + 3);
	if (err >= 0)
		err = run(&master);
	trouble_set(&trouble, EXIT_FAILED, "master: %s", strerror(-err));
	return cmd_fail(&trouble);
}
