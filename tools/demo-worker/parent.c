/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* fork, signals, wait. The parent holds no listener: a dead worker's queue must be free to move. */
#include "parent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "notify.h"
#include "server.h"

struct parent {
	pid_t pids[DEMO_MAX_WORKERS]; /* 0 = gone */
	int nr;
	int alive;
	int ready; /* children that serve */
	bool failed, stopping;
	int signal_fd, ready_fd;
};

static void signal_all(const struct parent *parent, int signal)
{
	int i;

	for (i = 0; i < parent->nr; i++) {
		if (parent->pids[i])
			kill(parent->pids[i], signal);
	}
}

static void stop(struct parent *parent)
{
	parent->stopping = true;
	signal_all(parent, SIGTERM);
}

static int child_of(const struct parent *parent, pid_t pid)
{
	int i;

	for (i = 0; i < parent->nr; i++) {
		if (parent->pids[i] == pid)
			return i;
	}
	return -1;
}

static void on_exit_of(struct parent *parent, int index, int status)
{
	pid_t pid = parent->pids[index];

	parent->pids[index] = 0;
	parent->alive--;
	if (WIFSIGNALED(status))
		fprintf(stderr, "lbctl-demo-worker: worker %d (pid %d) killed by signal %d\n",
			index, pid, WTERMSIG(status));
	else if (WEXITSTATUS(status))
		parent->failed = true;
}

static void reap(struct parent *parent)
{
	int status, index;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		index = child_of(parent, pid);
		if (index >= 0)
			on_exit_of(parent, index, status);
	}
	if (parent->ready < parent->nr && parent->alive < parent->nr && !parent->stopping) {
		parent->failed = true;
		stop(parent);
	}
}

static void on_signal(struct parent *parent)
{
	struct signalfd_siginfo info;

	if (read(parent->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD)
		reap(parent);
	else if (info.ssi_code != SI_KERNEL) /* a terminal has told the children, too */
		signal_all(parent, info.ssi_signo);
	if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
		parent->stopping = true;
}

static void on_ready(struct parent *parent)
{
	char bytes[DEMO_MAX_WORKERS];
	ssize_t got = read(parent->ready_fd, bytes, sizeof(bytes));

	if (got <= 0) { /* every child has its say or is gone */
		close(parent->ready_fd);
		parent->ready_fd = -1;
		return;
	}
	parent->ready += got;
	if (parent->ready == parent->nr)
		notify_send("READY=1");
}

static void wait_for_all(struct parent *parent)
{
	while (parent->alive) {
		struct pollfd fds[] = {
			{ .fd = parent->signal_fd, .events = POLLIN },
			{ .fd = parent->ready_fd, .events = POLLIN }, /* -1 is ignored */
		};

		if (poll(fds, 2, -1) < 0)
			continue;
		/* first: a child that is ready and then dies did start */
		if (fds[1].revents)
			on_ready(parent);
		if (fds[0].revents)
			on_signal(parent);
	}
}

static void child_run(const struct parent *parent, const struct demo_options *options,
		      parent_worker worker, int ready_fd)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_UNBLOCK, &signals, NULL);
	close(parent->signal_fd);
	close(parent->ready_fd);
	_exit(worker(options, parent->nr, ready_fd));
}

static int start_all(struct parent *parent, const struct demo_options *options,
		     parent_worker worker, int ready_fd)
{
	while (parent->nr < options->workers) {
		pid_t pid = fork();

		if (pid < 0)
			return -errno;
		if (!pid)
			child_run(parent, options, worker, ready_fd);
		parent->pids[parent->nr++] = pid;
		parent->alive++;
	}
	return 0;
}

static int watch_signals(void)
{
	sigset_t signals;

	server_signals(&signals);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_CLOEXEC);
}

int parent_run(const struct demo_options *options, parent_worker worker, void (*before_wait)(void))
{
	struct parent parent = { .signal_fd = watch_signals() };
	int ready[2], err;

	if (parent.signal_fd < 0 || pipe2(ready, O_CLOEXEC)) {
		perror("lbctl-demo-worker: signalfd, pipe");
		return 1;
	}
	parent.ready_fd = ready[0];
	err = start_all(&parent, options, worker, ready[1]);
	close(ready[1]);
	before_wait();
	if (err) {
		fprintf(stderr, "lbctl-demo-worker: fork: %s\n", strerror(-err));
		parent.failed = true;
		stop(&parent);
	}
	wait_for_all(&parent);
	if (parent.ready_fd >= 0)
		close(parent.ready_fd);
	close(parent.signal_fd);
	return parent.failed;
}
