/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which service some groups go to, and whether they are free to. */
#ifndef CLAIM_H
#define CLAIM_H

#include "attach.h"

/*
 * The name of the service that steers the groups now; else of the one that listens where they do,
 * whose server was started anew; else the request's, or the default of its first address. A group
 * that another program steers is refused without request->replace, as is one of another service
 * than the request names. Returns EXIT_DONE, or the status of *trouble.
 */
int claim_name(const struct attach_request *request, struct reuseport_group *const *groups,
	       size_t n, char name[LB_NAME_MAX + 1], struct trouble *trouble);

#endif
