/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A message from a process that is not trusted, with all the descriptors that came with it. Those
 * that a reader leaves no room for are closed by the kernel in the reader's name, and the last
 * close of a socket that lingers takes as long as its owner likes. So there is room for all, and
 * they are let go of by task_drop_fds(). To forbid them is not enough: before Linux 6.16 that can't
 * be done, and a worker has both ends of its channel.
 */
#ifndef RECEIVE_H
#define RECEIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define RECEIVE_MOST_FDS 253 /* that the kernel lets go with one message: SCM_MAX_FD */

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* <linux/socket.h>, Linux 6.16 */
#endif

struct received {
	int fds[RECEIVE_MOST_FDS]; /* who takes one sets it to -1 */
	size_t nr_fds;
	bool cut;     /* the message was longer */
	bool lacking; /* there was no room in this process for all descriptors */
	pid_t pid;    /* of the sender, 0 = not told (SO_PASSCRED) */
	bool is_one;  /* there was a message, be it empty, if senders are told */
};

/*
 * Never waits. Returns the bytes (0 = the other end is closed, or an empty message) or -errno. The
 * descriptors are close-on-exec, and given to received_drop() in any case.
 */
ssize_t receive(int fd, void *bytes, size_t size, struct received *out);

/* Lets go of the descriptors that nobody took. */
void received_drop(struct received *received);

/*
 * Hangs up on a connection that tells senders (SO_PASSCRED); *fd becomes -1. The other end sees it
 * after what was sent. What was not read of it is read first: with something unread the other end
 * would get an error before our last answer, and where that held no descriptor no child is needed.
 */
void receive_hang_up(int *fd);

/* From Linux 6.16 on, nobody can send descriptors to this socket. */
void receive_no_fds(int fd);

#endif
