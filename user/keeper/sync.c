// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The service's side of a keeper: its own listening sockets, slots, and what goes to them. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "keeper/keeper.h"
#include "lb_pick.h"
#include "service/attach.h"
#include "service/service.h"
#include "service/steer.h"

#define BACKLOG 4096 /* cut to net.core.somaxconn by the kernel */

static int make_listener(const struct keeper_listen *listen_at)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(listen_at->port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(listen_at->port) };
	bool six = listen_at->family == AF_INET6, udp = listen_at->proto == LB_PROTO_UDP;
	_cleanup_close_ int fd = -1;
	const int on = 1;

	memcpy(&in6.sin6_addr, listen_at->addr, 16);
	memcpy(&in.sin_addr, listen_at->addr, 4);
	fd = socket(listen_at->family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* of UDP, SO_REUSEADDR would let others take the port over */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) ||
	    (!udp && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on))) ||
	    (six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on))))
		return -errno;
	if (bind(fd, six ? (struct sockaddr *)&in6 : (struct sockaddr *)&in,
		 six ? sizeof(in6) : sizeof(in)) ||
	    (!udp && listen(fd, BACKLOG)))
		return -errno;
	return fd_steal(&fd);
}

int keeper_make_listeners(struct keeper *keeper, uint32_t worker)
{
	int *fds = keeper->workers[worker].listen_fds;

	for (uint32_t i = 0; i < keeper->options.nr_listens; i++) {
		if (fds[i] < 0)
			fds[i] = make_listener(&keeper->options.listens[i]);
		if (fds[i] < 0)
			return fds[i];
	}
	return 0;
}

/* Whoever waits in their queues is handed on by the kernel. */
void keeper_close_listeners(struct keeper *keeper, uint32_t worker)
{
	for (uint32_t i = 0; i < LB_MAX_LISTENERS; i++)
		close_fd(&keeper->workers[worker].listen_fds[i]);
}

static int worker_of(void *arg, const struct member *member)
{
	struct proc *proc = keeper_owner_of(arg, member);

	return proc ? (int)proc->worker : -1;
}

static void note_listening(struct keeper *keeper, const struct reuseport_group *group,
			   const struct member *member, int slot)
{
	uint8_t proto = group->proto == LB_PROTO_UDP ? KEEPER_UDP : KEEPER_TCP;
	struct proc *proc = keeper_owner_of(keeper, member);
	char address[ADDR_STRLEN];

	if (!proc || slot < 0 || (proc->slot == slot && (proc->protos & proto)))
		return;
	if (proc->slot != slot)
		keeper_books_begin(keeper, slot);
	proc->slot = slot;
	proc->protos |= proto;
	group_address(group, address);
	keeper_event(keeper, "listening",
		     json_pack("{s:i, s:i, s:s}", "worker", proc->worker, "pid", proc->process.pid,
			       "addr", address),
		     "worker %u (pid %d) listening on %s", proc->worker, proc->process.pid,
		     address);
}

/* Which slot each process got. */
static void note_slots(struct keeper *keeper, const struct groups *groups)
{
	struct state state;

	if (state_open(&state, keeper->options.name, STATE_READ))
		return;
	for (size_t g = 0; g < groups->count; g++) {
		const struct reuseport_group *group = &groups->items[g];

		for (size_t i = 0; i < group->nr_members; i++)
			note_listening(keeper, group, &group->members[i],
				       service_slot_of_cookie(&state,
							      group->members[i].socket.cookie));
	}
	state_close(&state);
}

/* Once: what lasts, like a server that is down for a while, is no news every second. */
static void say_trouble(struct keeper *keeper, const struct trouble *trouble)
{
	bool said = keeper->in_trouble && !strcmp(keeper->trouble, trouble->text);

	keeper->in_trouble = true;
	strcpy(keeper->trouble, trouble->text);
	if (!said)
		keeper_event(keeper, "trouble", NULL, "%s", trouble->text);
}

