// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * See rescue.h. In a process of its own, so that whoever asked goes on meanwhile, its death is
 * noticed and mended by whoever asked, and the kernel lets the worker go if it dies.
 *
 * Nobody but this holds a duplicate of a worker's listener, and only for the moment: one that
 * outlives its worker keeps the queue from moving.
 */
#include "service/rescue.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/freeze.h"
#include "host/group.h"
#include "host/netns.h"
#include "host/probe.h"
#include "lb_stall.h"
#include "service/service.h"
#include "service/stall.h"
#include "service/steer.h"
#include "service/wake_listeners.h"

#define MOST_PIDS 64

/* One listening socket of the slot. */
struct target {
	uint32_t listener;
	struct groups groups; /* of its network namespace and port */
	const struct member *member;
	const struct procs_holder *from; /* whose descriptor was duplicated */
	int fd;
	uint64_t rescued_before_ns, held_ns; /* when it was held before, and is now */
};

struct rescue {
	struct state state;
	uint32_t slot;
	pid_t keeper;
	struct sampler *sampler;
	uint64_t now_ns; /* of the tick clock */
	struct target targets[LB_MAX_LISTENERS];
	uint32_t nr_targets;
	pid_t pids[MOST_PIDS]; /* who polls the sockets */
	size_t nr_pids;
};

static struct lb_stall *stall_of(struct rescue *rescue, const struct target *target)
{
	return state_stall(&rescue->state, target->listener, rescue->slot);
}

const char *rescue_text(enum rescue_result result)
{
	static const char *const texts[] = {
#define X(id, text) text,
		RESCUE_RESULTS(X)
#undef X
	};

	return texts[result];
}

/* --- who is to be rescued --- */

/*
 * Is it known to accept, or at least due to be tried? A held slot with an empty queue waits for a
 * connection as a probe, and where all clients wait at a worker that hangs nobody else brings one.
 */
static bool may_accept(const struct rescue *rescue, uint32_t listener, uint32_t slot)
{
	const struct lb_stall *stall = state_stall(&rescue->state, listener, slot);

	if (lb_is_held(stall) && !stall->oldest && lb_probe_is_due(stall, rescue->now_ns))
		return true;
	return !stall_age_ns(&rescue->state, slot, rescue->now_ns);
}

static bool other_accepts(const struct rescue *rescue, uint32_t listener)
{
	const struct state *state = &rescue->state;

	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		if (slot != rescue->slot && state_worker(state, slot)->state == LB_SLOT_UP &&
		    steer_registered_cookie(state, listener, slot) &&
		    may_accept(rescue, listener, slot))
			return true;
	}
	return false;
}

static enum rescue_result find_targets(struct rescue *rescue)
{
	const struct state *state = &rescue->state;

	for (uint32_t i = 0; i < state->nr_listeners; i++) {
		const struct lb_stall *stall = state_stall(state, i, rescue->slot);

		if (state->config->listeners[i].proto != LB_PROTO_TCP)
			continue;
		if (!stall->queued || !steer_registered_cookie(state, i, rescue->slot))
			continue;
		if (!other_accepts(rescue, i))
			return RESCUE_NO_OTHER;
		rescue->targets[rescue->nr_targets++] = (struct target){
			.listener = i,
			.fd = -1,
			.rescued_before_ns = stall->rescued_ns,
		};
	}
	return rescue->nr_targets ? RESCUE_DONE : RESCUE_NOTHING_WAITS;
}

/*
 * From here on the slot gets no connection, whatever the worker does: a handshake that ends while
 * the listener is shut down is reset. So the hold begins ahead of now.
 */
static void hold_slot(struct rescue *rescue)
{
	for (uint32_t i = 0; i < rescue->nr_targets; i++) {
		struct lb_stall *stall = stall_of(rescue, &rescue->targets[i]);

		if (!lb_is_held(stall))
			stall->since_ns = stall->oldest ? stall->oldest_ns : rescue->now_ns;
		rescue->targets[i].held_ns = rescue->now_ns;
		__atomic_store_n(&stall->rescued_ns, rescue->now_ns + LB_PROBE_NS,
				 __ATOMIC_SEQ_CST);
	}
}

/* The rescue has ended. If it moved nothing the slot is as it was. */
static void let_go_of_slot(struct rescue *rescue, bool moved)
{
	for (uint32_t i = 0; i < rescue->nr_targets; i++) {
		const struct target *target = &rescue->targets[i];

		__atomic_store_n(&stall_of(rescue, target)->rescued_ns,
				 moved ? target->held_ns : target->rescued_before_ns,
				 __ATOMIC_SEQ_CST);
	}
}

static bool handshakes_go_on(struct rescue *rescue)
{
	for (uint32_t i = 0; i < rescue->nr_targets; i++) {
		if (stall_of(rescue, &rescue->targets[i])->half_open)
			return true;
	}
	return false;
}

