// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How a keeper ends: all with it, or itself alone. */
#include <errno.h>
#include <time.h>

#include "base/text_json.h"
#include "base/trouble.h"
#include "keeper/parts.h"
#include "service/detach.h"

#define DETACH_MS 15000
#define UNSTEER_US 3000000ULL /* that workers which are to end wait for that */

static int run_detach(void *shared)
{
	struct keeper *const *keeper = shared;
	struct trouble trouble;

	listeners_close_all((*keeper)->listeners);
	return detach_run((*keeper)->options.name, &trouble);
}

static void on_detached(void *arg, int status, void *shared)
{
	struct keeper *keeper = arg;

	(void)status;
	(void)shared;
	keeper->plan.unsteered = true;
	turn_mark(keeper->turn, TURN_DECIDE);
}

static const struct task_spec take_off = { run_detach, on_detached, sizeof(struct keeper *),
					   DETACH_MS };

/*
 * The program comes off first, while there are sockets to take it off: once all are closed, a
 * handshake that the kernel still holds would keep it, and its maps, in memory.
 */
void end_begin(struct keeper *keeper)
{
	struct task *task;

	if (keeper->is_ending)
		return;
	manager_stopping(&keeper->manager);
	changes_stop(keeper->changes);
	/* a service that is being made would come after its end */
	if (changes_are_made(keeper->changes) && keeper->plan.stop != PLAN_STOPS_AT_ONCE)
		return;
	keeper->is_ending = true;
	stall_watch_stop(keeper->stalls);
	holder_stop(keeper->holder);
	pins_close(keeper->pins);
	if (!keeper->options.argv || task_start(keeper->loop, &take_off, &keeper, keeper, &task))
		keeper->plan.unsteered = true;
}

/* Somebody holds the service's lock: the workers end as it is, and it is tried again after that. */
static int on_unsteer_timeout(sd_event_source *source, uint64_t usec, void *arg)
{
	struct keeper *keeper = arg;

	(void)source;
	(void)usec;
	keeper->plan.unsteered = true;
	turn_mark(keeper->turn, TURN_DECIDE);
	return 0;
}

void keeper_stop(struct keeper *keeper, int status)
{
	bool first = !keeper->plan.stop;

	if (first)
		event_tell(keeper->log, "stop",
			   text_pack("{s:i}", "workers", keeper->forked ? 0 : keeper->plan.wanted),
			   keeper->options.argv ?
				   "stopping workers; signal again to kill them now" :
				   "no longer watched; the service goes on");
	plan_stop(&keeper->plan, status);
	if (first)
		sd_event_add_time_relative(keeper->loop, NULL, CLOCK_MONOTONIC, UNSTEER_US, 0,
					   on_unsteer_timeout, keeper);
	turn_mark(keeper->turn, TURN_DECIDE);
}

void keeper_leave(struct keeper *keeper)
{
	if (keeper->plan.stop)
		return;
	if (!keeper->options.argv) {
		keeper_stop(keeper, EXIT_DONE);
		return;
	}
	keeper->is_leaving = true;
	event_tell(keeper->log, "leave", NULL, "leaving; the workers go on");
	manager_stopping(&keeper->manager);
	sd_event_exit(keeper->loop, EXIT_DONE);
}
