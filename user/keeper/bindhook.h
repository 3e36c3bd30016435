/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The programs of bpf/bindhook.bpf.c on a service's cgroup, pinned below /sys/fs/bpf/lbctl-run/NAME
 * with the port that they found. So they stay when lbctl dies, and the next lbctl puts its own in
 * their place.
 */
#ifndef BINDHOOK_H
#define BINDHOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "lb_bindhook.h"

struct bindhooks;

/*
 * Loads the programs with these rules and attaches them to the cgroup of service `name`. Of the
 * port that the workers share by default, what the hooks before these noted goes on to count while
 * workers live, and else `first_port`, if the service has one (0 = none). Returns 0 with *hooks for
 * bindhook_close(), -EPERM, -ENODEV (no bpffs), -EOPNOTSUPP (the kernel refused one of them) or
 * -errno. Before 6.1 (features.bind_setsockopt) only programs that set SO_REUSEADDR share ports,
 * and then all that they bind, of UDP if any port of it is to be shared.
 */
int bindhook_open(const char *name, int cgroup_fd, const struct lb_bindhook *rules,
		  uint16_t first_port, struct bindhooks **hooks);

/* Lets go of the programs; they stay on the cgroup. */
void bindhook_close(struct bindhooks *hooks);

/* Takes the programs of a service off, whoever attached them. Only for who holds its lock. */
void bindhook_remove(const char *name);

/* Tells the bind hook which worker a cgroup is; for --offset-port. Returns 0 or -errno. */
int bindhook_add_member(struct bindhooks *hooks, uint64_t cgroup_id, uint32_t worker);
void bindhook_remove_member(struct bindhooks *hooks, uint64_t cgroup_id);

/* Of this process, by its id in the first pid namespace, no listen(2) is told. */
void bindhook_ignore(struct bindhooks *hooks, uint32_t tgid);

/* Was this process refused an MPTCP socket, without asking for one of TCP since? */
bool bindhook_refused_mptcp(struct bindhooks *hooks, uint64_t cgroup_id);

/* The TCP port that the workers share by default, 0 while none was bound. */
uint16_t bindhook_first_port(struct bindhooks *hooks);

/* A port that some worker bound and that the others can't have as well, or 0. */
uint16_t bindhook_unshared_port(struct bindhooks *hooks, enum lb_bind_proto proto);

/*
 * A descriptor that is readable when a worker has called listen(2), or has bound a UDP port that is
 * shared; bindhook_drain() empties it.
 */
int bindhook_fd(const struct bindhooks *hooks);
void bindhook_drain(struct bindhooks *hooks);

/*
 * The ports that were told so since the last call, each once; those for which there is no room are
 * left out. Returns their number.
 */
#define BINDHOOK_MOST_PORTS 16
uint32_t bindhook_take_ports(struct bindhooks *hooks, uint16_t ports[BINDHOOK_MOST_PORTS]);

#endif
