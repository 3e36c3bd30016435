// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See wake_probe.h. */
#include "host/wake_probe.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

#define CONNECT_MS 1000

/* r0 = SK_PASS; exit: the kernel's hash chooses, and connections migrate. */
static int load_program(void)
{
	const struct bpf_prog_load_opts options = {
		.sz = sizeof(options),
		.expected_attach_type = BPF_SK_REUSEPORT_SELECT_OR_MIGRATE,
	};
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = SK_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_SK_REUSEPORT, "probe", "Dual BSD/GPL", insns,
			     sizeof(insns) / sizeof(insns[0]), &options);
}

/* Port 0 of *at becomes the one that it has. Returns a descriptor or -errno. */
static int open_listener(struct sockaddr_in *at)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*at);
	const int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)at, sizeof(*at)) || listen(fd, 8) ||
	    getsockname(fd, (struct sockaddr *)at, &len))
		return -errno;
	return fd_steal(&fd);
}

/* Once it waits in the listener's queue. Its end is a reset, which leaves nothing behind. */
static int open_client(const struct sockaddr_in *to, int listener)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const struct linger reset = { .l_onoff = 1 };
	struct pollfd queue = { .fd = listener, .events = POLLIN };

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) ||
	    (connect(fd, (const struct sockaddr *)to, sizeof(*to)) && errno != EINPROGRESS))
		return -errno;
	return poll(&queue, 1, CONNECT_MS) == 1 ? fd_steal(&fd) : -ETIMEDOUT;
}

/*
 * The connection in the queue of `closing` migrates to `heir`, which nobody asks what waits there:
 * epoll knows only whether it was woken.
 */
static int migrate(int *closing, int heir)
{
	_cleanup_close_ int epoll = epoll_create1(EPOLL_CLOEXEC);
	_cleanup_close_ int migrated = -1;
	struct epoll_event event = { .events = EPOLLIN };
	int woken;

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, heir, &event))
		return -errno;
	close_fd(closing);
	woken = epoll_wait(epoll, &event, 1, 0);
	if (woken < 0)
		return -errno;
	migrated = accept4(heir, NULL, NULL, SOCK_CLOEXEC);
	return migrated < 0 ? -EOPNOTSUPP : woken;
}

int wake_probe(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_cleanup_close_ int first = open_listener(&at);
	_cleanup_close_ int program = load_program();
	_cleanup_close_ int second = -1;
	_cleanup_close_ int client = -1;

	if (first < 0)
		return first;
	if (program < 0)
		return program == -EINVAL ? -EOPNOTSUPP : program;
	if (setsockopt(first, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program, sizeof(program)))
		return -errno;
	client = open_client(&at, first);
	if (client < 0)
		return client;
	second = open_listener(&at);
	return second < 0 ? second : migrate(&first, second);
}
