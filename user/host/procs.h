/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What /proc knows about processes: who holds and who polls a socket, and a process's start, user
 * and network namespace. Processes of other users need CAP_SYS_PTRACE. A process may end at
 * any moment, so every answer is about a moment ago.
 */
#ifndef PROCS_H
#define PROCS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct procs_holder {
	uint64_t inode;
	pid_t pid;
	int fd;	    /* in that process; the lowest, if it has several of this socket */
	bool polls; /* it has an epoll descriptor with this socket in it */
};

#define PROCS_USER_MS 2000
#define PROCS_SET_MS 200

struct procs_list {
	struct procs_holder *items; /* by inode, then those that poll first, then by pid */
	size_t count;
	size_t unreadable; /* processes that we may not look into, or not in time */
	pid_t late;	   /* the first that was not in time; 0 = none */
};

#define PROCS_WHY_BYTES 160

/*
 * Finds every process that has one of the `n` socket inodes (ascending order) open, one item for
 * each socket and process; `only` restricts it to one process, 0 = all. Processes that end
 * meanwhile are left out, `only` too. `polls` knows epoll alone: a server that uses io_uring, poll,
 * or a blocking accept just holds. An epoll descriptor inherited over fork counts for parent and
 * child. Threads that left their process's descriptor table are not seen.
 *
 * So that who opens a million, in a thousand processes, holds nobody up, those of one user are
 * looked at for PROCS_USER_MS of CPU time, of root's for more; a descriptor takes some 0.5 us.
 *
 * Returns 0, -ENOMEM, -EMFILE, or -errno of opening /proc (only = 0). The caller frees `out` with
 * procs_free(); after an error it is empty.
 */
int procs_find_holders(const uint64_t *inodes, size_t n, pid_t only, struct procs_list *out);

/*
 * The same among these processes alone. A 0 begins a set, as of another worker: each has
 * PROCS_SET_MS for itself, which the first ones of it get.
 */
int procs_find_holders_among(const uint64_t *inodes, size_t n, const pid_t *pids, size_t nr_pids,
			     struct procs_list *out);

/* Who holds a socket, of a list as above: *count of them from there on, or NULL. */
const struct procs_holder *procs_holders_of(const struct procs_list *list, uint64_t inode,
					    size_t *count);

/* Why a holder was not seen, where some were unreadable, and what helps. */
void procs_why_unseen(const struct procs_list *list, char out[PROCS_WHY_BYTES]);

/* Frees the items and empties the list; an empty one is fine. */
void procs_free(struct procs_list *list);

/*
 * Is it of the same executable file as we are? Not where that can't be seen. Tests, whose processes
 * serve, name lbctl's instead of their own; the path stays theirs.
 */
bool procs_runs_our_program(pid_t pid);
void procs_set_our_program(const char *path);

/*
 * When it started, in clock ticks after boot: pid and start time together name one process for
 * good. Returns 0, -ESRCH or -EBADMSG.
 */
int procs_start_time(pid_t pid, uint64_t *ticks);

/* The one that was started first: of a worker's, that is who lbctl started. 0 = none lives. */
pid_t procs_first_started(const pid_t *pids, int n);

/* The inode of its network namespace. Returns 0, -ESRCH, or -EACCES without CAP_SYS_PTRACE. */
int procs_netns(pid_t pid, uint64_t *inode);

/* Its effective user id. Returns 0 or -ESRCH. */
int procs_uid(pid_t pid, uid_t *uid);

/* Whom it may act as: real, effective, saved, and for files. */
#define PROCS_IDS 4
struct procs_ids {
	uid_t uid[PROCS_IDS];
	gid_t gid[PROCS_IDS];
};

/* Returns 0, -ESRCH or -EBADMSG. */
int procs_ids(pid_t pid, struct procs_ids *ids);

/* Who traces the process; 0 = nobody, or one in another pid namespace. -errno. */
pid_t procs_tracer(pid_t pid);

/*
 * Reads one line of /proc/PID/fdinfo/FD of an epoll descriptor: inode and device (numbered as
 * inside the kernel, major << 20 | minor) of one watched file. Returns 0, or -EINVAL for any other
 * line.
 */
int procs_parse_tfd(const char *line, uint64_t *inode, uint64_t *device);

/* The inode in "socket:[INODE]", what a link in /proc/PID/fd says; 0 for any other. */
uint64_t procs_parse_link(const char *link);

/* The lines "Uid:" and "Gid:" of a text like /proc/PID/status. Returns 0 or -EBADMSG. */
int procs_parse_ids(const char *text, struct procs_ids *ids);

/* Field 22, starttime, of a text like /proc/PID/stat. Returns 0 or -EBADMSG. */
int procs_parse_stat(const char *text, uint64_t *ticks);

#endif
