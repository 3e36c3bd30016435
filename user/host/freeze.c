// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See freeze.h. */
#include "host/freeze.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include "base/cleanup.h"

#define STOP_MS 100
#define NAP_US 50
#define MOST_PASSES 100 /* a process that makes threads faster than they are stopped */

/* The letter of /proc/PID/task/TID/stat, 0 if it is gone. */
static char thread_state(pid_t pid, pid_t tid)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[64], line[512], *end;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	file = fopen(path, "re");
	if (!file || !fgets(line, sizeof(line), file))
		return 0;
	end = strrchr(line, ')');
	return end && end[1] ? end[2] : 0;
}

static bool is_known(const struct freeze *freeze, pid_t tid)
{
	for (size_t i = 0; i < freeze->count; i++) {
		if (freeze->threads[i].tid == tid)
			return true;
	}
	return false;
}

static int seize(struct freeze *freeze, pid_t pid, pid_t tid)
{
	struct frozen_thread *grown;

	grown = reallocarray(freeze->threads, freeze->count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	freeze->threads = grown;
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL))
		return errno == ESRCH || thread_state(pid, tid) == 'Z' ? 0 : -errno;
	freeze->threads[freeze->count++] = (struct frozen_thread){ .tid = tid, .pid = pid };
	/* it may have ended since */
	ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
	return 0;
}

/* A process may be gone: then it has none. */
static int seize_new_threads(struct freeze *freeze, pid_t pid)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *entry;
	char path[64];
	int err = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && !err && (entry = readdir(dir))) {
		if (isdigit((unsigned char)entry->d_name[0]) &&
		    !is_known(freeze, atoi(entry->d_name)))
			err = seize(freeze, pid, atoi(entry->d_name));
	}
	return err;
}

static bool has_stopped(struct frozen_thread *thread)
{
	int status;

	if (thread->stopped)
		return true;
	if (waitpid(thread->tid, &status, __WALL | WNOHANG) != thread->tid)
		return false;
	thread->stopped = true;
	/* our own stop is an event; anything else is a signal that it was about to get */
	if (WIFSTOPPED(status) && !(status >> 16))
		thread->signal = WSTOPSIG(status);
	return true;
}

/*
 * Waits until all have stopped. One that sleeps in the kernel, on a disk say, does not, but it
 * can't come back to its program without stopping.
 */
static int await_stops(struct freeze *freeze)
{
	const struct timespec nap = { .tv_nsec = NAP_US * 1000 };
	size_t stopped = 0;

	for (int waited_us = 0; waited_us < STOP_MS * 1000; waited_us += NAP_US) {
		while (stopped < freeze->count && has_stopped(&freeze->threads[stopped]))
			stopped++;
		if (stopped == freeze->count)
			return 0;
		nanosleep(&nap, NULL);
	}
	for (size_t i = stopped; i < freeze->count; i++) {
		const struct frozen_thread *thread = &freeze->threads[i];

		if (!has_stopped(&freeze->threads[i]) &&
		    thread_state(thread->pid, thread->tid) != 'D')
			return -EBUSY;
	}
	return 0;
}

int freeze_begin(struct freeze *freeze, const pid_t *pids, size_t n)
{
	int err = 0;

	*freeze = (struct freeze){ 0 };
	for (int passes = 0; passes < MOST_PASSES; passes++) {
		size_t before = freeze->count;

		for (size_t i = 0; i < n && !err; i++)
			err = seize_new_threads(freeze, pids[i]);
		if (!err)
			err = await_stops(freeze);
		if (err || freeze->count == before)
			return err;
	}
	return -EBUSY;
}

void freeze_end(struct freeze *freeze)
{
	for (size_t i = 0; i < freeze->count; i++)
		ptrace(PTRACE_DETACH, freeze->threads[i].tid, NULL,
		       (void *)(long)freeze->threads[i].signal);
	free(freeze->threads);
	*freeze = (struct freeze){ 0 };
}

bool freeze_is_stopped(pid_t pid)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *entry;
	char path[64], state;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		state = thread_state(pid, atoi(entry->d_name));
		if (state && !strchr("TtZX", state))
			return false;
	}
	return dir != NULL;
}
