// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Joining, the keeper's side. A watched service takes any socket of its groups. `lbctl run` starts
 * its workers itself and says how many: it takes those of its workers, which it knows by the cgroup
 * of the socket, and those of a process elsewhere (in a container, say) that comes for one of them
 * and names it.
 */
#include "keeper/keeper.h"

/* The process that a socket from elsewhere is for: a reload's new one, while that is on its way. */
static struct proc *proc_named(struct keeper *keeper, uint32_t worker)
{
	struct keeper_worker *seat;

	if (worker >= keeper->wanted)
		return NULL;
	seat = &keeper->workers[worker];
	return seat->next ? seat->next : seat->current;
}

static int find_proc(struct keeper *keeper, const struct joiner *joiner, uint32_t worker,
		     struct proc **proc, struct trouble *trouble)
{
	*proc = keeper_owner_of(keeper, joiner->member);
	if (!*proc && worker != JOIN_ANY_WORKER)
		*proc = proc_named(keeper, worker);
	if (*proc && (*proc)->stopping)
		return trouble_set(trouble, EXIT_FAILED, "worker %u of %s was told to end",
				   (*proc)->worker, keeper->options.name);
	if (*proc)
		return EXIT_DONE;
	if (worker != JOIN_ANY_WORKER)
		return trouble_set(trouble, EXIT_NOT_FOUND,
				   "no worker %u of %s runs; LBCTL_WORKER must name one that does",
				   worker, keeper->options.name);
	return trouble_set(trouble, EXIT_USAGE,
			   "lbctl run starts the workers of %s itself, and this process is none of "
			   "them; lbctl scale starts more",
			   keeper->options.name);
}

static void announce(struct keeper *keeper, const struct joiner *joiner,
		     const struct join_place *place)
{
	keeper_event(keeper, "listening",
		     json_pack("{s:i, s:i, s:s}", "worker", place->worker, "pid", joiner->pid,
			       "addr", place->address),
		     "worker %u (pid %d) joined, listening on %s", place->worker, joiner->pid,
		     place->address);
}

/* One attempt. *proc is whose it is, NULL in a watched service. */
static int attempt(struct keeper *keeper, const struct keeper_join *request, struct joiner *joiner,
		   struct proc **proc, struct join_place *place, bool *refresh,
		   struct trouble *trouble)
{
	int status = join_find(joiner, request->fd, request->pid, trouble);
	uint32_t worker = request->worker;

	*proc = NULL;
	*refresh = false;
	if (!status && keeper->options.argv)
		status = find_proc(keeper, joiner, worker, proc, trouble);
	if (status)
		return status;
	if (*proc)
		worker = (*proc)->worker;
	return join_service(keeper->options.name, joiner, worker, place, refresh, trouble);
}

/* With --wait-ready it is not looked at before; to join says that it is. */
static void sync_with(struct keeper *keeper, const struct joiner *joiner, struct proc *proc)
{
	bool said = proc && proc->said_ready;

	if (proc)
		proc->said_ready = true;
	keeper->joining.proc = proc;
	keeper->joining.cookie = joiner->member->socket.cookie;
	keeper_sync(keeper);
	keeper->joining.proc = NULL;
	if (proc)
		proc->said_ready = said;
}

int keeper_join(struct keeper *keeper, const struct keeper_join *request, struct join_place *place,
		struct trouble *trouble)
{
	struct joiner joiner;
	struct proc *proc;
	bool refresh;
	int status;

	*place = (struct join_place){ .load_fd = -1 };
	if (keeper->stopping)
		return trouble_set(trouble, EXIT_FAILED, "service %s is being stopped",
				   keeper->options.name);
	/* many workers that start at once are found by one look of ours before all have asked */
	if (!keeper->options.argv && !join_known(keeper->options.name, request->fd, place))
		return EXIT_DONE;
	status = attempt(keeper, request, &joiner, &proc, place, &refresh, trouble);
	if (status && refresh) {
		sync_with(keeper, &joiner, proc);
		joiner_free(&joiner);
		status = attempt(keeper, request, &joiner, &proc, place, &refresh, trouble);
	}
	if (!status && !place->was_there)
		announce(keeper, &joiner, place);
	if (!status && proc) {
		proc->said_ready = true;
		if (proc->slot != (int)place->slot)
			keeper_books_begin(keeper, place->slot);
		proc->slot = place->slot;
		proc->protos = keeper->protos;
	}
	joiner_free(&joiner);
	return status;
}
