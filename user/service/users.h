/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which services' processes have the same user id: each of them can take the others' traffic. */
#ifndef USERS_H
#define USERS_H

#include <stdbool.h>
#include <sys/types.h>

#include "service/state.h"

/*
 * Finds another service than `name` that has a process of this user, as far as its rows know pids;
 * `out` is its name. Root is nobody's neighbour: it can do all anyway.
 */
bool users_find_neighbour(const char *name, uid_t uid, char out[LB_NAME_MAX + 1]);

/* The user of a service's first process that lives. Returns 0 or -ESRCH. */
int users_of_service(const struct state *state, uid_t *uid);

#endif
