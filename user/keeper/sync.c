// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See sync.h. */
#include "keeper/sync.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text_json.h"
#include "host/cgroup.h"
#include "keeper/advice.h"
#include "keeper/crowd.h"
#include "keeper/foreign.h"
#include "service/service.h"
#include "service/track.h"
#include "service/wanted.h"

/* Where a socket is registered, by its cookie. */
struct entry {
	uint64_t cookie;
	uint32_t slot;
	uint32_t listener;
};

struct sync {
	struct sync_config config;
	struct entry *entries; /* what is registered, by cookie; of this look */
	size_t nr_entries;
	bool *seen; /* of each entry: there is a socket */
	bool listens[LB_MAX_SLOTS];
	/* what is not as it should be: a hash of cookies, now and when it was last tried */
	uint64_t wrong, tried;
	struct foreign foreign;
};

struct sync *sync_new(const struct sync_config *config)
{
	struct sync *sync = calloc(1, sizeof(*sync));

	if (!sync)
		return NULL;
	sync->config = *config;
	return sync;
}

void sync_free(struct sync *sync)
{
	if (!sync)
		return;
	free(sync->entries);
	free(sync->seen);
	free(sync);
}

bool sync_slot_listens(const struct sync *sync, uint32_t slot)
{
	return slot < LB_MAX_SLOTS && sync->listens[slot];
}

/* --- what is registered --- */

