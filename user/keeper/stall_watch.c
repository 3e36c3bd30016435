// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See stall_watch.h. */
#include "keeper/stall_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text_json.h"
#include "host/probe.h"
#include "lb_pick.h"
#include "service/rescue.h"
#include "service/service.h"
#include "service/stall.h"
#include "service/wake.h"

#define SHORTEST_NS 5000000ULL /* below that the tick clock tells nothing new */
#define LONGEST_NS 250000000ULL
#define IDLE_NS 1000000000ULL  /* where the data plane can't wake us */
#define PAUSE_NS 1000000000ULL /* from a rescue of a slot to its next */

struct stall_watch {
	sd_event *loop;
	struct pins *pins;
	struct changes *changes;
	struct migrations *migrations;
	struct holder *holder;
	struct event_log *log;
	sd_event_source *timer;
	uint64_t serial;	 /* of the pins that the rest is made of */
	struct sampler *sampler; /* NULL: there is none */
	struct wake *wake;
	sd_event_source *wake_source;
	bool armed; /* the data plane wakes us */
	struct {
		uint64_t age_ns; /* 0 = it is not stalled */
		uint64_t tried_ns;
		bool complained; /* said why it can't be rescued */
		bool told;	 /* that it is stalled */
	} slots[LB_MAX_SLOTS];
	/* the rescue under way */
	pid_t child;
	int child_fd;
	sd_event_source *child_source;
	uint32_t slot;
	uint64_t migrated_before;
};

static void look_in(struct stall_watch *watch, uint64_t ns)
{
	sd_event_source_set_time_relative(watch->timer, ns / 1000);
	sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
}

static void let_go(struct stall_watch *watch)
{
	watch->wake_source = sd_event_source_disable_unref(watch->wake_source);
	wake_close(watch->wake);
	sampler_close(watch->sampler);
	watch->wake = NULL;
	watch->sampler = NULL;
	watch->armed = false;
}

static int on_wake(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct stall_watch *watch = arg;
	const struct state *state = pins_state(watch->pins);
	unsigned int kinds;

	(void)source;
	(void)fd;
	(void)events;
	wake_drain(watch->wake, &kinds);
	if (kinds & 1U << LB_WAKE_MIGRATION)
		migrations_check(watch->migrations);
	if (kinds & 1U << LB_WAKE_UNANSWERED)
		holder_is_stuck(watch->holder);
	if (kinds & 1U << LB_WAKE_ACTIVITY) {
		watch->armed = false;
		look_in(watch, state ? state->config->stall_ns / 2 : 0);
	}
	return 0;
}

static void listen_to(struct stall_watch *watch, const struct state *state)
{
	if (wake_open(state, &watch->wake))
		watch->wake = NULL;
	else if (sd_event_add_io(watch->loop, &watch->wake_source, wake_fd(watch->wake), EPOLLIN,
				 on_wake, watch) < 0)
		watch->wake_source = NULL;
	/* some may have migrated while nobody was told */
	migrations_check(watch->migrations);
}

/* The service as it is now, with all that a look needs; NULL = there is none. */
static const struct state *prepare(struct stall_watch *watch)
{
	const struct state *state = pins_state(watch->pins);

	if (watch->serial != pins_serial(watch->pins)) {
		let_go(watch);
		watch->serial = pins_serial(watch->pins);
		if (state)
			listen_to(watch, state);
	}
	if (state && !watch->sampler && sampler_open(state, &watch->sampler))
		watch->sampler = NULL;
	return watch->sampler ? state : NULL;
}

/* --- rescues --- */

static void tell_rescue(struct stall_watch *watch, const struct state *state,
			enum rescue_result result)
{
	const struct lb_worker *row = state_worker(state, watch->slot);
	uint64_t migrated = state_stats(state, watch->slot)->migrated_out - watch->migrated_before;

	if (result == RESCUE_DONE) {
		event_tell_worker(watch->log, "rescued", row->worker, row->pid,
				  text_pack("{s:I}", "migrated", (json_int_t)migrated),
				  "had %lu waiting connections, which migrated to others",
				  (unsigned long)migrated);
		return;
	}
	if (watch->slots[watch->slot].complained || result == RESCUE_NOTHING_WAITS)
		return;
	watch->slots[watch->slot].complained = true;
	event_tell_worker(watch->log, "not-rescued", row->worker, row->pid,
			  text_pack("{s:s}", "why", rescue_text(result)),
			  "has connections waiting that can't be moved: %s", rescue_text(result));
}

