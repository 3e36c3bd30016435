/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The cgroup v2 directories of a service that lbctl runs: one for the service, below it one per
 * worker process, named `w<worker>-<generation>`. They outlive lbctl, so they are how the next
 * one finds the living workers.
 */
#ifndef CGROUP_H
#define CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* Path of the cgroup v2 mount, found in the mount table. Returns 0 or -ENOENT. */
int cgroup_mount(char out[PATH_MAX]);

/* Path of the calling process's own cgroup v2 directory. Returns 0, -ENOENT or -ENAMETOOLONG. */
int cgroup_own(char out[PATH_MAX]);

/*
 * What those read: a table of mounts, and a text like /proc/self/cgroup, which puts what is below
 * the mount in `out` behind it. Return 0, -ENOENT or -ENAMETOOLONG.
 */
int cgroup_read_mounts(FILE *mounts, char out[PATH_MAX]);
int cgroup_read_own(FILE *file, char out[PATH_MAX]);

/* Makes parent/name (it may exist). Returns a descriptor of it, or -errno. */
int cgroup_make(const char *parent, const char *name);

/*
 * Puts the calling process, with all its threads, into the cgroup. Returns 0, -EBUSY (it has
 * controllers for those below it, so there may be no process in it) or -errno.
 */
int cgroup_move_self(int dir_fd);

/*
 * fork(2) into the cgroup, with no signal handled in the child; `flags` are more of clone3(2)'s.
 * Returns as that does, and *pidfd is the caller's; or -EBUSY, as above, or -errno.
 */
pid_t cgroup_fork(int dir_fd, uint64_t flags, int *pidfd);

/* The id by which BPF and sock_diag name a cgroup directory; 0 if the descriptor is not one. */
uint64_t cgroup_id(int dir_fd);

/*
 * Opens the directory with this id. Returns a descriptor, -ENOENT (no such cgroup: removed, or
 * outside of what is mounted here) or -errno. Without CAP_DAC_READ_SEARCH all cgroups are walked.
 */
int cgroup_open(uint64_t id);

/*
 * Opens the deepest directory that holds all cgroups with these ids. One that is gone (a socket
 * may outlive its cgroup) can only be assumed in the topmost one, and so can id 0. Returns a
 * descriptor, -ENOENT (no cgroup v2 is mounted) or -errno.
 */
int cgroup_open_common(const uint64_t *ids, size_t n);

/* Is the cgroup with this id the directory itself or one that it is in? */
bool cgroup_is_within(int dir_fd, uint64_t id);

/*
 * Lists the processes directly in a cgroup; *pids is the caller's to free. Returns their number
 * or -errno.
 */
int cgroup_pids(int dir_fd, pid_t **pids);

/*
 * Calls visit() with every process in the cgroup and below; one outside of our pid namespace is 0.
 * It returns 0 or -errno. Returns 0, -EPERM if a call did, or -errno.
 */
int cgroup_each(int dir_fd, int (*visit)(pid_t pid, void *arg), void *arg);

/*
 * Sends a signal to every process in the cgroup and below. Returns 0, -EPERM (not to all of them:
 * CAP_KILL is missing) or -errno.
 */
int cgroup_signal(int dir_fd, int signal_number);

/* How many processes there are in the cgroup and below. */
unsigned int cgroup_count(int dir_fd);

/*
 * Are there processes in it or below? Returns 1, 0 or -errno. The descriptor of cgroup_events() has
 * EPOLLPRI whenever that has changed since it was last read, or opened.
 */
int cgroup_is_populated(int dir_fd);
int cgroup_events(int dir_fd);

/*
 * SIGKILL for all of them: at once and without CAP_KILL from Linux 5.14 on, before that as
 * cgroup_signal(). Returns 0 or -errno.
 */
int cgroup_kill(int dir_fd);

/*
 * Leaves a note on a cgroup for whoever opens it next, in an extended attribute (Linux 5.7), and
 * reads it: "" where there is none, or it does not fit.
 */
void cgroup_note(int dir_fd, const char *attribute, const char *note);
void cgroup_read_note(int dir_fd, const char *attribute, char *note, size_t bytes);

/* Removes parent/name and all below it that is empty. Returns 0, -EBUSY or -errno. */
int cgroup_remove(const char *parent, const char *name);

/*
 * How many CPUs the process may use: the smaller of its affinity and the cpu.max of its cgroups,
 * rounded up; at least 1.
 */
unsigned int cgroup_cpus(void);

/* A text like cpu.max, "max 100000" or "150000 100000": CPUs, rounded up; 0 = no limit. */
unsigned int cgroup_read_cpus(FILE *file);

#endif
