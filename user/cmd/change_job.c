// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See change_job.h. */
#include "cmd/change_job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/trouble.h"

static int spawn(struct change_job *job, char *const argv[], int out)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none;
	int err;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, out, STDERR_FILENO);
	err = posix_spawn(&job->pid, "/proc/self/exe", &files, &attributes, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return -err;
}

int change_job_start(struct change_job *job, char *const argv[])
{
	int ends[2], err;

	*job = (struct change_job){ .fd = -1 };
	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	err = spawn(job, argv, ends[1]);
	close(ends[1]);
	job->fd = ends[0];
	if (err)
		close_fd(&job->fd);
	return err;
}

bool change_job_read(struct change_job *job)
{
	size_t room = sizeof(job->said) - 1 - job->bytes;
	char rest[CHANGE_SAID_BYTES];
	ssize_t n = read(job->fd, room ? job->said + job->bytes : rest, room ? room : sizeof(rest));

	if (n < 0 && errno == EINTR)
		return false;
	if (n > 0)
		job->bytes += room ? n : 0;
	return n <= 0;
}

int change_job_end(struct change_job *job)
{
	int result = 0;

	waitpid(job->pid, &result, 0);
	change_job_leave(job);
	job->said[strcspn(job->said, "\n")] = '\0';
	return WIFEXITED(result) ? WEXITSTATUS(result) : EXIT_FAILED;
}

void change_job_leave(struct change_job *job)
{
	close_fd(&job->fd);
}