static int compare_cookies(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

static void read_entries(struct sync *sync, const struct state *state)
{
	uint32_t used = state ? state_used_slots(state) : 0;
	size_t most = state ? (size_t)state->nr_listeners * used : 0;
	uint64_t cookie;

	sync->nr_entries = 0;
	free(sync->entries);
	free(sync->seen);
	sync->entries = calloc(most + 1, sizeof(*sync->entries));
	sync->seen = calloc(most + 1, sizeof(*sync->seen));
	if (!sync->entries || !sync->seen)
		return;
	for (uint32_t i = 0; state && i < state->nr_listeners; i++) {
		for (uint32_t slot = 0; slot < used; slot++) {
			cookie = state_queue(state, i, slot)->cookie;
			if (cookie)
				sync->entries[sync->nr_entries++] =
					(struct entry){ cookie, slot, i };
		}
	}
	if (sync->nr_entries)
		qsort(sync->entries, sync->nr_entries, sizeof(*sync->entries), compare_cookies);
}

static struct entry *find_entry(const struct sync *sync, uint64_t cookie)
{
	const struct entry key = { .cookie = cookie };

	if (!sync->nr_entries)
		return NULL;
	return bsearch(&key, sync->entries, sync->nr_entries, sizeof(key), compare_cookies);
}

/* FNV-1a: which cookies, in the order of their sockets, are not as they should be. */
static void note_wrong(struct sync *sync, uint64_t cookie)
{
	sync->wrong =
		((sync->wrong ? sync->wrong : 14695981039346656037ULL) ^ cookie) * 1099511628211ULL;
}

/* --- one socket --- */

static void tell_listening(struct sync *sync, const struct runner *runner,
			   const struct sockdiag_socket *socket)
{
	char address[ADDR_STRLEN] = "";
	size_t len = 0;

	if (socket->proto == LB_PROTO_UDP)
		len = strlen(strcpy(address, "udp/"));
	addr_format(socket->family, socket->addr, socket->port, address + len,
		    sizeof(address) - len);
	event_tell_process(sync->config.log, "listening", runner->worker, runner->pid,
			   text_pack("{s:s}", "addr", address), "listening on %s", address);
}

/* Told of the first socket of a protocol. */
static void note_slot(struct sync *sync, struct runner *runner, uint32_t slot, uint8_t proto,
		      const struct sockdiag_socket *socket)
{
	bool known = runner->slot == (int)slot && ((runner->had | runner->protos) & proto);

	if (sync->config.forked) {
		runner->protos |= proto;
		forked_note(sync->config.forked, slot, runner);
		return;
	}
	if (runner->slot != (int)slot)
		sync->config.begun(sync->config.arg, slot);
	runner->slot = slot;
	runner->protos |= proto;
	if (!known)
		tell_listening(sync, runner, socket);
}

/*
 * A process elsewhere has joined for one of a worker's. For which, the keeper knows that let it
 * join; the next one gives it to the only one there is.
 */
static void note_joined(struct sync *sync, const struct state *state, uint32_t slot, uint8_t proto,
			const struct sockdiag_socket *socket)
{
	uint32_t worker = state_worker(state, slot)->worker;
	struct runner *runner = worker < LB_MAX_WORKERS ? sync->config.runners->of[worker] : NULL;

	if (runner && runner->taken_over && !runner->next && runner->joined < 0)
		runner->joined = slot;
	for (; runner; runner = runner->next) {
		if (runner->joined == (int)slot)
			note_slot(sync, runner, slot, proto, socket);
	}
}

static void see_socket(struct sync *sync, const struct state *state,
		       const struct sockdiag_socket *socket)
{
	uint8_t proto = socket->proto == LB_PROTO_UDP ? OWN_UDP : OWN_TCP;
	struct entry *entry = find_entry(sync, socket->cookie);
	struct runner *runner;
	int worker = own_worker_of(sync->config.own, socket, &runner);
	bool bound = runner && !sync->config.own->nr_listens;

	if (entry) {
		sync->seen[entry - sync->entries] = true;
		sync->listens[entry->slot] = true;
	}
	if (entry && worker < 0)
		note_joined(sync, state, entry->slot, proto, socket);
	if (worker < 0 || socket->mptcp)
		return;
	if (entry && runner)
		note_slot(sync, runner, entry->slot, proto, socket);
	/* of UDP, one socket on an address is all that a process serves with */
	else if (!entry && own_may_serve(sync->config.own, worker, runner, false) &&
		 !(proto == OWN_UDP && bound && (runner->had & OWN_UDP)))
		note_wrong(sync, socket->cookie);
}

static void see_port(struct sync *sync, const struct state *state, const struct own_port *port)
{
	struct sockdiag_list list;

	if (sockdiag_listeners(port->proto, port->port, &list))
		return;
	if (!sync->config.forked)
		crowd_look(sync->config.own, &list);
	for (size_t i = 0; i < list.count; i++) {
		if (list.items[i].state != TCP_ESTABLISHED)
			see_socket(sync, state, &list.items[i]);
	}
	sockdiag_free(&list);
}

/* Sockets that were registered and are gone. */
static void note_closed(struct sync *sync)
{
	for (size_t i = 0; i < sync->nr_entries; i++) {
		if (!sync->seen[i])
			note_wrong(sync, sync->entries[i].cookie);
	}
}

/* --- what the plan is told --- */

static void forget_protos(const struct runners *runners, uint32_t used)
{
	for (uint32_t w = 0; w < used; w++) {
		for (struct runner *runner = runners->of[w]; runner; runner = runner->next) {
			runner->had = runner->protos;
			runner->protos = 0;
			runner->crowd = (struct runner_crowd){ 0 };
		}
	}
}

static void tell_plan(const struct sync *sync)
{
	struct plan *plan = sync->config.plan;

	for (uint32_t w = 0; w < plan->used; w++) {
		struct runner *runner = sync->config.runners->of[w];

		for (; runner; runner = runner->next) {
			struct process *process = plan_process(plan, w, runner->generation);

			if (process)
				process->registered = runner->protos == sync->config.own->protos;
		}
	}
}

/* What there is to say of a worker that puts a program on its sockets; NULL = nothing. */
static const char *advice_of_workers(const struct sync *sync)
{
	const char *advice = NULL;

	for (uint32_t w = 0; w < sync->config.plan->used && !advice; w++) {
		const struct runner *runner = sync->config.runners->of[w];

		for (; runner && !advice; runner = runner->next)
			advice = advice_in_cgroup(runner->cgroup_fd, ADVICE_NO_PROGRAM);
	}
	return advice;
}

void sync_refreshed(struct sync *sync, const struct attach_result *result)
{
	if (sync->foreign.to_tell)
		foreign_tell(&sync->foreign, sync->config.log, advice_of_workers(sync), result);
}

void sync_look(struct sync *sync, bool again)
{
	struct state *state = pins_state(sync->config.pins);
	struct own_port ports[OWN_MOST_PORTS];
	uint32_t count = own_ports(sync->config.own, ports);

	sync->wrong = 0;
	if (sync->config.forked)
		forked_begin(sync->config.forked);
	memset(sync->listens, 0, sizeof(sync->listens));
	read_entries(sync, state);
	forget_protos(sync->config.runners, sync->config.plan->used);
	for (uint32_t i = 0; i < count; i++)
		see_port(sync, state, &ports[i]);
	note_closed(sync);
	if (!sync->config.forked)
		tell_plan(sync);
	else if (forked_end(sync->config.forked, sync->config.runners, sync->config.plan, state,
			    again))
		changes_refresh(sync->config.changes);
	if (again && state)
		foreign_look(&sync->foreign, state);
	/* while a child is at it a group may have none yet */
	if (again && sync->foreign.now &&
	    (sync->foreign.id || !changes_are_made(sync->config.changes)))
		foreign_count(&sync->foreign, state);
	if (again)
		sync->tried = 0;
	if ((sync->wrong && sync->wrong != sync->tried) || (again && sync->foreign.now)) {
		sync->tried = sync->wrong;
		changes_refresh(sync->config.changes);
	}
}

/* --- in the child --- */

struct pids {
	pid_t *items;
	size_t count;
};

static void add_pids(struct pids *pids, const pid_t *more, int n)
{
	pid_t *grown = n > 0 ? reallocarray(pids->items, pids->count + n + 1, sizeof(*grown)) :
			       NULL;

	if (!grown)
		return;
	pids->items = grown;
	/* a set of its own */
	grown[pids->count++] = 0;
	memcpy(grown + pids->count, more, n * sizeof(*more));
	pids->count += n;
}

/*
 * Who may hold a socket that is to be registered: those that are not all in, or, to put the program
 * back, all; and the keeper itself those of --listen.
 */
static void find_pids(const struct sync *sync, struct pids *pids)
{
	const struct own *own = sync->config.own;
	const pid_t keeper = getppid();

	for (uint32_t w = 0; w < sync->config.plan->used; w++) {
		const struct runner *runner = sync->config.runners->of[w];

		for (; runner && !own->nr_listens; runner = runner->next) {
			_cleanup_free_ pid_t *of_one = NULL;
			int n;

			if (!sync->foreign.now && !own->forks && runner->protos == own->protos)
				continue;
			n = cgroup_pids(runner->cgroup_fd, &of_one);
			add_pids(pids, of_one, n);
		}
	}
	if (own->nr_listens)
		add_pids(pids, &keeper, 1);
}

static int worker_of(void *arg, const struct member *member)
{
	const struct sync *sync = arg;
	struct runner *runner;

	/* the lowest that is free: whose socket it is was asked before */
	if (sync->config.forked)
		return -1;
	return own_worker_of(sync->config.own, &member->socket, &runner);
}

static bool leaves(void *arg, uint64_t cookie)
{
	const struct sync *sync = arg;

	return forked_leaves(sync->config.forked, cookie);
}

/* Of those of --listen the keeper is whom all sockets belong to. */
static int pair_of(void *arg, const struct state *state, const struct member *member)
{
	const struct sync *sync = arg;
	const struct own *own = sync->config.own;
	uint32_t generation;
	int worker = listeners_find(own->listeners, member->socket.cookie, &generation);

	return worker < 0 ? -1 : listeners_slot(own->listeners, state, worker, generation);
}

static bool is_worker(const void *arg, pid_t pid)
{
	const struct sync_config *config = arg;

	return runner_of_pid(config->runners, config->name, pid);
}

static void find_others(const struct sync_config *config, struct attach_result *result)
{
	struct own_port ports[OWN_MOST_PORTS];
	uint32_t count = own_ports(config->own, ports);

	foreign_find_others(ports, count, is_worker, config, result);
}

static void find_shared(const struct groups *groups, struct attach_result *result)
{
	struct trouble trouble;

	for (size_t i = 0; i < groups->count && !*result->shared; i++) {
		if (wanted_check_shared(&groups->items[i], &trouble))
			strcpy(result->shared, trouble.text);
	}
}

/*
 * All sockets are in the service's, but for those of --listen that a keeper made where no process
 * could be in it, or of an lbctl that made them in its own. Where these were counted it goes on.
 */
static uint64_t cgroup_of(const struct sync_config *config, const struct state *state,
			  const struct groups *groups)
{
	uint64_t counted = state ? track_cgroup(state) : 0;

	if (!config->own->nr_listens)
		return config->cgroup;
	if (counted && counted != config->cgroup)
		return 0;
	for (size_t g = 0; g < groups->count; g++) {
		for (size_t i = 0; i < groups->items[g].nr_members; i++) {
			if (groups->items[g].members[i].socket.cgroup_id != config->cgroup)
				return 0;
		}
	}
	return config->cgroup;
}

int sync_refresh(struct sync *sync, struct state *state, struct attach_result *result,
		 struct trouble *trouble)
{
	const struct sync_config *config = &sync->config;
	const struct service_owner owner = {
		.worker = worker_of,
		.pair = config->own->nr_listens ? pair_of : NULL,
		.leaves = config->forked ? leaves : NULL,
		.arg = sync,
	};
	const char *advice = state ? NULL : advice_of_workers(sync);
	/* what counts at the start only: later changes were made by someone on purpose */
	struct attach_request request = {
		.name = config->name,
		.policy = state ? 0 : config->policy,
		.rescue = state ? false : config->rescue,
		.netns_fd = -1,
		.group = config->group,
		/* once it is ours, no other program on it is anybody's wish */
		.replace = state,
		.own_program = advice ? advice : "see its manual for how to do without",
		.owner = &owner,
		.state = state,
		/* one that was taken away comes back as it was */
		.settings = state ? NULL : pins_settings(config->pins),
	};
	struct pids pids = { 0 };
	struct groups groups;
	int err, status;

	find_pids(sync, &pids);
	err = own_find(config->own, state, pids.items, pids.count, &groups);
	free(pids.items);
	if (err)
		return EXIT_DONE;
	request.cgroup = cgroup_of(config, state, &groups);
	status = attach_groups(&request, &groups, result, trouble);
	if (!status && config->forked)
		find_shared(&groups, result);
	groups_free(&groups);
	if (!status && sync->foreign.to_tell)
		find_others(config, result);
	return status;
}
