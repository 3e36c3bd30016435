// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See task.h. */
#include "keeper/task.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

struct task {
	struct task_spec spec;
	void *shared, *arg;
	pid_t parent, pid;
	int pidfd;
	sd_event_source *exit_source, *deadline;
	bool over; /* it is only waited for to end */
};

static void task_free(struct task *task)
{
	sd_event_source_disable_unref(task->exit_source);
	sd_event_source_disable_unref(task->deadline);
	close_fd(&task->pidfd);
	if (task->shared)
		munmap(task->shared, task->spec.shared_bytes);
	free(task);
}

static void finish(struct task *task, int status)
{
	if (task->over)
		return;
	task->over = true;
	task->spec.done(task->arg, status, task->shared);
}

static int on_child_exit(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct task *task = arg;
	siginfo_t info = { 0 };

	(void)source;
	(void)events;
	if (waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG) || !info.si_pid)
		info.si_code = CLD_KILLED;
	finish(task, info.si_code == CLD_EXITED ? info.si_status : -EINTR);
	task_free(task);
	return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *arg)
{
	struct task *task = arg;

	(void)source;
	(void)usec;
	kill(task->pid, SIGKILL);
	/* it may be stuck in the kernel: nobody waits for that */
	finish(task, -ETIMEDOUT);
	return 0;
}

__attribute__((noreturn)) static void run_child(const struct task *task)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != task->parent)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	_exit(task->spec.run(task->shared));
}

static int share(struct task *task, const void *shared)
{
	if (!task->spec.shared_bytes)
		return 0;
	task->shared = mmap(NULL, task->spec.shared_bytes, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (task->shared == MAP_FAILED) {
		task->shared = NULL;
		return -errno;
	}
	if (shared)
		memcpy(task->shared, shared, task->spec.shared_bytes);
	return 0;
}

static int watch(sd_event *loop, struct task *task)
{
	int err;

	task->pidfd = syscall(__NR_pidfd_open, task->pid, 0);
	if (task->pidfd < 0)
		return -errno;
	err = sd_event_add_io(loop, &task->exit_source, task->pidfd, EPOLLIN, on_child_exit, task);
	if (err >= 0 && task->spec.deadline_ms != TASK_NO_DEADLINE)
		err = sd_event_add_time_relative(loop, &task->deadline, CLOCK_MONOTONIC,
						 task->spec.deadline_ms * 1000, 0, on_deadline,
						 task);
	return err < 0 ? err : 0;
}

int task_start(sd_event *loop, const struct task_spec *spec, const void *shared, void *arg,
	       struct task **out)
{
	struct task *task = calloc(1, sizeof(*task));
	int err;

	*out = NULL;
	if (!task)
		return -ENOMEM;
	task->spec = *spec;
	task->arg = arg;
	task->pidfd = -1;
	task->parent = getpid();
	err = share(task, shared);
	if (!err) {
		task->pid = fork();
		if (!task->pid)
			run_child(task);
		err = task->pid < 0 ? -errno : watch(loop, task);
		if (err && task->pid > 0) {
			kill(task->pid, SIGKILL);
			waitpid(task->pid, NULL, WNOHANG);
		}
	}
	if (err) {
		task_free(task);
		return err;
	}
	*out = task;
	return 0;
}

void task_cancel(struct task *task)
{
	if (!task)
		return;
	task->over = true;
	kill(task->pid, SIGKILL);
	/* where the loop has ended nobody will hear that the child has */
	if (sd_event_get_state(sd_event_source_get_event(task->exit_source)) == SD_EVENT_FINISHED) {
		waitpid(task->pid, NULL, WNOHANG);
		task_free(task);
	}
}

/* --- descriptors --- */

/*
 * Until the writing end of the gate is closed: the last descriptors are to be those of a process
 * that ends. A signal that is pending ends every wait of a close.
 */
__attribute__((noreturn)) static void outlive(int gate[2])
{
	char byte;

	close(gate[1]);
	if (read(gate[0], &byte, 1) < 0)
		_exit(1);
	alarm(1);
	_exit(0);
}

/*
 * Returns whether another process has the descriptors, until the gate is closed. Nobody waits for
 * it: out of the keeper's process group, it is reaped as an orphan is.
 */
static bool give_away(int gate[2])
{
	pid_t pid = fork();

	if (!pid) {
		setpgid(0, 0);
		outlive(gate);
	}
	return pid > 0;
}

void task_drop_fds(int *fds, size_t n)
{
	int gate[2];
	size_t open = 0;

	for (size_t i = 0; i < n; i++)
		open += fds[i] >= 0;
	if (!open || pipe2(gate, O_CLOEXEC))
		return;
	if (give_away(gate)) {
		for (size_t i = 0; i < n; i++)
			close_fd(&fds[i]);
	}
	close(gate[0]);
	close(gate[1]);
}

void task_drop_fd(int *fd)
{
	task_drop_fds(fd, 1);
}