static int await_handshakes(struct rescue *rescue)
{
	const struct timespec nap = { .tv_nsec = 1000 * 1000 };
	int err = sampler_run(rescue->sampler, &rescue->now_ns);

	for (int waited_ms = 0; !err && waited_ms < HANDSHAKES_MS && handshakes_go_on(rescue);
	     waited_ms++) {
		nanosleep(&nap, NULL);
		err = sampler_run(rescue->sampler, &rescue->now_ns);
	}
	return err;
}

/* --- who polls it --- */

static int find_group(struct rescue *rescue, struct target *target)
{
	const struct lb_listener *listener = &rescue->state.config->listeners[target->listener];
	uint64_t cookie = state_queue(&rescue->state, target->listener, rescue->slot)->cookie;
	_cleanup_close_ int netns = -1;
	int err = netns_find(listener->netns, &netns);

	if (!err)
		err = groups_find(netns, listener->port, 0, GROUP_QUICK, &target->groups);
	for (size_t g = 0; !err && g < target->groups.count; g++) {
		const struct reuseport_group *group = &target->groups.items[g];

		for (size_t i = 0; i < group->nr_members; i++) {
			if (group->members[i].socket.cookie == cookie)
				target->member = &group->members[i];
		}
	}
	return err;
}

/* Where nobody uses epoll on it, everybody who has it may be in a call on it, but for lbctl. */
static bool may_poll(const struct rescue *rescue, const struct member *member, size_t holder)
{
	pid_t pid = member->holders[holder].pid;

	if (pid == rescue->keeper || pid == getpid())
		return false;
	return member->holders[holder].polls || !member->holders[0].polls;
}

static bool polls(const struct rescue *rescue, const struct member *member, pid_t pid)
{
	for (size_t i = 0; i < member->nr_holders; i++) {
		if (member->holders[i].pid == pid && may_poll(rescue, member, i))
			return true;
	}
	return false;
}

/* Has the process another slot's socket as well? */
static bool serves_several(const struct rescue *rescue, const struct target *target, pid_t pid)
{
	for (size_t g = 0; g < target->groups.count; g++) {
		const struct reuseport_group *group = &target->groups.items[g];

		for (size_t i = 0; i < group->nr_members; i++) {
			int slot = service_slot_of_cookie(&rescue->state,
							  group->members[i].socket.cookie);

			if (slot >= 0 && (uint32_t)slot != rescue->slot &&
			    polls(rescue, &group->members[i], pid))
				return true;
		}
	}
	return false;
}

static enum rescue_result add_pid(struct rescue *rescue, const struct target *target, pid_t pid)
{
	if (serves_several(rescue, target, pid) && !freeze_is_stopped(pid))
		return RESCUE_SEVERAL_SLOTS;
	for (size_t i = 0; i < rescue->nr_pids; i++) {
		if (rescue->pids[i] == pid)
			return RESCUE_DONE;
	}
	if (rescue->nr_pids == MOST_PIDS)
		return RESCUE_NOT_STILL;
	rescue->pids[rescue->nr_pids++] = pid;
	return RESCUE_DONE;
}

static enum rescue_result take_duplicate(struct rescue *rescue, struct target *target)
{
	enum rescue_result result = RESCUE_DONE;
	const struct member *member;

	if (find_group(rescue, target))
		return RESCUE_FAILED;
	member = target->member;
	if (!member)
		return RESCUE_GONE;
	for (size_t i = 0; i < member->nr_holders && result == RESCUE_DONE; i++) {
		if (may_poll(rescue, member, i))
			result = add_pid(rescue, target, member->holders[i].pid);
	}
	if (result != RESCUE_DONE)
		return result;
	target->fd = member_duplicate_from(member, &target->from);
	if (target->fd < 0)
		return target->fd == -EPERM ? RESCUE_NOT_PERMITTED : RESCUE_GONE;
	return RESCUE_DONE;
}

/* --- the rescue --- */

static int backlog_of(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	/* of a listener: how many may wait */
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) ? -errno : (int)info.tcpi_sacked;
}

static void note_intent(struct rescue *rescue, const struct target *target, int backlog)
{
	struct lb_rescue *intent = &rescue->state.config->rescue;

	intent->fd = target->from->fd;
	intent->backlog = backlog;
	intent->slot = rescue->slot;
	intent->listener = target->listener;
	__atomic_store_n(&intent->pid, target->from->pid, __ATOMIC_SEQ_CST);
}

static int move_queue(struct rescue *rescue, const struct target *target)
{
	int backlog = backlog_of(target->fd), err = 0;

	if (backlog < 0)
		return backlog;
	note_intent(rescue, target, backlog);
	if (shutdown(target->fd, SHUT_RD) || listen(target->fd, backlog))
		err = -errno;
	if (!err)
		err = steer_register(&rescue->state, target->listener, rescue->slot, target->fd);
	if (err)
		return err;
	/* what waited is in other queues since the shutdown */
	wake_listeners(&rescue->state, 1);
	__atomic_store_n(&rescue->state.config->rescue.pid, 0, __ATOMIC_SEQ_CST);
	return 0;
}

