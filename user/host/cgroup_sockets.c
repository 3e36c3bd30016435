// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See cgroup_sockets.h. */
#include "host/cgroup_sockets.h"

#include <errno.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/cgroup.h"

#define BORN_MS 1000 /* until the child has made them */
#define GONE_MS 100  /* until it is gone, once it was killed */

/* The child's memory is a copy, but for this. */
struct made {
	atomic_size_t count;
	int fds[];
};

__attribute__((noreturn)) static void run_child(const struct socket_kind *kinds, size_t n,
						struct made *made, pid_t parent)
{
	/* it has the caller's descriptors, which are not to outlive the caller */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; i < n && getppid() == parent; i++) {
		int fd = socket(kinds[i].family, kinds[i].type | SOCK_CLOEXEC, 0);

		if (fd < 0)
			break;
		made->fds[i] = fd;
		atomic_store(&made->count, i + 1);
	}
	_exit(0);
}

/* Returns 0, or -ETIMEDOUT, and the child has been killed: that one in a frozen cgroup heeds. */
static int await_child(pid_t pid, int pidfd)
{
	struct pollfd ends = { .fd = pidfd, .events = POLLIN };
	int err = 0;

	if (poll(&ends, 1, BORN_MS) != 1) {
		err = -ETIMEDOUT;
		kill(pid, SIGKILL);
		poll(&ends, 1, GONE_MS);
	}
	waitpid(pid, NULL, WNOHANG);
	return err;
}

static int make(int dir_fd, const struct socket_kind *kinds, size_t n, struct made *made)
{
	_cleanup_close_ int pidfd = -1;
	const pid_t parent = getpid();
	pid_t pid = cgroup_fork(dir_fd, CLONE_FILES, &pidfd);

	if (pid < 0)
		return pid;
	if (!pid)
		run_child(kinds, n, made, parent);
	return await_child(pid, pidfd);
}

int cgroup_make_sockets(int dir_fd, const struct socket_kind *kinds, size_t n, int *fds)
{
	const size_t bytes = sizeof(struct made) + n * sizeof(int);
	struct made *made =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	size_t count;
	int err;

	if (made == MAP_FAILED)
		return -errno;
	err = make(dir_fd, kinds, n, made);
	count = atomic_load(&made->count);
	memcpy(fds, made->fds, count * sizeof(*fds));
	munmap(made, bytes);
	for (size_t i = 0; err && i < count; i++)
		close_fd(&fds[i]);
	return err ? err : (int)count;
}
