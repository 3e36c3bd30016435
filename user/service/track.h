/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counting connections: the sockops program of bpf/track.bpf.c, attached to the cgroup that a
 * service's listeners are in, and the mark that each listener hands on to what it accepts. A
 * service works without; then `opened` is 0, `live` comes from sock_diag, and what goes
 * by it (least-conn, least-latency, limits) is not to be had.
 */
#ifndef TRACK_H
#define TRACK_H

#include "host/group.h"
#include "service/state.h"

/* Why connections can't be counted on this host, NULL if they can; a phrase without a full stop. */
const char *track_obstacle(void);

/* The same for an error of track_start(). */
const char *track_error(int err);

/*
 * Begins to count, or follows the listeners into another cgroup: a service that was restarted is
 * in a new one. groups[i] is listener i's, or NULL; `cgroup` the id of one that all of them are in,
 * or 0: it is found. Safe to repeat; the state must be locked. The
 * program is attached in the new place before it leaves the old one.
 *
 * Returns 0, -ENOENT (no cgroup v2 is mounted), -EPERM (not permitted, or a program above allows
 * no other), -EOPNOTSUPP (the kernel refused it) or -errno. After an error the service counts as
 * well or as badly as before.
 */
int track_start(struct state *state, struct reuseport_group *const *groups, uint64_t cgroup);

/* Does the policy go by what is counted? */
bool track_is_needed(uint32_t policy);

/* The cgroup that the program is attached to; 0 = none, or it is gone. */
uint64_t track_cgroup(const struct state *state);

/* Are the service's connections counted? False too when the cgroup is gone. */
bool track_is_on(const struct state *state);

/* Marks a listener as slot's. Returns 0, also for a service that does not count, or -errno. */
int track_mark(const struct state *state, uint32_t slot, int socket_fd);

/*
 * Before a new socket takes a slot: what is still open there counts no more, so that the new one
 * does not inherit it.
 */
void track_begin_slot(struct state *state, uint32_t slot);

/* Returns once each program that runs now has ended. */
void track_await_programs(void);

#endif
