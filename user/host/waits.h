/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Does a process wait at a socket, without its help: has it the socket in an epoll descriptor, or
 * is one of its threads in accept, poll, select or a call that receives? It takes CAP_SYS_PTRACE,
 * or the process's user. Who waits by io_uring, or a 32-bit program in one of these calls, is not
 * seen. To look may take long, where a process has made its memory wait for somebody.
 */
#ifndef WAITS_H
#define WAITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Does one of these processes wait at one of the `n` socket inodes (ascending order)? */
bool waits_at(const uint64_t *inodes, size_t n, const pid_t *pids, size_t nr_pids);

/* What a thread's call waits for. */
struct waits_call {
	enum {
		WAITS_NOT,    /* for none of these */
		WAITS_FD,     /* for the descriptor of the first argument */
		WAITS_POLL,   /* struct pollfd *, and how many */
		WAITS_SELECT, /* how many descriptors, and fd_set * of those to read from */
	} how;
	uint64_t args[2];
};

/* A text like /proc/PID/task/TID/syscall. */
void waits_parse(const char *text, struct waits_call *out);

#endif
