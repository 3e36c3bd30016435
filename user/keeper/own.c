// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which sockets are those of a run's workers: by what the workers share, and by whose each is. */
#include <errno.h>

#include "keeper/keeper.h"
#include "service/service.h"
#include "service/state.h"
#include "service/steer.h"

/* Whose socket: by the cgroup it was made in, or, of those that lbctl made, by its cookie. */
struct proc *keeper_owner_of(struct keeper *keeper, const struct member *member)
{
	if (keeper->joining.proc && keeper->joining.cookie == member->socket.cookie)
		return keeper->joining.proc;
	for (uint32_t i = 0; i < LB_MAX_WORKERS; i++) {
		struct keeper_worker *seat = &keeper->workers[i];
		struct proc *procs[] = { seat->current, seat->next, seat->leaving };

		for (size_t j = 0; j < 3; j++) {
			if (procs[j] && procs[j]->cgroup &&
			    procs[j]->cgroup == member->socket.cgroup_id)
				return procs[j];
		}
		for (uint32_t j = 0; j < keeper->options.nr_listens; j++) {
			if (seat->listen_fds[j] >= 0 && seat->current &&
			    sockdiag_cookie(seat->listen_fds[j]) == member->socket.cookie)
				return seat->current;
		}
	}
	return NULL;
}

/* Strangers stay out, and processes that have not said that they are ready. */
static bool may_serve(struct keeper *keeper, const struct member *member)
{
	struct proc *proc = keeper_owner_of(keeper, member);

	return proc && (proc->said_ready || !keeper->options.wait_ready);
}

static bool is_registered(const struct state *state, const struct member *member)
{
	return state && service_slot_of_cookie(state, member->socket.cookie) >= 0;
}

/* Marks the processes that have a registered socket in the group. */
static void mark_owners(struct keeper *keeper, const struct reuseport_group *group,
			const struct state *state)
{
	struct proc *proc;

	keeper->looks++;
	for (size_t i = 0; i < group->nr_members; i++) {
		proc = keeper_owner_of(keeper, &group->members[i]);
		if (proc && is_registered(state, &group->members[i]))
			proc->look = keeper->looks;
	}
}

/*
 * Of UDP, a process serves with one socket on an address: what else it binds there it means for one
 * client, and is going to connect it.
 */
static bool is_one_more(struct keeper *keeper, const struct reuseport_group *group,
			const struct state *state, const struct member *member)
{
	struct proc *proc = keeper_owner_of(keeper, member);
	bool has_one = proc->look == keeper->looks;

	if (group->proto != LB_PROTO_UDP || is_registered(state, member))
		return false;
	proc->look = keeper->looks;
	return has_one;
}

/* The members that serve, without strangers. `state` is the service as it is, NULL = not yet. */
static void keep_own(struct keeper *keeper, struct reuseport_group *group,
		     const struct state *state, struct strangers *strangers)
{
	struct member *member;
	size_t kept = 0;

	if (group->proto == LB_PROTO_UDP)
		mark_owners(keeper, group, state);
	for (size_t i = 0; i < group->nr_members; i++) {
		member = &group->members[i];
		if (!group->id)
			continue;
		if (!keeper_owner_of(keeper, member))
			strangers_add(strangers, group, member);
		else if (!group->mptcp && may_serve(keeper, member) &&
			 !is_one_more(keeper, group, state, member))
			group->members[kept++] = *member;
	}
	group->nr_members = kept;
}

uint8_t keeper_protos(const struct keeper_options *options)
{
	const struct lb_ports *shared = options->rules.shared;
	uint8_t protos = 0;

	for (uint32_t i = 0; i < options->nr_listens; i++)
		protos |= options->listens[i].proto == LB_PROTO_UDP ? KEEPER_UDP : KEEPER_TCP;
	for (size_t i = 0; i < options->nr_addrs; i++)
		protos |= options->addrs[i].proto == LB_PROTO_UDP ? KEEPER_UDP : KEEPER_TCP;
	if (protos)
		return protos;
	if (shared[LB_BIND_UDP].count)
		protos = KEEPER_UDP;
	return shared[LB_BIND_TCP].count ? protos | KEEPER_TCP : protos ? protos : KEEPER_TCP;
}

const char *keeper_traffic(const struct keeper *keeper)
{
	if (keeper->protos == (KEEPER_TCP | KEEPER_UDP))
		return "connections and datagrams";
	return keeper->protos == KEEPER_UDP ? "datagrams" : "connections";
}

static void add_shared(struct keeper_shared *shared, uint8_t proto, uint16_t port)
{
	shared->items[shared->count].proto = proto;
	shared->items[shared->count++].port = port;
}

void keeper_find_shared(const struct keeper *keeper, struct keeper_shared *shared)
{
	const struct keeper_options *options = &keeper->options;
	const struct lb_ports *tcp = &options->rules.shared[LB_BIND_TCP];
	const struct lb_ports *udp = &options->rules.shared[LB_BIND_UDP];

	shared->count = 0;
	for (uint32_t i = 0; i < options->nr_listens; i++)
		add_shared(shared, options->listens[i].proto, options->listens[i].port);
	if (options->nr_listens)
		return;
	for (uint32_t i = 0; i < tcp->count; i++)
		add_shared(shared, LB_PROTO_TCP, tcp->port[i]);
	for (uint32_t i = 0; i < udp->count; i++)
		add_shared(shared, LB_PROTO_UDP, udp->port[i]);
	if (!shared->count && keeper->bindhooks && bindhook_first_port(keeper->bindhooks))
		add_shared(shared, LB_PROTO_TCP, bindhook_first_port(keeper->bindhooks));
}

static bool is_shared(const struct keeper_shared *shared, const struct reuseport_group *group)
{
	for (uint32_t i = 0; i < shared->count; i++) {
		if (shared->items[i].proto == group->proto && shared->items[i].port == group->port)
			return true;
	}
	return false;
}

int keeper_find_own(struct keeper *keeper, const struct state *state, struct groups *groups,
		    struct strangers *strangers)
{
	enum group_detail detail = keeper->protos & KEEPER_UDP ? GROUP_UDP : 0;
	struct keeper_shared shared;
	int err;

	keeper_find_shared(keeper, &shared);
	if (!shared.count)
		return -ENOENT;
	err = groups_find(-1, shared.count == 1 ? shared.items[0].port : 0, 0, detail, groups);
	for (size_t i = 0; !err && i < groups->count; i++) {
		if (!is_shared(&shared, &groups->items[i]))
			groups->items[i].nr_members = 0;
		keep_own(keeper, &groups->items[i], state, strangers);
	}
	return err;
}