static enum rescue_result move_frozen(struct rescue *rescue)
{
	enum rescue_result result = RESCUE_DONE;
	struct freeze freeze;
	int err;

	err = freeze_begin(&freeze, rescue->pids, rescue->nr_pids);
	if (err)
		result = err == -EPERM ? RESCUE_NOT_PERMITTED : RESCUE_NOT_STILL;
	for (uint32_t i = 0; i < rescue->nr_targets && result == RESCUE_DONE; i++) {
		if (move_queue(rescue, &rescue->targets[i]))
			result = RESCUE_FAILED;
	}
	freeze_end(&freeze);
	if (result == RESCUE_DONE)
		stall_of(rescue, &rescue->targets[0])->rescues++;
	return result;
}

static enum rescue_result run_steps(struct rescue *rescue)
{
	enum rescue_result result;

	/* it may take a moment to know, in which no worker is held still */
	wake_listeners_needed();
	if (sampler_run(rescue->sampler, &rescue->now_ns))
		return RESCUE_FAILED;
	result = find_targets(rescue);
	if (result != RESCUE_DONE)
		return result;
	hold_slot(rescue);
	if (await_handshakes(rescue))
		result = RESCUE_FAILED;
	for (uint32_t i = 0; i < rescue->nr_targets && result == RESCUE_DONE; i++)
		result = take_duplicate(rescue, &rescue->targets[i]);
	if (result == RESCUE_DONE)
		result = move_frozen(rescue);
	let_go_of_slot(rescue, result == RESCUE_DONE);
	return result;
}

static enum rescue_result rescue_run(const char *service, uint32_t slot, pid_t keeper,
				     struct sampler *sampler)
{
	struct rescue rescue = { .slot = slot, .keeper = keeper, .sampler = sampler };
	enum rescue_result result;
	int err;

	if (!probe_features()->migrate)
		return RESCUE_KERNEL;
	err = state_open(&rescue.state, service, STATE_LOCK);
	if (err)
		return err == -EPERM || err == -EACCES ? RESCUE_NOT_PERMITTED : RESCUE_FAILED;
	if (!service_counts(&rescue.state))
		return RESCUE_DATAGRAMS;
	rescue_repair(&rescue.state);
	if (!sampler)
		err = sampler_open(&rescue.state, &rescue.sampler);
	if (err)
		return err == -EPERM ? RESCUE_NOT_PERMITTED : RESCUE_KERNEL;
	result = run_steps(&rescue);
	if (result == RESCUE_FAILED)
		rescue_repair(&rescue.state);
	return result;
}

pid_t rescue_start(const char *service, uint32_t slot, pid_t keeper, struct sampler *sampler)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid)
		return pid;
	/*
	 * Clients wait for these few milliseconds of work, and a worker is held still in them: on a
	 * busy host (a worker in a loop makes it one) they come first, where CAP_SYS_NICE allows
	 * it.
	 */
	setpriority(PRIO_PROCESS, 0, -20);
	/* all it has goes with it, and so do the threads that could not be let go yet */
	_exit(rescue_run(service, slot, keeper, sampler));
}

enum rescue_result rescue_result(int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) < RESCUE_KILLED)
		return WEXITSTATUS(status);
	return RESCUE_KILLED;
}

enum rescue_result rescue_end(const char *service, int status)
{
	enum rescue_result result = rescue_result(status);
	struct state state;

	if (result != RESCUE_KILLED)
		return result;
	if (!state_open(&state, service, STATE_LOCK)) {
		rescue_repair(&state);
		state_close(&state);
	}
	return RESCUE_KILLED;
}

void rescue_repair(struct state *state)
{
	struct lb_rescue intent = state->config->rescue;
	const struct procs_holder holder = { .pid = intent.pid, .fd = intent.fd };
	_cleanup_close_ int fd = -1;
	socklen_t len = sizeof(int);
	int listens = 0;
	uint64_t cookie;

	if (!intent.pid)
		return;
	if (intent.listener < state->nr_listeners && intent.slot < LB_MAX_SLOTS) {
		cookie = state_queue(state, intent.listener, intent.slot)->cookie;
		fd = holder_duplicate(&holder, cookie);
		/* not ours to have: the next one may */
		if (fd == -EPERM)
			return;
	}
	if (fd >= 0 && !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len)) {
		if (!listens && listen(fd, intent.backlog))
			return;
		if (!steer_registered_cookie(state, intent.listener, intent.slot))
			steer_register(state, intent.listener, intent.slot, fd);
	}
	/* who was killed may have woken nobody for what had migrated */
	wake_listeners(state, 1);
	__atomic_store_n(&state->config->rescue.pid, 0, __ATOMIC_SEQ_CST);
}