static void find_slot(struct keeper *keeper, const struct lb_worker *row, uint32_t slot)
{
	struct keeper_worker *seat = &keeper->workers[row->worker];
	struct proc *proc = seat->current;

	/* of two processes it may be the other one's */
	if (!proc || proc->slot >= 0 || seat->next || seat->leaving)
		return;
	proc->slot = slot;
	proc->protos = keeper->protos;
}

void keeper_find_slots(struct keeper *keeper)
{
	const struct lb_worker *row;
	struct state state;

	if (state_open(&state, keeper->options.name, STATE_READ))
		return;
	for (uint32_t slot = 0; slot < state.config->used_slots; slot++) {
		row = state_worker(&state, slot);
		if (row->worker < LB_MAX_WORKERS && lb_slot_is_open(row->state))
			find_slot(keeper, row, slot);
	}
	state_close(&state);
}

/* lbctl watch: whatever listens there belongs to the service, whoever started it. */
static void sync_watched(struct keeper *keeper)
{
	const struct attach_request request = {
		.name = keeper->options.name,
		.policy = keeper->options.policy,
		.rescue = keeper->options.rescue,
		.addrs = keeper->options.addrs,
		.nr_addrs = keeper->options.nr_addrs,
		.netns_fd = -1,
		.group = keeper->options.group,
		.replace = true,
	};
	struct attach_result result;
	struct trouble trouble;

	if (attach_run(&request, &result, &trouble)) {
		say_trouble(keeper, &trouble);
		keeper_status(keeper, "%s", trouble.text);
		return;
	}
	if (keeper->in_trouble || result.made || result.added || result.gone)
		keeper_event(keeper, "refresh",
			     json_pack("{s:i, s:i, s:i}", "workers", result.workers, "added",
				       result.added, "gone", result.gone),
			     "%u worker%s of %s: %u socket%s joined, %u worker%s went down",
			     result.workers, plural(result.workers), result.server, result.added,
			     plural(result.added), result.gone, plural(result.gone));
	keeper->in_trouble = false;
	keeper->options.policy = 0;
	keeper->options.rescue = false;
	keeper_status(keeper, "%u workers of %s", result.workers, result.server);
}

/*
 * Goes on with FNV-1a over the cookies of sockets, which come sorted. 0: they can't be listed. Of
 * UDP, connected sockets don't count: they come and go with what the server asks of others.
 */
static uint64_t hash_sockets(uint64_t hash, uint8_t proto, uint16_t port)
{
	struct sockdiag_list list;

	if (!hash || sockdiag_listeners(proto, port, &list))
		return 0;
	for (size_t i = 0; i < list.count; i++) {
		if (list.items[i].state != TCP_ESTABLISHED)
			hash = (hash ^ list.items[i].cookie) * 1099511628211ULL;
	}
	sockdiag_free(&list);
	return hash;
}

/* Of all TCP listeners, and of the UDP sockets that are watched or shared. */
static uint64_t fingerprint(const struct keeper *keeper)
{
	uint64_t hash = hash_sockets(14695981039346656037ULL, LB_PROTO_TCP, 0);
	struct keeper_shared shared;

	for (size_t i = 0; i < keeper->options.nr_addrs; i++) {
		const struct addr *addr = &keeper->options.addrs[i];

		if (addr->proto == LB_PROTO_UDP)
			hash = hash_sockets(hash, LB_PROTO_UDP, addr->port);
	}
	keeper_find_shared(keeper, &shared);
	for (uint32_t i = 0; i < shared.count; i++) {
		if (shared.items[i].proto == LB_PROTO_UDP)
			hash = hash_sockets(hash, LB_PROTO_UDP, shared.items[i].port);
	}
	return hash;
}

void keeper_sync_if_changed(struct keeper *keeper)
{
	uint64_t sockets = fingerprint(keeper);

	if (sockets && sockets == keeper->sockets_seen &&
	    ++keeper->quiet_syncs < KEEPER_QUIET_SYNCS) {
		keeper_look(keeper);
		return;
	}
	keeper->sockets_seen = sockets;
	keeper->quiet_syncs = 0;
	keeper_sync(keeper);
}

