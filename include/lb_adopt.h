/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What bpf/adopt.bpf.c and user/adopt.c share: which binds of a service's workers share a port. */
#ifndef LB_ADOPT_H
#define LB_ADOPT_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#define LB_MAX_PORTS 8

/* lb_adopt: one entry. Written by lbctl, but the last field, which the bind hook sets once. */
struct lb_adopt {
	__u16 ports[LB_MAX_PORTS];   /* host order; named by --port */
	__u16 offsets[LB_MAX_PORTS]; /* host order; worker w gets port + w instead */
	__u32 nr_ports;		     /* 0: the first port that is bound is shared */
	__u32 nr_offsets;
	__u32 first;	/* that port, if workers of an earlier lbctl have bound it; else 0 */
	__u32 unshared; /* a port that a worker bound and that only one can have; 0 = none */
};
_Static_assert(sizeof(struct lb_adopt) == 48, "lb_adopt");

/* One listen(2) in the service's cgroup; through the ring buffer lb_listens. */
struct lb_listen {
	__u64 cookie;
	__u32 port; /* host order */
	__u32 pid;  /* in the initial pid namespace */
};

#endif
