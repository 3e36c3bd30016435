/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a new keeper takes over from the workers of a dead one: the descriptors that it held. */
#ifndef FETCH_H
#define FETCH_H

#include <stdint.h>
#include <sys/types.h>

/*
 * The keeper's end of a worker's message channel, or -errno: -ENOTSOCK where the worker has another
 * file there now.
 */
int fetch_channel(pid_t pid);

/*
 * Its index-th socket of LISTEN_FDS, if there still is one that listens, or one of UDP, on this
 * port; or -errno.
 */
int fetch_listener(pid_t pid, uint32_t index, uint8_t proto, uint16_t port);

#endif
