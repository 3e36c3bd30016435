// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See own.h. */
#include "keeper/own.h"

#include <errno.h>

#include "keeper/pins.h"

const char *own_traffic(uint8_t protos)
{
	if (protos == (OWN_TCP | OWN_UDP))
		return "connections and datagrams";
	return protos == OWN_UDP ? "datagrams" : "connections";
}

static void add_port(struct own_port *ports, uint32_t *count, uint8_t proto, uint16_t port)
{
	ports[*count].proto = proto;
	ports[(*count)++].port = port;
}

uint32_t own_ports(const struct own *own, struct own_port ports[OWN_MOST_PORTS])
{
	const struct lb_ports *tcp = &own->rules->shared[LB_BIND_TCP];
	const struct lb_ports *udp = &own->rules->shared[LB_BIND_UDP];
	struct bindhooks *hooks = own->runners->hooks;
	uint32_t count = 0;

	for (uint32_t i = 0; i < own->nr_listens; i++)
		add_port(ports, &count, own->listens[i].proto, own->listens[i].port);
	if (own->nr_listens)
		return count;
	for (uint32_t i = 0; i < tcp->count; i++)
		add_port(ports, &count, LB_PROTO_TCP, tcp->port[i]);
	for (uint32_t i = 0; i < udp->count; i++)
		add_port(ports, &count, LB_PROTO_UDP, udp->port[i]);
	if (!count && hooks && bindhook_first_port(hooks))
		add_port(ports, &count, LB_PROTO_TCP, bindhook_first_port(hooks));
	return count;
}

int own_worker_of(const struct own *own, const struct sockdiag_socket *socket,
		  struct runner **runner)
{
	uint32_t generation;
	int worker;

	*runner = NULL;
	if (own->joining_cookie && own->joining_cookie == socket->cookie)
		return own->joining_worker;
	*runner = runner_of_cgroup(own->runners, socket->cgroup_id);
	if (*runner)
		return (*runner)->worker;
	worker = listeners_find(own->listeners, socket->cookie, &generation);
	if (worker >= 0)
		*runner = runner_find(own->runners, worker, generation);
	return worker;
}

/*
 * One with sockets of --listen is when the plan says so: they take connections before it does. What
 * one opens while it leaves gets nothing: nobody drains that, and it may be killed.
 */
static bool is_ready(const struct own *own, const struct process *process, bool registered)
{
	if (!lifecycle_runs(process->state) || process->exited)
		return false;
	if (own->nr_listens && process->state == LIFE_STARTING)
		return false;
	if (!registered && (process->state == LIFE_DRAINING || process->state == LIFE_TERMINATING))
		return false;
	return process->said_ready || !own->wait_ready;
}

bool own_may_serve(const struct own *own, uint32_t worker, const struct runner *runner,
		   bool registered)
{
	const struct process *at = own->plan->workers[worker].at;

	if (own->joining_cookie && own->joining_worker == worker)
		return true;
	for (int role = 0; role < ROLES; role++) {
		if ((!runner || at[role].generation == runner->generation) &&
		    is_ready(own, &at[role], registered))
			return true;
	}
	return false;
}

static bool is_registered(const struct state *state, const struct member *member)
{
	return state && pins_slot_of(state, member->socket.cookie) >= 0;
}

/*
 * Of UDP, a process serves with one socket on an address: what else it binds there it means for one
 * client, and is going to connect it. The first `kept` members serve; is the i-th one more?
 */
static bool is_one_more(const struct own *own, const struct reuseport_group *group, size_t kept,
			size_t i, const struct state *state, const struct runner *runner)
{
	struct runner *other;

	if (group->proto != LB_PROTO_UDP || !runner || is_registered(state, &group->members[i]))
		return false;
	for (size_t j = 0; j < group->nr_members; j++) {
		if (j >= kept && j <= i)
			continue;
		own_worker_of(own, &group->members[j].socket, &other);
		if (other == runner && (j < kept || is_registered(state, &group->members[j])))
			return true;
	}
	return false;
}

/* The members that serve, without strangers. */
static void keep_own(const struct own *own, const struct state *state,
		     struct reuseport_group *group)
{
	struct runner *runner;
	size_t kept = 0;
	int worker;

	for (size_t i = 0; i < group->nr_members; i++) {
		worker = own_worker_of(own, &group->members[i].socket, &runner);
		if (!group->id || worker < 0 || group->mptcp ||
		    !own_may_serve(own, worker, runner, is_registered(state, &group->members[i])) ||
		    is_one_more(own, group, kept, i, state, runner))
			continue;
		group->members[kept++] = group->members[i];
	}
	group->nr_members = kept;
}

static bool is_shared(const struct own_port *ports, uint32_t count,
		      const struct reuseport_group *group)
{
	for (uint32_t i = 0; i < count; i++) {
		if (ports[i].proto == group->proto && ports[i].port == group->port)
			return true;
	}
	return false;
}

int own_find(const struct own *own, const struct state *state, const pid_t *pids, size_t nr_pids,
	     struct groups *groups)
{
	enum group_detail detail = own->protos & OWN_UDP ? GROUP_UDP : 0;
	struct own_port ports[OWN_MOST_PORTS];
	uint32_t count = own_ports(own, ports);
	int err;

	if (!count)
		return -ENOENT;
	err = groups_find_among(count == 1 ? ports[0].port : 0, pids, nr_pids, detail, groups);
	for (size_t g = 0; !err && g < groups->count; g++) {
		if (is_shared(ports, count, &groups->items[g]))
			keep_own(own, state, &groups->items[g]);
		else
			groups->items[g].nr_members = 0;
	}
	return err;
}
