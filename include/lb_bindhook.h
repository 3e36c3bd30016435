/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What bpf/bindhook.bpf.c and user/keeper/bindhook.c have in common: which binds of a service's
 * workers share a port.
 */
#ifndef LB_BINDHOOK_H
#define LB_BINDHOOK_H

#include <linux/types.h>

#define LB_MAX_PORTS 8

enum lb_bind_proto {
	LB_BIND_TCP,
	LB_BIND_UDP,
	LB_BIND_PROTOS,
};

struct lb_ports {
	__u16 port[LB_MAX_PORTS]; /* host order */
	__u32 count;
};

/* lb_bindhook: one entry. Written by lbctl, but the last field, which the bind hook sets once. */
struct lb_bindhook {
	/* of --port; with none at all the first TCP port that is bound is shared */
	struct lb_ports shared[LB_BIND_PROTOS];
	struct lb_ports offsets[LB_BIND_PROTOS]; /* worker w gets port + w instead */
	/* a port that a worker bound and that only one can have; 0 = none */
	__u32 unshared[LB_BIND_PROTOS];
};
_Static_assert(sizeof(struct lb_bindhook) == 88, "lb_bindhook");

/* lb_members: of a worker's process, by its cgroup. */
struct lb_bind_member {
	__u32 worker;
	/* 1: it asked for an MPTCP socket, was refused, and has not asked for one of TCP since */
	__u32 mptcp;
};
_Static_assert(sizeof(struct lb_bind_member) == 8, "lb_bind_member");

/*
 * One listen(2) in the service's cgroup, or bind(2) to a UDP port that is shared; through the ring
 * buffer lb_listens.
 */
struct lb_listen {
	__u64 cookie;
	__u32 port; /* host order */
	__u32 pid;  /* in the initial pid namespace */
};

#endif