static int on_rescue_end(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct stall_watch *watch = arg;
	const struct state *state = prepare(watch);
	enum rescue_result result;
	int status = 0;

	(void)source;
	(void)fd;
	(void)events;
	waitpid(watch->child, &status, WNOHANG);
	watch->child_source = sd_event_source_disable_unref(watch->child_source);
	close_fd(&watch->child_fd);
	watch->child = 0;
	result = rescue_result(status);
	if (result == RESCUE_KILLED) {
		/* with any change, what it had begun is ended */
		changes_refresh(watch->changes);
		changes_begin(watch->changes);
	}
	if (state)
		tell_rescue(watch, state, result);
	return 0;
}

static void begin_rescue(struct stall_watch *watch, const struct state *state, uint32_t slot,
			 uint64_t now_ns)
{
	watch->slots[slot].tried_ns = now_ns;
	watch->slot = slot;
	watch->migrated_before = state_stats(state, slot)->migrated_out;
	watch->child = rescue_start(state->name, slot, getpid(), watch->sampler);
	if (watch->child <= 0) {
		watch->child = 0;
		return;
	}
	watch->child_fd = syscall(__NR_pidfd_open, watch->child, 0);
	/* one that can't be watched is left to itself, and is the last one */
	if (watch->child_fd < 0 ||
	    sd_event_add_io(watch->loop, &watch->child_source, watch->child_fd, EPOLLIN,
			    on_rescue_end, watch) < 0)
		close_fd(&watch->child_fd);
}

/* How long what waits may not have moved before that is done; 0 = for ever. */
static uint64_t rescue_after_ns(const struct lb_config *config)
{
	uint64_t stall_ns = stall_after_ns(config), after_ns = stall_ns ? config->rescue_ns : 0;

	return after_ns && after_ns < stall_ns ? stall_ns : after_ns;
}

static bool is_left_alone(const struct stall_watch *watch, uint32_t slot,
			  const struct lb_stall *stall, uint64_t now_ns)
{
	return now_ns - watch->slots[slot].tried_ns < PAUSE_NS ||
	       (int64_t)(now_ns - stall->rescued_ns) < (int64_t)PAUSE_NS;
}

/*
 * Does something wait that has not moved for rescue_ms? A worker that ends connections meanwhile
 * will come to its queue. What is due later is told in *next_ns.
 */
