/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What bpf/count_in.bpf.c and user/service/recount.c tell each other. Never stored. */
#ifndef LB_COUNT_IN_H
#define LB_COUNT_IN_H

#include <linux/types.h>

/* The level of an option that counts a connection in; "lb" */
#define LB_COUNT_IN 0x6c62

/* The connection that may be counted in just now. */
struct lb_found {
	__u64 cookie; /* 0 = none */
	__u32 slot;   /* for one without a mark; LB_NO_SLOT = it has one */
	__u32 pad;
};
_Static_assert(sizeof(struct lb_found) == 16, "lb_found");

#endif
