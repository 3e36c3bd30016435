// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See claim.h. */
#include "service/claim.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/service.h"
#include "service/state.h"

/* The service among `names` that has a listener with this program, or NULL. */
static const char *service_of_program(uint32_t prog_id, char (*names)[LB_NAME_MAX + 1], size_t n)
{
	uint32_t ids[STATE_MOST_PROGRAMS];

	for (size_t i = 0; i < n; i++) {
		int found = state_program_ids(names[i], ids, STATE_MOST_PROGRAMS);

		for (int j = 0; j < found; j++) {
			if (ids[j] == prog_id)
				return names[i];
		}
	}
	return NULL;
}

/* The service that listens where the group does: its server was started anew. */
static const char *service_at(const struct reuseport_group *group, char (*names)[LB_NAME_MAX + 1],
			      size_t n)
{
	struct state state;
	bool found;

	for (size_t i = 0; i < n; i++) {
		if (state_open(&state, names[i], STATE_READ))
			continue;
		found = service_listener(&state, group) >= 0;
		state_close(&state);
		if (found)
			return names[i];
	}
	return NULL;
}

int claim_name(const struct claim *claim, struct reuseport_group *const *groups, size_t n,
	       char name[LB_NAME_MAX + 1], struct trouble *trouble)
{
	_cleanup_free_ char(*names)[LB_NAME_MAX + 1] = NULL;
	char at[ADDR_STRLEN], steerer[GROUP_STEERER_BYTES];
	size_t nr_names = 0;

	*name = '\0';
	if (claim->name)
		strcpy(name, claim->name);
	state_names(&names, &nr_names);
	for (size_t i = 0; i < n; i++) {
		uint32_t prog_id = groups[i]->prog_id;
		const char *owner = prog_id ? service_of_program(prog_id, names, nr_names) :
					      service_at(groups[i], names, nr_names);

		group_address(groups[i], at);
		group_steerer(groups[i], steerer);
		if (prog_id && !owner && !claim->replace && claim->own_program)
			return trouble_set(trouble, EXIT_FAILED,
					   "%s steers %s already: the program has put it there "
					   "itself, and run would take it off; %s",
					   steerer, at, claim->own_program);
		if (prog_id && !owner && !claim->replace)
			return trouble_set(trouble, EXIT_FAILED,
					   "%s already steers %s; --replace takes it over for good",
					   steerer, at);
		if (owner && *name && strcmp(owner, name))
			return trouble_set(
				trouble, EXIT_FAILED,
				"service %s steers %s already; first lbctl detach %s, or "
				"lbctl stop %s if lbctl run started it",
				owner, at, owner, owner);
		if (owner)
			strcpy(name, owner);
	}
	if (!*name)
		addr_default_name(claim->addr, name);
	return EXIT_DONE;
}
