// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a keeper does about workers that hang: it samples their queues, tells who is stalled and who
 * recovered, and begins rescues. The service is kept open, as this happens many times a second.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/probe.h"
#include "keeper/keeper.h"
#include "lb_pick.h"
#include "service/rescue.h"
#include "service/service.h"
#include "service/stall.h"
#include "service/state.h"

#define SHORTEST_NS 5000000ULL /* below that the tick clock tells nothing new */
#define LONGEST_NS 250000000ULL
#define IDLE_NS 1000000000ULL  /* while there is nothing to look at */
#define PAUSE_NS 1000000000ULL /* from a rescue of a slot to its next */

struct stall_watch {
	struct keeper *keeper;
	sd_event_source *timer;
	struct state state;
	struct sampler *sampler; /* NULL: the state is not open */
	struct {
		uint64_t age_ns; /* 0 = it is not stalled */
		uint64_t tried_ns;
		bool complained; /* said why it can't be rescued */
	} slots[LB_MAX_SLOTS];
	/* the rescue under way */
	pid_t child;
	int child_fd;
	sd_event_source *child_source;
	uint32_t slot;
	uint64_t moved_before;
};

static void close_service(struct stall_watch *watch)
{
	if (!watch->sampler)
		return;
	sampler_close(watch->sampler);
	state_close(&watch->state);
	watch->sampler = NULL;
}

/* The same directory still, and no listener more? */
static bool is_current(const struct stall_watch *watch)
{
	char path[STATE_PATH_BYTES];
	struct stat now, ours;

	snprintf(path, sizeof(path), STATE_ROOT "/%s", watch->state.name);
	return !stat(path, &now) && !fstat(watch->state.dir_fd, &ours) &&
	       now.st_ino == ours.st_ino && now.st_dev == ours.st_dev &&
	       watch->state.config->nr_listeners == watch->state.nr_listeners;
}

static int open_service(struct stall_watch *watch)
{
	int err;

	if (watch->sampler && is_current(watch))
		return 0;
	close_service(watch);
	err = state_open(&watch->state, watch->keeper->options.name, STATE_READ);
	if (err)
		return err;
	err = sampler_open(&watch->state, &watch->sampler);
	if (err)
		state_close(&watch->state);
	return err;
}

/* --- rescues --- */

static uint64_t moved_from(const struct stall_watch *watch, uint32_t slot)
{
	return state_stats(&watch->state, slot)->migrated_out;
}

static void tell_rescue(struct stall_watch *watch, enum rescue_result result)
{
	const struct lb_worker *worker = state_worker(&watch->state, watch->slot);
	uint64_t moved = moved_from(watch, watch->slot) - watch->moved_before;

	if (result == RESCUE_DONE) {
		keeper_event(watch->keeper, "rescued",
			     json_pack("{s:i, s:i, s:I}", "worker", worker->worker, "pid",
				       worker->pid, "moved", (json_int_t)moved),
			     "worker %u (pid %u): %lu waiting connections moved to others",
			     worker->worker, worker->pid, (unsigned long)moved);
		return;
	}
	if (watch->slots[watch->slot].complained || result == RESCUE_NOTHING_WAITS)
		return;
	watch->slots[watch->slot].complained = true;
	keeper_event(watch->keeper, "not-rescued",
		     json_pack("{s:i, s:i, s:s}", "worker", worker->worker, "pid", worker->pid,
			       "why", rescue_text(result)),
		     "worker %u (pid %u): what waits there can't be moved: %s", worker->worker,
		     worker->pid, rescue_text(result));
}

static int on_rescue_end(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct stall_watch *watch = arg;
	enum rescue_result result;
	int status = 0;

	(void)source;
	(void)fd;
	(void)events;
	waitpid(watch->child, &status, 0);
	watch->child_source = sd_event_source_disable_unref(watch->child_source);
	close_fd(&watch->child_fd);
	watch->child = 0;
	result = rescue_end(watch->keeper->options.name, status);
	if (!open_service(watch))
		tell_rescue(watch, result);
	return 0;
}

static void begin_rescue(struct stall_watch *watch, uint32_t slot, uint64_t now_ns)
{
	struct keeper *keeper = watch->keeper;

	watch->slots[slot].tried_ns = now_ns;
	watch->slot = slot;
	watch->moved_before = moved_from(watch, slot);
	watch->child = rescue_start(keeper->options.name, slot, getpid(), watch->sampler);
	if (watch->child <= 0) {
		watch->child = 0;
		return;
	}
	watch->child_fd = syscall(__NR_pidfd_open, watch->child, 0);
	if (watch->child_fd < 0 ||
	    sd_event_add_io(keeper->loop, &watch->child_source, watch->child_fd, EPOLLIN,
			    on_rescue_end, watch) < 0) {
		/* a process that can't be watched is waited for: it is a matter of milliseconds */
		close_fd(&watch->child_fd);
		on_rescue_end(NULL, -1, 0, watch);
	}
}

/* How long what waits may not have moved before that is done; 0 = for ever. */
static uint64_t rescue_after_ns(const struct lb_config *config)
{
	uint64_t stall_ns = stall_after_ns(config), after_ns = stall_ns ? config->rescue_ns : 0;

	return after_ns && after_ns < stall_ns ? stall_ns : after_ns;
}

static bool has_peace(const struct stall_watch *watch, uint32_t slot, const struct lb_stall *stall,
		      uint64_t now_ns)
{
	return now_ns - watch->slots[slot].tried_ns < PAUSE_NS ||
	       (int64_t)(now_ns - stall->rescued_ns) < (int64_t)PAUSE_NS;
}

