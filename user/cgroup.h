/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The cgroup v2 directories of a service that lbctl runs: one for the service, below it one per
 * worker process, named `w<worker>-<generation>`. They outlive lbctl, so they are how the next
 * one finds the living workers.
 */
#ifndef CGROUP_H
#define CGROUP_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Path of the cgroup v2 mount, found in the mount table. Returns 0 or -ENOENT. */
int cgroup_mount(char out[PATH_MAX]);

/* Path of the calling process's own cgroup v2 directory. Returns 0, -ENOENT or -ENAMETOOLONG. */
int cgroup_own(char out[PATH_MAX]);

/* Makes parent/name (it may exist). Returns a descriptor of it, or -errno. */
int cgroup_make(const char *parent, const char *name);

/* The id by which BPF and sock_diag name a cgroup directory; 0 if the descriptor is not one. */
uint64_t cgroup_id(int dir_fd);

/*
 * Lists the processes directly in a cgroup; *pids is the caller's to free. Returns their number
 * or -errno.
 */
int cgroup_pids(int dir_fd, pid_t **pids);

/* Sends a signal to every process in the cgroup. Returns 0 or -errno. */
int cgroup_signal(int dir_fd, int signal_number);

/* Removes parent/name and all below it that is empty. Returns 0, -EBUSY or -errno. */
int cgroup_remove(const char *parent, const char *name);

/*
 * How many CPUs the process may use: the smaller of its affinity and the cpu.max of its cgroups,
 * rounded up; at least 1.
 */
unsigned int cgroup_cpus(void);

#endif
