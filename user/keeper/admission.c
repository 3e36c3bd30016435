// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See admission.h. */
#include "keeper/admission.h"

#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lb_abi.h"

#define MOST_GROUPS 256 /* of a client that are looked at */

static bool is_in_group(int connection, gid_t group)
{
	gid_t groups[MOST_GROUPS];
	socklen_t len = sizeof(groups);

	if (getsockopt(connection, SOL_SOCKET, SO_PEERGROUPS, groups, &len))
		return false;
	for (size_t i = 0; i < len / sizeof(*groups); i++) {
		if (groups[i] == group)
			return true;
	}
	return false;
}

enum admission admission_of(const struct admission_rule *rule, int connection,
			    const struct peer *peer)
{
	if (!peer->uid || peer->uid == getuid())
		return ADMIT_OWNER;
	/* that of a watched service was given to report load, not to control lbctl */
	if (rule->group != LB_NO_GROUP &&
	    (peer->gid == rule->group || is_in_group(connection, rule->group)))
		return rule->runs_workers ? ADMIT_OPERATOR : ADMIT_WORKER;
	return peer->uid == rule->worker_uid ? ADMIT_WORKER : ADMIT_NOBODY;
}

static const char *const refusals[] = {
	[ADMIT_WORKER] = "a worker may join and report, and nothing else; ask as root or the "
			 "keeper's user",
	[ADMIT_OPERATOR] = "who is in --group may not say what is run; ask as root or its user",
};

const char *admission_refusal(enum admission admission)
{
	return refusals[admission];
}