static bool is_due(const struct stall_watch *watch, const struct state *state, uint32_t slot,
		   uint64_t now_ns, uint64_t *next_ns)
{
	uint64_t after_ns = rescue_after_ns(state->config), since_ns, age_ns;

	for (uint32_t i = 0; after_ns && i < state->nr_listeners; i++) {
		const struct lb_stall *stall = state_stall(state, i, slot);

		if (state->config->listeners[i].proto != LB_PROTO_TCP ||
		    !state_queue(state, i, slot)->cookie || !stall->oldest ||
		    is_left_alone(watch, slot, stall, now_ns))
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

struct waiting {
	uint32_t connections, half_open, bytes;
};

static struct waiting waiting_at(const struct state *state, uint32_t slot)
{
	struct waiting waiting = { 0 };

	for (uint32_t i = 0; i < state->nr_listeners; i++) {
		const struct lb_stall *stall = state_stall(state, i, slot);
		bool udp = state->config->listeners[i].proto == LB_PROTO_UDP;

		if (!state_queue(state, i, slot)->cookie)
			continue;
		*(udp ? &waiting.bytes : &waiting.connections) += stall->queued;
		waiting.half_open += udp ? 0 : stall->half_open;
	}
	return waiting;
}

static void tell_stalled(struct stall_watch *watch, const struct state *state, uint32_t slot,
			 const char *does)
{
	const struct lb_worker *row = state_worker(state, slot);
	struct waiting waiting = waiting_at(state, slot);
	char what[64];

	if (waiting.bytes)
		snprintf(what, sizeof(what), "%u byte%s%s", waiting.bytes, plural(waiting.bytes),
			 waiting.connections ? " and connections" : "");
	else
		snprintf(what, sizeof(what), "%u connection%s", waiting.connections,
			 plural(waiting.connections));
	event_tell_worker(watch->log, "stalled", row->worker, row->pid,
			  text_pack("{s:i, s:i}", "waiting", waiting.connections, "waiting_bytes",
				    waiting.bytes),
			  "does not %s; %s waiting", does, what);
}

static void tell_stall(struct stall_watch *watch, const struct state *state, uint32_t slot,
		       uint64_t age_ns)
{
	const struct lb_worker *row = state_worker(state, slot);
	uint64_t before_ns = watch->slots[slot].age_ns;
	const char *does = service_counts(state) ? "accept" : "read";

	watch->slots[slot].age_ns = age_ns;
	if (!age_ns == !before_ns)
		return;
	watch->slots[slot].complained = false;
	if (age_ns)
		watch->slots[slot].told = event_log_may_tell(watch->log, row->worker, row->pid);
	if (!watch->slots[slot].told)
		return;
	if (age_ns)
		tell_stalled(watch, state, slot, does);
	else
		event_tell_worker(watch->log, "recovered", row->worker, row->pid,
				  text_pack("{s:I}", "stalled_ms",
					    (json_int_t)(before_ns / 1000000)),
				  "%ss again, after %.1f s", does, before_ns / 1e9);
}

/* Returns whether nothing waits anywhere, and nobody is stalled. */
static bool look_at_slots(struct stall_watch *watch, const struct state *state, uint64_t now_ns,
			  uint64_t *next_ns)
{
	bool quiet = true;

	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		bool open = lb_slot_is_open(state_worker(state, slot)->state);
		uint64_t age_ns = open ? stall_age_ns(state, slot, now_ns) : 0;
		struct waiting waiting = open ? waiting_at(state, slot) : (struct waiting){ 0 };

		tell_stall(watch, state, slot, age_ns);
		if (open && !watch->child && is_due(watch, state, slot, now_ns, next_ns))
			begin_rescue(watch, state, slot, now_ns);
		quiet &= !age_ns && !waiting.connections && !waiting.half_open && !waiting.bytes;
	}
	return quiet;
}

/*
 * A connection may come between a look and the moment from which the data plane wakes us: so there
 * is one more look after that, and then none until it does.
 */
static void sleep_or_look(struct stall_watch *watch, bool quiet, uint64_t next_ns)
{
	if (quiet && watch->armed) {
		sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
		return;
	}
	if (quiet && watch->wake_source) {
		wake_arm(watch->wake);
		watch->armed = true;
	}
	look_in(watch, next_ns < SHORTEST_NS ? SHORTEST_NS : next_ns);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct stall_watch *watch = arg;
	const struct state *state = prepare(watch);
	uint64_t next_ns = IDLE_NS, now_ns;
	bool quiet;

	(void)source;
	(void)usec;
	if (!state || !stall_after_ns(state->config) || sampler_run(watch->sampler, &now_ns)) {
		/* whoever changes that says so */
		sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
		return 0;
	}
	next_ns = state->config->stall_ns / 2;
	if (next_ns > LONGEST_NS)
		next_ns = LONGEST_NS;
	quiet = look_at_slots(watch, state, now_ns, &next_ns);
	sleep_or_look(watch, quiet, watch->wake_source || !quiet ? next_ns : IDLE_NS);
	return 0;
}

int stall_watch_new(sd_event *loop, struct pins *pins, struct changes *changes,
		    struct migrations *migrations, struct holder *holder, struct event_log *log,
		    struct stall_watch **out)
{
	struct stall_watch *watch;
	int err;

	*out = NULL;
	if (!probe_features()->sample)
		return 0;
	watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	*watch = (struct stall_watch){
		.loop = loop,
		.pins = pins,
		.changes = changes,
		.migrations = migrations,
		.holder = holder,
		.log = log,
		.child_fd = -1,
	};
	err = sd_event_add_time_relative(loop, &watch->timer, CLOCK_MONOTONIC, 0, 1000, on_timer,
					 watch);
	if (err < 0) {
		free(watch);
		return err;
	}
	*out = watch;
	return 0;
}

void stall_watch_check(struct stall_watch *watch)
{
	if (watch && watch->timer)
		look_in(watch, 0);
}

void stall_watch_tick(struct stall_watch *watch)
{
	int enabled = SD_EVENT_OFF;

	if (!watch || !watch->timer || watch->armed)
		return;
	sd_event_source_get_enabled(watch->timer, &enabled);
	if (enabled == SD_EVENT_OFF)
		look_in(watch, 0);
}

/* A rescue under way ends by itself; who locks the service next repairs what it leaves. */
void stall_watch_stop(struct stall_watch *watch)
{
	if (!watch)
		return;
	watch->timer = sd_event_source_disable_unref(watch->timer);
	watch->child_source = sd_event_source_disable_unref(watch->child_source);
	close_fd(&watch->child_fd);
	let_go(watch);
}

void stall_watch_free(struct stall_watch *watch)
{
	stall_watch_stop(watch);
	free(watch);
}
