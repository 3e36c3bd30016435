/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a worker process is started with. */
#ifndef SPAWN_SPEC_H
#define SPAWN_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Descriptors from here on are LISTEN_FDS; then the worker's end of the channel, then ours. */
#define SPAWN_FIRST_FD 3

struct spawn_spec {
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
	const char *user;	  /* become this user, or NULL */
	bool no_new_privileges;	  /* by set-user-ID files and the like */
	uint64_t watchdog_ms;	  /* WATCHDOG_USEC; 0 = none */
	int parent_death_signal;  /* of --with-controller; 0 = none */
	uint32_t instance;	  /* LBCTL_INSTANCE */
	const char *instance_var; /* one more variable for the worker's number, or NULL */
	const char *cwd;	  /* absolute, or NULL: where lbctl is */
	bool needs_cwd;		  /* the start fails where that can't be entered */
	const char *env_file;	  /* from there; or NULL */
	char **environment;	  /* NULL: that of lbctl */
	bool forks;		  /* it makes the workers itself, and is none */
	const char *node_package; /* to be loaded by Node.js, so that its cluster has sockets */
};

/*
 * What a report may say beside -errno: minus one of these and errno, or the number of the line that
 * is no NAME=VALUE.
 */
#define SPAWN_CWD 10000
#define SPAWN_ENV_FILE 20000
#define SPAWN_ENV_LINE 30000

/* The variable that names the worker's end of its message channel. */
#define SPAWN_CHANNEL "LBCTL_CHANNEL_FD"

#endif
