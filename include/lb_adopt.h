/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What bpf/adopt.bpf.c and user/keeper/adopt.c share: which binds of a service's workers share a
 * port.
 */
#ifndef LB_ADOPT_H
#define LB_ADOPT_H

#include <linux/types.h>

#define LB_MAX_PORTS 8

enum lb_adopt_proto {
	LB_ADOPT_TCP,
	LB_ADOPT_UDP,
	LB_ADOPT_PROTOS,
};

struct lb_ports {
	__u16 port[LB_MAX_PORTS]; /* host order */
	__u32 count;
};

/* lb_adopt: one entry. Written by lbctl, but the last field, which the bind hook sets once. */
struct lb_adopt {
	/* of --port; with none at all the first TCP port that is bound is shared */
	struct lb_ports shared[LB_ADOPT_PROTOS];
	struct lb_ports offsets[LB_ADOPT_PROTOS]; /* worker w gets port + w instead */
	__u32 first; /* that first port, if workers of an earlier lbctl have bound it; else 0 */
	/* a port that a worker bound and that only one can have; 0 = none */
	__u32 unshared[LB_ADOPT_PROTOS];
};
_Static_assert(sizeof(struct lb_adopt) == 92, "lb_adopt");

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
