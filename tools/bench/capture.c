// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See capture.h. */
#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "client.h"
#include "cmd.h"

#define LOOK_MS 100 /* at cmd_stop */
#define NS_PER_MS 1000000ULL

static void become(const char *const *argv, const char *dir, int out)
{
	int null = open("/dev/null", O_RDWR);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(null, 2) < 0 ||
	    (dir && chdir(dir)))
		_exit(126);
	execvp(argv[0], (char *const *)argv);
	_exit(errno == ENOENT ? CAPTURE_NOT_FOUND : 126);
}

static pid_t start(const char *const *argv, const char *dir, int *out)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid)
		become(argv, dir, ends[1]);
	close(ends[1]);
	if (pid < 0)
		close(ends[0]);
	else
		*out = ends[0];
	return pid < 0 ? -errno : pid;
}

/* Until the other side has closed it. */
static int read_all(int fd, unsigned int timeout_ms, FILE *into)
{
	uint64_t end_ns = client_now_ns() + timeout_ms * NS_PER_MS;
	struct pollfd readable = { fd, POLLIN, 0 };
	char part[4096];
	ssize_t got;

	while (!cmd_stop) {
		if (client_now_ns() >= end_ns)
			return -ETIMEDOUT;
		if (poll(&readable, 1, LOOK_MS) <= 0)
			continue;
		got = read(fd, part, sizeof(part));
		if (!got)
			return 0;
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0 && fwrite(part, 1, got, into) != (size_t)got)
			return -ENOMEM;
	}
	return -EINTR;
}

int capture_run(const char *const *argv, const char *dir, unsigned int timeout_ms, char **out)
{
	_cleanup_close_ int fd = -1;
	size_t size;
	FILE *into;
	int err, status;
	pid_t pid;

	*out = NULL;
	into = open_memstream(out, &size);
	if (!into)
		return -errno;
	pid = start(argv, dir, &fd);
	err = pid < 0 ? pid : read_all(fd, timeout_ms, into);
	if (fclose(into) && !err)
		err = -ENOMEM;
	if (pid < 0)
		return err;
	if (err)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	if (err)
		return err;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
