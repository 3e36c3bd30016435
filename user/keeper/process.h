/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Start a worker process: its cgroup, environment, descriptors and output. */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process_spec {
	char *const *argv;
	const char *service;
	uint32_t worker;       /* its number */
	uint32_t workers;      /* of how many */
	int cgroup_fd;	       /* where it is born */
	const int *listen_fds; /* handed over by the socket-activation protocol */
	size_t nr_listen_fds;
	const char *notify_path; /* NOTIFY_SOCKET, or NULL */
	/* append stdout and stderr here; NULL, and where that can't be opened: as lbctl's own */
	const char *log_path;
	const char *user;     /* become this user, or NULL */
	uint64_t watchdog_ms; /* WATCHDOG_USEC; 0 = none */
	bool die_with_parent; /* --with-controller */
};

struct process {
	pid_t pid;
	int pidfd;
	int channel_fd; /* our end of NODE_CHANNEL_FD */
};

/*
 * Raises this process's limit of open files as far as it may go, as it holds a few per worker.
 * Workers get the limit that was there before.
 */
void process_raise_file_limit(void);

/*
 * Starts the program in a process group of its own. Both ends of its message channel stay open in
 * it, so that a dead lbctl is no closed channel; the next one fetches our end with
 * process_fetch_channel().
 *
 * Returns 0, or -errno: -ENOENT (command not found), -EACCES (not executable), -ESRCH (no such
 * user) and whatever else fork and exec say. Then nothing runs.
 */
int process_start(const struct process_spec *spec, struct process *process);

/*
 * Sends a signal to the process and its group: a shell or npm in front of a server hands nothing
 * on. Without CAP_KILL it is sent as `user` (--user, or NULL), whom we can become.
 * Returns 0, -ESRCH, or -EPERM.
 */
int process_signal(pid_t pid, const char *user, int signal_number);

/*
 * Our end of the channel out of a worker that another lbctl started, or -errno: -ENOTSOCK where the
 * worker has another file there now.
 */
int process_fetch_channel(pid_t pid);

/*
 * Its index-th socket of LISTEN_FDS, if there still is one that listens, or one of UDP, on this
 * port; or -errno.
 */
int process_fetch_listener(pid_t pid, uint32_t index, uint8_t proto, uint16_t port);

#endif
