// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Nothing of UDP can be moved: what is unread in a socket is lost when its process ends. So one
 * that is drained reads it first.
 */
#include <string.h>

#include "host/sockdiag.h"
#include "keeper/keeper.h"
#include "service/state.h"

#define LOOK_US 10000	 /* from one look at its sockets to the next */
#define ANSWER_US 200000 /* from its last read to SIGTERM: it may be at the answer */

static uint32_t unread_in(uint16_t port, uint64_t cookie)
{
	struct sockdiag_list list;
	uint32_t bytes = 0;

	if (sockdiag_listeners(LB_PROTO_UDP, port, &list))
		return 0;
	for (size_t i = 0; i < list.count; i++) {
		if (list.items[i].cookie == cookie)
			bytes = list.items[i].queued;
	}
	sockdiag_free(&list);
	return bytes;
}

/* What can't be told counts as read. */
static uint32_t unread_of(const struct proc *proc)
{
	const struct lb_listener *listener;
	struct state state;
	uint32_t bytes = 0;

	if (proc->slot < 0 || state_open(&state, proc->keeper->options.name, STATE_READ))
		return 0;
	for (uint32_t i = 0; i < state.nr_listeners; i++) {
		listener = &state.config->listeners[i];
		if (listener->proto == LB_PROTO_UDP)
			bytes += unread_in(listener->port,
					   state_queue(&state, i, proc->slot)->cookie);
	}
	state_close(&state);
	return bytes;
}

static void give_up(struct proc *proc, uint32_t bytes)
{
	struct keeper *keeper = proc->keeper;

	keeper_event(
		keeper, "unread",
		json_pack("{s:i, s:i, s:i}", "worker", proc->worker, "pid", proc->process.pid,
			  "bytes", bytes),
		"worker %u (pid %d) did not read %u bytes within %lu ms: SIGTERM, and they are "
		"lost unless it reads them now",
		proc->worker, proc->process.pid, bytes,
		(unsigned long)keeper->options.kill_timeout_ms);
	proc_stop(proc);
}

static int on_look(sd_event_source *source, uint64_t usec, void *arg)
{
	struct proc *proc = arg;
	uint32_t bytes = unread_of(proc);
	uint64_t now = 0;

	(void)usec;
	sd_event_now(proc->keeper->loop, CLOCK_MONOTONIC, &now);
	if (bytes)
		proc->read_since = 0;
	else if (!proc->read_since)
		proc->read_since = now;
	if (!bytes && now - proc->read_since >= ANSWER_US) {
		proc_stop(proc);
		return 0;
	}
	if (bytes && now >= proc->read_by) {
		give_up(proc, bytes);
		return 0;
	}
	sd_event_source_set_time_relative(source, LOOK_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

void keeper_end_when_read(struct proc *proc)
{
	struct keeper *keeper = proc->keeper;

	sd_event_now(keeper->loop, CLOCK_MONOTONIC, &proc->read_by);
	proc->read_by += keeper->options.kill_timeout_ms * 1000;
	sd_event_source_disable_unref(proc->timer);
	proc->timer = NULL;
	if (sd_event_add_time_relative(keeper->loop, &proc->timer, CLOCK_MONOTONIC, 0, 1000,
				       on_look, proc) < 0)
		proc_stop(proc);
}