/*
 * Does something wait that has not moved for rescue_ms? A worker that ends connections meanwhile
 * will come to its queue. What is due later is told in *next_ns.
 */
static bool is_due(const struct stall_watch *watch, uint32_t slot, uint64_t now_ns,
		   uint64_t *next_ns)
{
	const struct state *state = &watch->state;
	uint64_t after_ns = rescue_after_ns(state->config), since_ns, age_ns;

	for (uint32_t i = 0; after_ns && i < state->nr_listeners; i++) {
		const struct lb_stall *stall = state_stall(state, i, slot);

		if (state->config->listeners[i].proto != LB_PROTO_TCP ||
		    !state_queue(state, i, slot)->cookie || !stall->oldest ||
		    has_peace(watch, slot, stall, now_ns))
			continue;
		since_ns = stall->oldest_ns;
		if (state_stats(state, slot)->ended_ns > since_ns)
			since_ns = state_stats(state, slot)->ended_ns;
		/* the worker may have ended one since that was now */
		age_ns = now_ns > since_ns ? now_ns - since_ns : 0;
		if (age_ns >= after_ns)
			return true;
		if (after_ns - age_ns < *next_ns)
			*next_ns = after_ns - age_ns;
	}
	return false;
}

/* --- who is stalled --- */

static void tell_stall(struct stall_watch *watch, uint32_t slot, uint64_t age_ns)
{
	const struct lb_worker *worker = state_worker(&watch->state, slot);
	uint64_t before_ns = watch->slots[slot].age_ns;
	const char *does = service_counts(&watch->state) ? "accept" : "read";
	uint32_t waiting = 0, bytes = 0;
	char what[64];

	watch->slots[slot].age_ns = age_ns;
	if (!age_ns == !before_ns)
		return;
	for (uint32_t i = 0; i < watch->state.nr_listeners; i++) {
		bool udp = watch->state.config->listeners[i].proto == LB_PROTO_UDP;

		*(udp ? &bytes : &waiting) += state_stall(&watch->state, i, slot)->queued;
	}
	if (bytes)
		snprintf(what, sizeof(what), "%u bytes%s", bytes,
			 waiting ? " and connections" : "");
	else
		snprintf(what, sizeof(what), "%u connections", waiting);
	watch->slots[slot].complained = false;
	if (age_ns)
		keeper_event(watch->keeper, "stalled",
			     json_pack("{s:i, s:i, s:i, s:i}", "worker", worker->worker, "pid",
				       worker->pid, "waiting", waiting, "waiting_bytes", bytes),
			     "worker %u (pid %u) does not %s; %s wait", worker->worker, worker->pid,
			     does, what);
	else
		keeper_event(watch->keeper, "recovered",
			     json_pack("{s:i, s:i, s:I}", "worker", worker->worker, "pid",
				       worker->pid, "stalled_ms",
				       (json_int_t)(before_ns / 1000000)),
			     "worker %u (pid %u) %ss again, after %.1f s", worker->worker,
			     worker->pid, does, before_ns / 1e9);
}

static void look_at_slots(struct stall_watch *watch, uint64_t now_ns, uint64_t *next_ns)
{
	const struct state *state = &watch->state;

	for (uint32_t slot = 0; slot < state->config->used_slots; slot++) {
		uint32_t row = state_worker(state, slot)->state;
		bool open = lb_slot_is_open(row);
		uint64_t age_ns = open ? stall_age_ns(state, slot, now_ns) : 0;

		tell_stall(watch, slot, age_ns);
		if (open && !watch->child && is_due(watch, slot, now_ns, next_ns))
			begin_rescue(watch, slot, now_ns);
	}
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct stall_watch *watch = arg;
	uint64_t next_ns = IDLE_NS, now_ns;

	(void)usec;
	if (!watch->keeper->stopping && !open_service(watch) &&
	    stall_after_ns(watch->state.config) && !sampler_run(watch->sampler, &now_ns)) {
		next_ns = watch->state.config->stall_ns / 2;
		if (next_ns > LONGEST_NS)
			next_ns = LONGEST_NS;
		look_at_slots(watch, now_ns, &next_ns);
		if (next_ns < SHORTEST_NS)
			next_ns = SHORTEST_NS;
	}
	sd_event_source_set_time_relative(source, next_ns / 1000);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

int keeper_watch_stalls(struct keeper *keeper)
{
	struct stall_watch *watch;

	if (!probe_features()->sample)
		return 0;
	watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	watch->keeper = keeper;
	watch->child_fd = -1;
	keeper->stalls = watch;
	return sd_event_add_time_relative(keeper->loop, &watch->timer, CLOCK_MONOTONIC, 0, 1000,
					  on_timer, watch);
}

void keeper_check_stalls(struct keeper *keeper)
{
	if (!keeper->stalls)
		return;
	sd_event_source_set_time_relative(keeper->stalls->timer, 0);
	sd_event_source_set_enabled(keeper->stalls->timer, SD_EVENT_ONESHOT);
}

void keeper_leave_stalls(struct keeper *keeper)
{
	struct stall_watch *watch = keeper->stalls;

	if (!watch)
		return;
	keeper->stalls = NULL;
	if (watch->child)
		on_rescue_end(NULL, -1, 0, watch);
	close_service(watch);
	sd_event_source_disable_unref(watch->timer);
	free(watch);
}
