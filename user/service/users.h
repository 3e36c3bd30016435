/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which services' processes have the same user id: each of them can take the others' traffic. */
#ifndef USERS_H
#define USERS_H

#include <stddef.h>
#include <sys/types.h>

#include "service/state.h"

/*
 * The other services than `name` that have a process of this user, as far as their rows know pids,
 * sorted; the caller frees *names. Root is nobody's neighbour: it can do all anyway. Returns how
 * many there are; 0 where that can't be told, too.
 */
size_t users_neighbours(const char *name, uid_t uid, char (**names)[LB_NAME_MAX + 1]);

/* "api", "api and web", "api, db and web"; of more than 8 how many more there are. */
#define USERS_TEXT_BYTES (9 * (LB_NAME_MAX + 8))
void users_join(char (*names)[LB_NAME_MAX + 1], size_t n, char out[USERS_TEXT_BYTES]);

/* The user of a service's first process that lives. Returns 0 or -ESRCH. */
int users_of_service(const struct state *state, uid_t *uid);

#endif
