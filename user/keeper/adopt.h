/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The programs of bpf/adopt.bpf.c on a service's cgroup. They stay with the cgroup when lbctl
 * dies; the next lbctl puts its own there first and then takes the old ones off.
 */
#ifndef ADOPT_H
#define ADOPT_H

#include <stdint.h>

#include "lb_adopt.h"

struct adopter;

/*
 * Loads the programs with these rules and attaches them to a cgroup. Returns 0 with *adopt for
 * adopt_close(), -EPERM, -EOPNOTSUPP (the kernel refused one of them) or -errno. Before 6.1
 * (features.share) only programs that set SO_REUSEADDR share ports, and then all that they bind, of
 * UDP if any port of it is to be shared.
 */
int adopt_open(int cgroup_fd, const struct lb_adopt *rules, struct adopter **adopt);

/* Lets go of the programs; they stay on the cgroup. */
void adopt_close(struct adopter *adopt);

/* Tells the bind hook which worker a cgroup is; for --offset-port. Returns 0 or -errno. */
int adopt_add_member(struct adopter *adopt, uint64_t cgroup_id, uint32_t worker);
void adopt_remove_member(struct adopter *adopt, uint64_t cgroup_id);

/* The TCP port that the workers share by default, 0 while none was bound. */
uint16_t adopt_first_port(struct adopter *adopt);

/* A port that some worker bound and that the others can't have as well, or 0. */
uint16_t adopt_unshared_port(struct adopter *adopt, enum lb_adopt_proto proto);

/*
 * A descriptor that is readable when a worker has called listen(2), or has bound a UDP port that is
 * shared; adopt_drain() empties it.
 */
int adopt_fd(const struct adopter *adopt);
void adopt_drain(struct adopter *adopt);

#endif
