// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See detach.h. First the groups, then the pins: killed in between, a second detach ends it. */
#include "service/detach.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/group.h"
#include "host/netns.h"
#include "service/dispatch.h"
#include "service/hold.h"
#include "service/worker_pins.h"
#include "service/state.h"
#include "service/steer.h"
#include "service/wake_listeners.h"

struct programs {
	uint32_t ids[STATE_MOST_PROGRAMS];
	int count;
};

static bool steered_by(const struct reuseport_group *group, const struct programs *programs)
{
	for (int i = 0; i < programs->count; i++) {
		if (group->prog_id && group->prog_id == programs->ids[i])
			return true;
	}
	return false;
}

/* -EPERM when its sockets are there but nobody can be seen to hold them. */
static int release_group(const struct reuseport_group *group)
{
	int err = -ESRCH;

	for (size_t i = 0; i < group->nr_members; i++) {
		_cleanup_close_ int copy = member_duplicate(&group->members[i]);

		if (copy >= 0)
			return steer_detach(copy);
		if (copy == -EPERM || !group->members[i].nr_holders)
			err = -EPERM;
	}
	return err;
}

static int release_groups(uint64_t netns, const struct programs *programs)
{
	_cleanup_close_ int fd = -1;
	struct groups groups;
	int err;

	err = netns_find(netns, &fd);
	if (err)
		return err == -ENOENT ? 0 : err;
	err = groups_find(fd, 0, 0, GROUP_UDP, &groups);
	if (err)
		return err;
	err = groups.inspect_error;
	for (size_t i = 0; i < groups.count && !err; i++) {
		if (steered_by(&groups.items[i], programs))
			err = release_group(&groups.items[i]);
		/* closed meanwhile, or detached by someone: what we want */
		if (err == -ESRCH || err == -ENOENT)
			err = 0;
	}
	groups_free(&groups);
	return err;
}

/* Namespaces that the service says it has listeners in; for a broken one all there are. */
static int list_namespaces(const struct state *state, uint64_t **inodes, size_t *count)
{
	if (!state->config)
		return netns_all(inodes, count);
	*count = state->config->nr_listeners;
	*inodes = calloc(*count ? *count : 1, sizeof(**inodes));
	for (size_t i = 0; *inodes && i < *count; i++)
		(*inodes)[i] = state->config->listeners[i].netns;
	return *inodes ? 0 : -ENOMEM;
}

static int release_all(const struct state *state, const struct programs *programs)
{
	_cleanup_free_ uint64_t *inodes = NULL;
	size_t count;
	int err, failed = 0;

	err = list_namespaces(state, &inodes, &count);
	if (err)
		return err;
	for (size_t i = 0; i < count; i++) {
		err = release_groups(inodes[i], programs);
		/* a socket that was just closing had no holder, either: look once more */
		if (err == -EPERM)
			err = release_groups(inodes[i], programs);
		/* a namespace that is not ours to enter matters only if the service named it */
		if (err && (state->config || (err != -EPERM && err != -EACCES)))
			failed = err;
	}
	return failed;
}

/* Workers hold lb_load mapped; told so, they let go of it at their next report. */
static void dismiss_workers(struct state *state)
{
	for (uint32_t slot = 0; state->config && slot < LB_ALL_SLOTS; slot++)
		__atomic_store_n(&state_load(state, slot)->closed, 1, __ATOMIC_RELEASE);
}

int detach_run(const char *name, struct trouble *trouble)
{
	struct programs programs;
	char dir[STATE_DIR_BYTES];
	struct state state;
	int err, opened;

	opened = state_open(&state, name, STATE_LOCK);
	if (opened && opened != -ESTALE && opened != -EUCLEAN)
		return state_trouble(trouble, name, opened);
	if (!opened)
		hold_await_end(&state);
	programs.count = state_program_ids(name, programs.ids, STATE_MOST_PROGRAMS);
	err = programs.count < 0 ? programs.count : release_all(&state, &programs);
	if (err == -EPERM || err == -EACCES)
		trouble_set(trouble, EXIT_NOT_ABLE,
			    "may not reach the service's sockets: CAP_BPF, CAP_NET_ADMIN, "
			    "CAP_PERFMON and CAP_SYS_PTRACE are needed; run as root");
	else if (err)
		trouble_set(trouble, EXIT_FAILED, "can't take the program off: %s", strerror(-err));
	if (!err) {
		/* from here on nobody else does */
		if (!opened)
			wake_listeners(&state, 2);
		dismiss_workers(&state);
		worker_pins_remove(name);
		snprintf(dir, sizeof(dir), "%s/%s", STATE_ROOT, name);
		dispatch_leave(dir);
		err = state_remove(name);
		if (err)
			state_trouble(trouble, name, err);
	}
	if (!opened)
		state_close(&state);
	return err ? trouble->status : EXIT_DONE;
}
