/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The keeper: one event loop that keeps N worker processes of a command alive and their sockets
 * in the service (lbctl run), or a service up to date with the sockets of a server that someone
 * else started (lbctl watch). It holds no state that the kernel does not have too: cgroups say
 * which process is which worker, pins say which socket is in which slot. So it may be killed at any
 * time, and the next one goes on from there.
 */
#ifndef KEEPER_H
#define KEEPER_H

#include "keeper/options.h"

/* Runs until told to stop. Returns the exit status of `lbctl run` or `lbctl watch`. */
int keeper_run(const struct keeper_options *options);

#endif
