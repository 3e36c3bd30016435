/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One message of a control socket (SOCK_SEQPACKET): a packet with at most one descriptor. Both
 * ends use it, the keeper too.
 */
#ifndef LBCTL_LIB_PACKET_H
#define LBCTL_LIB_PACKET_H

#include <stddef.h>
#include <sys/types.h>

/* `passed` goes with it, -1 = none; it stays the caller's. Never waits. Return: 0 or -errno. */
int lbctl_packet_send(int fd, const void *bytes, size_t len, int passed);

/*
 * Takes one packet if there is one; never waits. A descriptor that came with it is the caller's
 * (close-on-exec), else *passed is -1. Whatever else came is closed.
 *
 * Return: bytes (0: the other end is closed, or sent an empty packet); -EMSGSIZE (longer than
 * `size`), -E2BIG (more than one descriptor, or this process may open no more), both with the
 * packet gone; or -errno, -EAGAIN among them. After all but bytes *passed is -1.
 */
ssize_t lbctl_packet_receive(int fd, void *bytes, size_t size, int *passed);

#endif
