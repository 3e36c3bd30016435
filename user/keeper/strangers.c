// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Sockets in the groups of a run that none of its workers has. The kernel lets any process of the
 * same user in. They get nothing while a worker can take a connection; but the kernel's hash, when
 * none can, counts them in, and whoever holds one can take the program off. So someone should know.
 */
#include <stdlib.h>
#include <string.h>

#include "keeper/keeper.h"
#include "service/service.h"

struct stranger {
	struct reuseport_group group; /* without its members */
	uint64_t cookie;
	pid_t pid;
	char name[PROCS_NAME_BYTES];
	char address[ADDR_STRLEN];
};

static struct stranger *find(const struct strangers *list, uint64_t cookie)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->items[i].cookie == cookie)
			return &list->items[i];
	}
	return NULL;
}

void strangers_free(struct strangers *list)
{
	free(list->items);
	*list = (struct strangers){ 0 };
}

/* Without memory for it, it is not told of. */
void strangers_add(struct strangers *list, const struct reuseport_group *group,
		   const struct member *member)
{
	struct stranger *grown = reallocarray(list->items, list->count + 1, sizeof(*list->items));
	struct stranger *one;

	if (!grown)
		return;
	list->items = grown;
	one = &grown[list->count++];
	*one = (struct stranger){
		.group = *group,
		.cookie = member->socket.cookie,
		.pid = member->pid,
	};
	if (!one->pid || procs_name(one->pid, one->name, sizeof(one->name)))
		strcpy(one->name, "?");
	group_address(group, one->address);
}

/* Those that joined are workers, and a group elsewhere on the port is another server's. */
static bool is_stranger(const struct state *state, const struct stranger *one)
{
	return service_listener(state, &one->group) >= 0 &&
	       service_slot_of_cookie(state, one->cookie) < 0;
}

static void tell(struct keeper *keeper, const struct stranger *one, bool left)
{
	keeper_event(keeper, left ? "stranger-left" : "stranger",
		     json_pack("{s:i, s:s, s:s}", "pid", one->pid, "server", one->name, "addr",
			       one->address),
		     left ? "pid %d (%s), no worker, does not listen on %s any more" :
			    "pid %d (%s) listens on %s, too, and is no worker: it gets nothing",
		     one->pid, one->name, one->address);
}

void keeper_tell_strangers(struct keeper *keeper, struct strangers *found)
{
	struct strangers *known = &keeper->strangers;
	struct state state;
	size_t kept = 0;

	if (state_open(&state, keeper->options.name, STATE_READ))
		return;
	for (size_t i = 0; i < found->count; i++) {
		if (is_stranger(&state, &found->items[i]))
			found->items[kept++] = found->items[i];
	}
	found->count = kept;
	state_close(&state);
	for (size_t i = 0; i < found->count; i++) {
		if (!find(known, found->items[i].cookie))
			tell(keeper, &found->items[i], false);
	}
	for (size_t i = 0; i < known->count; i++) {
		if (!find(found, known->items[i].cookie))
			tell(keeper, &known->items[i], true);
	}
	strangers_free(known);
	*known = *found;
	*found = (struct strangers){ 0 };
}
