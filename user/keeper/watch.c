// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * See watch.h. Of a server that someone else started no event tells what its sockets do: they are
 * listed once a second, and looked at more closely, in a child, when the list has changed, when
 * another program is on a group, and now and then, as their owners may have.
 */
#include "keeper/watch.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text_json.h"
#include "keeper/foreign.h"
#include "keeper/members.h"

#define QUIET_TICKS 10 /* after which it looks more closely anyway */
#define DEADLINE_MS 20000

struct watch {
	struct task *task;
	uint64_t sockets; /* a hash of their cookies */
	uint32_t ticks;	  /* since the last close look */
	uint32_t policy;
	bool rescue;
	struct members members;
	struct foreign foreign;
};

struct shared {
	struct keeper *keeper;
	int status;
	struct attach_result result;
	struct trouble trouble;
};

int watch_open(struct keeper *keeper)
{
	keeper->watch = calloc(1, sizeof(*keeper->watch));
	if (!keeper->watch)
		return -ENOMEM;
	keeper->watch->policy = keeper->options.policy;
	keeper->watch->rescue = keeper->options.rescue;
	keeper->watch->members.log = keeper->log;
	keeper->watch->members.losses = keeper->losses;
	return 0;
}

void watch_close(struct keeper *keeper)
{
	if (keeper->watch)
		task_cancel(keeper->watch->task);
	free(keeper->watch);
	keeper->watch = NULL;
}

/* --- in the child --- */

/*
 * A socket that joins is held by the keeper and its children until it has its place, and of one
 * from another pid namespace nobody else is to be seen: it is theirs to place, by the number that
 * it came with.
 */
static int worker_of(void *arg, const struct member *member)
{
	(void)arg;
	return member->nr_holders && !member->pid ? SERVICE_NOT_YET : -1;
}

int watch_refresh(const struct keeper *keeper, struct attach_result *result,
		  struct trouble *trouble)
{
	const struct service_owner owner = { .worker = worker_of };
	const struct attach_request request = {
		.name = keeper->options.name,
		.policy = keeper->watch->policy,
		.rescue = keeper->watch->rescue,
		.addrs = keeper->options.addrs,
		.nr_addrs = keeper->options.nr_addrs,
		.netns_fd = -1,
		.group = keeper->options.group,
		.replace = true,
		/* for one that was taken away; counts where it is made */
		.settings = pins_settings(keeper->pins),
		.owner = &owner,
	};

	return attach_run(&request, result, trouble);
}

static bool is_worker(const void *arg, pid_t pid)
{
	const struct state *state = arg;

	for (uint32_t slot = 0; state && slot < state_used_slots(state); slot++) {
		if (state_worker(state, slot)->pid == (uint32_t)pid)
			return true;
	}
	return false;
}

static void find_others(const struct keeper *keeper, struct attach_result *result)
{
	for (size_t i = 0; i < keeper->options.nr_addrs; i++) {
		const struct own_port port = {
			.proto = keeper->options.addrs[i].proto,
			.port = keeper->options.addrs[i].port,
		};

		foreign_find_others(&port, 1, is_worker, pins_state(keeper->pins), result);
	}
}

static int run(void *arg)
{
	struct shared *shared = arg;
	const struct keeper *keeper = shared->keeper;

	shared->status = watch_refresh(keeper, &shared->result, &shared->trouble);
	if (!shared->status && keeper->watch->foreign.to_tell)
		find_others(keeper, &shared->result);
	return 0;
}

/* --- in the loop --- */

static void on_done(void *arg, int status, void *memory)
{
	struct keeper *keeper = arg;
	const struct shared *shared = memory;
	const struct attach_result *result = &shared->result;
	struct watch *watch = keeper->watch;
	bool was_trouble = *keeper->trouble;

	watch->task = NULL;
	if (status || shared->status) {
		tell_trouble(keeper, status ? "the sockets could not be looked at in time" :
					      shared->trouble.text);
		manager_status(&keeper->manager, "%s", keeper->trouble);
		return;
	}
	tell_trouble(keeper, NULL);
	foreign_tell(&watch->foreign, keeper->log, NULL, result);
	if (pins_check(keeper->pins) || result->made || result->added)
		stall_watch_check(keeper->stalls);
	if (result->made || result->added || result->gone)
		holder_tell(keeper->holder);
	if (was_trouble || result->made || result->added || result->gone)
		event_tell(keeper->log, "refresh",
			   text_pack("{s:i, s:i, s:i}", "workers", result->workers, "added",
				     result->added, "gone", result->gone),
			   "%u worker%s of %s: %u socket%s joined, %u worker%s went down",
			   result->workers, plural(result->workers), result->server, result->added,
			   plural(result->added), result->gone, plural(result->gone));
	members_tell(&watch->members, pins_state(keeper->pins), turn_now(keeper->turn));
	watch->policy = 0;
	watch->rescue = false;
	manager_status(&keeper->manager, "%u worker%s of %s", result->workers,
		       plural(result->workers), result->server);
}

/* --- the turn --- */

/*
 * Goes on with FNV-1a over the cookies of sockets, which come sorted. Of UDP, connected sockets
 * don't count: they come and go with what the server asks of others.
 */
static uint64_t hash_sockets(uint64_t hash, uint8_t proto, uint16_t port)
{
	struct sockdiag_list list;

	if (sockdiag_listeners(proto, port, &list))
		return hash;
	for (size_t i = 0; i < list.count; i++) {
		if (list.items[i].state != TCP_ESTABLISHED)
			hash = (hash ^ list.items[i].cookie) * 1099511628211ULL;
	}
	sockdiag_free(&list);
	return hash;
}

static uint64_t list_sockets(const struct keeper *keeper)
{
	uint64_t hash = 14695981039346656037ULL;

	for (size_t i = 0; i < keeper->options.nr_addrs; i++)
		hash = hash_sockets(hash, keeper->options.addrs[i].proto,
				    keeper->options.addrs[i].port);
	return hash;
}

/* Is another program, or none, on a group of ours? It is counted. */
static bool is_foreign(struct keeper *keeper)
{
	const struct state *state = pins_state(keeper->pins);
	struct foreign *foreign = &keeper->watch->foreign;

	if (!state)
		foreign->now = false;
	else if (foreign_look(foreign, state))
		foreign_count(foreign, state);
	return foreign->now;
}

static const struct task_spec attach_anew = { run, on_done, sizeof(struct shared), DEADLINE_MS };

static void look_closely(struct keeper *keeper)
{
	const struct shared shared = { .keeper = keeper };

	keeper->watch->ticks = 0;
	task_start(keeper->loop, &attach_anew, &shared, keeper, &keeper->watch->task);
}

void watch_turn(struct keeper *keeper, unsigned int work)
{
	struct watch *watch = keeper->watch;
	uint64_t sockets;
	bool due, foreign;

	if (keeper->plan.stop) {
		sd_event_exit(keeper->loop, keeper->plan.end_status);
		return;
	}
	if (watch->task || !(work & (TURN_TICK | TURN_LOOK)))
		return;
	if (work & TURN_TICK)
		pins_check(keeper->pins);
	sockets = list_sockets(keeper);
	due = sockets != watch->sockets || ++watch->ticks >= QUIET_TICKS;
	/* whatever it is for, a close look puts the program back: that is counted before */
	foreign = (due || work & TURN_TICK) && is_foreign(keeper);
	if (!due && !foreign)
		return;
	watch->sockets = sockets;
	look_closely(keeper);
}
