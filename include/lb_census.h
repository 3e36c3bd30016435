/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The record that bpf/census.bpf.c writes and user/census.c reads. Never stored. */
#ifndef LB_CENSUS_H
#define LB_CENSUS_H

#ifndef __bpf__
#include <linux/types.h>
#endif

/* One open connection that inherited from a registered listener, or was counted in. */
struct lb_census {
	__u32 slot;	  /* where it is now */
	__u32 generation; /* of that slot, when it came there */
	__u32 counted;	  /* 1: it is in the slot's live count */
	__u32 fresh;	  /* 1: since just now */
};
_Static_assert(sizeof(struct lb_census) == 16, "lb_census");

#endif
