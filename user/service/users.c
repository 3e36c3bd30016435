// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See users.h. */
#include "service/users.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "host/procs.h"

#define MOST_NAMES 8

int users_of_service(const struct state *state, uid_t *uid)
{
	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		const struct lb_worker *row = state_worker(state, slot);

		if (row->state != LB_SLOT_FREE && row->pid && !procs_uid(row->pid, uid))
			return 0;
	}
	return -ESRCH;
}

static bool has_user(const char *name, uid_t uid)
{
	struct state state;
	uid_t its = 0;
	bool same;

	if (state_open(&state, name, STATE_READ))
		return false;
	same = !users_of_service(&state, &its) && its == uid;
	state_close(&state);
	return same;
}

size_t users_neighbours(const char *name, uid_t uid, char (**names)[LB_NAME_MAX + 1])
{
	size_t n = 0, kept = 0;

	*names = NULL;
	if (!uid || state_names(names, &n))
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (strcmp((*names)[i], name) && has_user((*names)[i], uid))
			memmove((*names)[kept++], (*names)[i], sizeof(**names));
	}
	return kept;
}

void users_join(char (*names)[LB_NAME_MAX + 1], size_t n, char out[USERS_TEXT_BYTES])
{
	size_t most = n > MOST_NAMES ? MOST_NAMES : n, len = 0;

	*out = '\0';
	for (size_t i = 0; i < most; i++)
		len += snprintf(out + len, USERS_TEXT_BYTES - len, "%s%s",
				!i	   ? "" :
				i + 1 == n ? " and " :
					     ", ",
				names[i]);
	if (n > most)
		snprintf(out + len, USERS_TEXT_BYTES - len, " and %zu more", n - most);
}
