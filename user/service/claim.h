/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which service some groups go to, and whether they are free to. */
#ifndef CLAIM_H
#define CLAIM_H

#include "base/addr.h"
#include "base/parse.h"
#include "base/trouble.h"
#include "host/group.h"

struct claim {
	const char *name;	 /* that was asked for, or NULL */
	const struct addr *addr; /* names the service where nothing else does */
	bool replace;		 /* another program on a group is no obstacle */
	/* how the server of the groups does without a program of its own; NULL: by --replace */
	const char *own_program;
};

/*
 * The name of the service that steers the groups now; else of the one that listens where they do,
 * whose server was started anew; else the claim's, or the default of its address. A group that
 * another program steers is refused without claim->replace, as is one of another service than the
 * claim names. Returns EXIT_DONE, or the status of *trouble.
 */
int claim_name(const struct claim *claim, struct reuseport_group *const *groups, size_t n,
	       char name[LB_NAME_MAX + 1], struct trouble *trouble);

#endif
