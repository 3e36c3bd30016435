/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What bpf/census.bpf.c and user/census.c tell each other. Never stored. */
#ifndef LB_CENSUS_H
#define LB_CENSUS_H

#ifndef __bpf__
#include <linux/types.h>
#endif

/* A listener or an open connection that has a mark. */
struct lb_census {
	__u64 cookie;
	__u32 slot;	  /* where it is now */
	__u32 generation; /* of that slot, when it came there */
	__u16 state;	  /* of TCP */
	__u16 counted;	  /* 1: it is in the slot's live count */
	__u32 tells;	  /* 1: the tracking program hears of its states */
};
_Static_assert(sizeof(struct lb_census) == 24, "lb_census");

/* The level of an option that counts a connection in; "lb" */
#define LB_COUNT_IN 0x6c62

/* The connection that may be counted in just now. */
struct lb_found {
	__u64 cookie;
	__u32 slot; /* for one without a mark */
	__u32 pad;
};
_Static_assert(sizeof(struct lb_found) == 16, "lb_found");

#endif