/*
 * What fails before anything has worked (another service has the port) will go on failing. While
 * all end, sockets go in the middle of a look, and that is no trouble.
 */
static void report_trouble(struct keeper *keeper, const struct trouble *trouble)
{
	if (keeper->stopping)
		return;
	say_trouble(keeper, trouble);
	if (keeper->was_online)
		return;
	keeper->exit_status = trouble->status;
	keeper_stop(keeper);
}

static void sync_own(struct keeper *keeper)
{
	const struct service_owner owner = { .worker = worker_of, .arg = keeper };
	struct attach_request request = {
		.name = keeper->options.name,
		.policy = 0,
		.netns_fd = -1,
		.group = keeper->options.group,
		.owner = &owner,
	};
	struct attach_result result;
	struct strangers strangers = { 0 };
	struct trouble trouble = { 0 };
	struct groups groups;
	struct state state;
	bool is_new = state_open(&state, keeper->options.name, STATE_READ);
	int err = keeper_find_own(keeper, is_new ? NULL : &state, &groups, &strangers);

	if (!is_new)
		state_close(&state);
	if (err)
		return;
	/* what counts at the start only: later changes were made by someone on purpose */
	if (is_new) {
		request.policy = keeper->options.policy;
		request.rescue = keeper->options.rescue;
	}
	if (attach_groups(&request, &groups, &result, &trouble))
		report_trouble(keeper, &trouble);
	else
		note_slots(keeper, &groups);
	keeper->in_trouble = trouble.status;
	keeper_tell_strangers(keeper, &strangers);
	strangers_free(&strangers);
	groups_free(&groups);
}

void keeper_sync(struct keeper *keeper)
{
	/* a service that was taken off is not to come back for a worker that takes its time */
	if (keeper->stopping)
		return;
	if (keeper->options.nr_addrs)
		sync_watched(keeper);
	else
		sync_own(keeper);
	keeper_look(keeper);
}

/* Changes one worker's or slot's rows, then publishes the table. */
static void change_service(struct keeper *keeper, void (*change)(struct state *, uint32_t),
			   uint32_t which)
{
	struct state state;

	if (state_open(&state, keeper->options.name, STATE_LOCK))
		return;
	change(&state, which);
	steer_publish(&state, lb_word_policy(state.config->word));
	state_close(&state);
}

static void drain_slot(struct state *state, uint32_t slot)
{
	if (state_worker(state, slot)->state == LB_SLOT_UP)
		__atomic_store_n(&state_worker(state, slot)->state, LB_SLOT_DRAINING,
				 __ATOMIC_RELEASE);
}

static void resume_slot(struct state *state, uint32_t slot)
{
	if (state_worker(state, slot)->state == LB_SLOT_DRAINING)
		__atomic_store_n(&state_worker(state, slot)->state, LB_SLOT_UP, __ATOMIC_RELEASE);
}

static void retire_worker(struct state *state, uint32_t worker)
{
	service_retire(state, worker);
}

static void count_restart(struct state *state, uint32_t worker)
{
	for (uint32_t slot = 0; slot < state->config->used_slots; slot++) {
		if (state_worker(state, slot)->worker == worker)
			state_worker(state, slot)->restarts++;
	}
}

void keeper_drain(struct keeper *keeper, const struct proc *proc)
{
	if (proc->slot < 0)
		return;
	change_service(keeper, drain_slot, proc->slot);
	keeper_books_note(keeper, proc->slot);
}

void keeper_resume(struct keeper *keeper, const struct proc *proc)
{
	if (proc->slot < 0)
		return;
	change_service(keeper, resume_slot, proc->slot);
	keeper_books_note(keeper, proc->slot);
}

void keeper_retire(struct keeper *keeper, uint32_t worker)
{
	change_service(keeper, retire_worker, worker);
}

void keeper_note_restart(struct keeper *keeper, uint32_t worker)
{
	change_service(keeper, count_restart, worker);
}
