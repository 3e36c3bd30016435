/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What bpf/inspect.bpf.c, bpf/sample.bpf.c and bpf/hold.bpf.c tell lbctl. Never stored. */
#ifndef LB_INSPECT_H
#define LB_INSPECT_H

#include <linux/types.h>

#define LB_CLASSIC_PROGRAM 0xffffffffU /* a classic BPF filter steers: it has no id */

struct lb_listening {
	__u64 cookie;	 /* 0 until someone asked for it; sock_diag asks */
	__u64 sock;	 /* its struct sock, as a number */
	__u64 group;	 /* its reuseport group, as a number; 0 = none */
	__u32 prog_id;	 /* the program that steers the group; 0 = none */
	__u32 members;	 /* sockets in the group */
	__u32 half_open; /* handshakes under way */
	__u32 port;	 /* host order */
	__u32 alone;	 /* 1: the program named this port, and no other socket can have it too */
	__u32 pad;
	__u64 oldest; /* what waits longest, as a number; 0 = none */
	__u64 now_ns; /* of the tick clock, as in lb_stalls */
};
_Static_assert(sizeof(struct lb_listening) == 64, "lb_listening");

/* The argument of bpf/sample.bpf.c. */
struct lb_sample {
	__u64 now_ns; /* of the tick clock, when it ran */
	__u64 slots;  /* the first so many are looked at */
};

/* The argument of lb_look_for_idle (bpf/hold.bpf.c). */
struct lb_idle_look {
	__u64 slots;   /* the first so many are looked at */
	__u64 now_ns;  /* CLOCK_MONOTONIC, when it ran */
	__u32 up;      /* workers that may get connections, */
	__u32 idle;    /* and those of them that could take one at once */
	__u32 tgid;    /* of who asks, in the first pid namespace */
	__u32 prog_id; /* the program that steers the group of the last one that is up */
};

#endif
