/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What bpf/census.bpf.c and user/census.c tell each other. Never stored. */
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

/*
 * lb_found: hash, cookie or address of a connection -> which slot's it is. What was at an address
 * may have ended, and a client of this host be there now: that has another local port.
 */
struct lb_found {
	__u32 slot;
	__u32 port; /* local */
};
_Static_assert(sizeof(struct lb_found) == 8, "lb_found");

#endif
