/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who is let in to the control socket, and what each may ask for. */
#ifndef ADMISSION_H
#define ADMISSION_H

#include <stdbool.h>
#include <sys/types.h>

#include "keeper/peer.h"

/*
 * Root and the keeper's own user may all; the group of a run, what changes nothing of what is run
 * and how; the workers' user may join and report.
 */
enum admission { ADMIT_NOBODY, ADMIT_WORKER, ADMIT_OPERATOR, ADMIT_OWNER };

struct admission_rule {
	bool runs_workers;
	uid_t worker_uid; /* may join */
	gid_t group;	  /* LB_NO_GROUP = none */
};

/* What the peer of this connection may. */
enum admission admission_of(const struct admission_rule *rule, int connection,
			    const struct peer *peer);

/* Why one that may so much may not what takes more, as a sentence. */
const char *admission_refusal(enum admission admission);

#endif
