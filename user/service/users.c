// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See users.h. */
#include "service/users.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/procs.h"

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

bool users_find_neighbour(const char *name, uid_t uid, char out[LB_NAME_MAX + 1])
{
	_cleanup_free_ char(*names)[LB_NAME_MAX + 1] = NULL;
	size_t n = 0;

	if (!uid || state_names(&names, &n))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(names[i], name) && has_user(names[i], uid)) {
			strcpy(out, names[i]);
			return true;
		}
	}
	return false;
}
