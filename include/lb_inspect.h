/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The record that bpf/inspect.bpf.c writes and user/inspect.c reads. Never stored. */
#ifndef LB_INSPECT_H
#define LB_INSPECT_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#define LB_CLASSIC_PROGRAM 0xffffffffU /* a classic BPF filter steers: it has no id */

struct lb_listening {
	__u64 cookie;	 /* 0 until someone asked for it; sock_diag asks */
	__u64 sock;	 /* its struct sock, as a number */
	__u64 group;	 /* its reuseport group, as a number; 0 = none */
	__u32 prog_id;	 /* the program that steers the group; 0 = none */
	__u32 members;	 /* sockets in the group */
	__u32 half_open; /* handshakes under way */
	__u32 port;	 /* host order */
};
_Static_assert(sizeof(struct lb_listening) == 40, "lb_listening");

#endif
