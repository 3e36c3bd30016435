// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See keeper.h: events, operations, and the next step. */
#include "keeper/keeper.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/trouble.h"
#include "host/cgroup.h"
#include "service/detach.h"
#include "service/rescue.h"

void keeper_event(struct keeper *keeper, const char *type, json_t *details, const char *format, ...)
{
	static json_int_t seq; /* tells who subscribes twice what is told again */
	char text[1024], stamp[16];
	json_t *event = details ? details : json_object();
	time_t now = time(NULL);
	struct tm local;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	strftime(stamp, sizeof(stamp), "%H:%M:%S", localtime_r(&now, &local));
	printf("%s %s\n", stamp, text);
	fflush(stdout);
	json_object_set_new(event, "seq", json_integer(++seq));
	json_object_set_new(event, "event", json_string(type));
	json_object_set_new(event, "time", json_integer(now));
	json_object_set_new(event, "text", json_string(text));
	control_publish(keeper, event);
	json_decref(event);
}

bool keeper_begin_operation(struct keeper *keeper, const char *verb, struct client *client)
{
	if (keeper->operation.verb)
		return false;
	keeper->operation = (struct operation){ .verb = verb, .client = client };
	keeper_event(keeper, "begin", json_pack("{s:s}", "verb", verb), "%s begins", verb);
	return true;
}

void keeper_finish_operation(struct keeper *keeper, int status, const char *format, ...)
{
	struct operation operation = keeper->operation;
	char text[512];
	va_list args;

	if (!operation.verb)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	keeper->operation = (struct operation){ 0 };
	keeper_event(keeper, operation.verb, json_pack("{s:i}", "status", status), "%s %s: %s",
		     operation.verb, status ? "failed" : "done", text);
	if (operation.client)
		control_reply(operation.client, status, text);
}

static bool restart_is_pending(struct keeper_worker *seat)
{
	int enabled = SD_EVENT_OFF;

	if (seat->restart_timer)
		sd_event_source_get_enabled(seat->restart_timer, &enabled);
	return enabled != SD_EVENT_OFF;
}

static void step_online(struct keeper *keeper, struct proc *proc)
{
	if (!proc || proc->online || proc->slot < 0 || proc->protos != keeper->protos ||
	    proc->says_stopping || (keeper->options.wait_ready && !proc->said_ready))
		return;
	proc->online = true;
	keeper->was_online = true;
	sd_event_source_disable_unref(proc->timer);
	proc->timer = NULL;
	keeper_begin_watchdog(proc);
	words_end(keeper->words, proc->cgroup);
	keeper->workers[proc->worker].words[0] = '\0';
	/* one that was online before was drained by somebody, and not to wait for it */
	if (proc->phase < PROC_ONLINE)
		keeper_resume(keeper, proc);
	proc_note(proc, PROC_ONLINE);
	keeper_event(keeper, "online",
		     json_pack("{s:i, s:i, s:i}", "worker", proc->worker, "pid", proc->process.pid,
			       "slot", proc->slot),
		     "worker %u (pid %d) is online", proc->worker, proc->process.pid);
}

static int on_drained(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	proc_stop(arg);
	return 0;
}

/* With its sockets handed on, as those of --listen are, there is nothing to drain. */
static void drain_leaving(struct keeper *keeper, struct proc *proc, bool handed_on)
{
	proc_note(proc, PROC_LEAVES);
	if (handed_on)
		return;
	keeper_drain(keeper, proc);
	keeper_close_listeners(keeper, proc->worker);
}

static void end_drained(struct keeper *keeper, struct proc *proc, bool handed_on)
{
	if (handed_on)
		proc_stop(proc);
	else if (keeper->protos & KEEPER_UDP)
		keeper_end_when_read(proc);
	else
		keeper_set_timer(keeper, &proc->timer, HANDSHAKES_MS, on_drained, proc);
}

void keeper_go_on_ending(struct keeper *keeper)
{
	struct keeper_worker *seat = keeper->workers;

	for (; seat < keeper->workers + LB_MAX_WORKERS; seat++) {
		bool handed_on = keeper->options.nr_listens && seat->current;

		if (!seat->leaving || seat->leaving->phase != PROC_LEAVES)
			continue;
		drain_leaving(keeper, seat->leaving, handed_on);
		end_drained(keeper, seat->leaving, handed_on);
	}
}

static void leave(struct keeper *keeper, struct keeper_worker *seat, bool handed_on)
{
	bool reads = !handed_on && (keeper->protos & KEEPER_UDP);
	struct proc *proc = seat->current;

	drain_leaving(keeper, proc, handed_on);
	keeper_event(keeper, "drain",
		     json_pack("{s:i, s:i}", "worker", proc->worker, "pid", proc->process.pid),
		     "worker %u (pid %d) gets no more %s, then SIGTERM%s", proc->worker,
		     proc->process.pid, keeper_traffic(keeper),
		     reads ? " when it has read what waits" : "");
	seat->current = NULL;
	seat->leaving = proc;
	end_drained(keeper, proc, handed_on);
}

/* The sockets of --listen are there before the process and pass from one to the next. */
static void inherit_slot(const struct keeper *keeper, struct proc *next, const struct proc *current)
{
	if (!keeper->options.nr_listens || !next || !current)
		return;
	next->slot = current->slot;
	next->protos = current->protos;
}

bool keeper_nothing_runs(const struct keeper *keeper)
{
	for (uint32_t i = 0; i < LB_MAX_WORKERS; i++) {
		if (keeper->workers[i].current)
			return false;
	}
	return true;
}

/* Tried again later, unless there is a process to go on with. */
static void start_failed(struct keeper *keeper, uint32_t worker, int err)
{
	struct keeper_worker *seat = &keeper->workers[worker];
	const char *is_new = seat->current ? "new " : "";
	char why[512];

	keeper->exec_error = err;
	keeper_start_trouble(keeper, err, why, sizeof(why));
	/* what fails from the start is said once, by keeper_run() */
	if (keeper->loop_runs || !keeper_nothing_runs(keeper))
		keeper_event(keeper, "no-start", json_pack("{s:i}", "worker", worker),
			     "%sworker %u can't be started: %s", is_new, worker, why);
	keeper_finish_operation(keeper, EXIT_FAILED, "%sworker %u can't be started: %s", is_new,
				worker, why);
	if (seat->current) {
		keeper_stop_renewal(keeper);
		return;
	}
	/* what waits in its queue is handed on, if there is someone to take it */
	if (!keeper_nothing_runs(keeper))
		keeper_close_listeners(keeper, worker);
	seat->failures++;
	keeper_plan_restart(keeper, worker);
}

static void start_worker(struct keeper *keeper, uint32_t worker)
{
	struct keeper_worker *seat = &keeper->workers[worker];
	int err = keeper_make_listeners(keeper, worker);
	struct proc *proc = err ? NULL : proc_start(keeper, worker);

	if (!proc) {
		start_failed(keeper, worker, err ? err : keeper->exec_error);
		return;
	}
	inherit_slot(keeper, proc, seat->current);
	if (seat->current)
		seat->next = proc;
	else
		seat->current = proc;
	if (seat->failures && !seat->next) {
		seat->restarts++;
		keeper_note_restart(keeper, worker);
	}
	keeper_event(keeper, "start",
		     json_pack("{s:i, s:i}", "worker", worker, "pid", proc->process.pid),
		     "worker %u started, pid %d", worker, proc->process.pid);
	if (keeper->options.nr_listens)
		keeper_sync(keeper);
}

/* Rolling: one new process at a time, and the next only when this one is online. */
static bool step_renewal(struct keeper *keeper, uint32_t worker)
{
	struct keeper_worker *seat = &keeper->workers[worker];

	if (seat->next && seat->next->online) {
		/* it may have ended while its successor started */
		if (seat->current)
			leave(keeper, seat, keeper->options.nr_listens);
		sd_event_source_disable_unref(seat->restart_timer);
		seat->restart_timer = NULL;
		seat->current = seat->next;
		seat->next = NULL;
		seat->renew = false;
		seat->gave_up = false;
	} else if (seat->renew && !seat->next && seat->current && !seat->leaving) {
		start_worker(keeper, worker);
	} else if (seat->renew && !seat->current && !seat->next) {
		seat->renew = false;
	}
	return seat->renew || seat->next;
}

static void step_wanted(struct keeper *keeper, uint32_t worker)
{
	struct keeper_worker *seat = &keeper->workers[worker];

	step_online(keeper, seat->current);
	if (seat->next && seat->next->slot < 0)
		inherit_slot(keeper, seat->next, seat->current);
	step_online(keeper, seat->next);
	if (!seat->current && !seat->next && !seat->gave_up && !restart_is_pending(seat))
		start_worker(keeper, worker);
}

/* Returns whether something of the worker is still there. */
static bool step_unwanted(struct keeper *keeper, uint32_t worker)
{
	struct keeper_worker *seat = &keeper->workers[worker];
	bool had = seat->current || seat->next || seat->leaving;

	if (seat->next) {
		proc_stop(seat->next);
	} else if (seat->current) {
		leave(keeper, seat, false);
	}
	if (!had && seat->restarts != UINT32_MAX) {
		/* of --listen: who crashed has left them for one that does not come any more */
		keeper_close_listeners(keeper, worker);
		keeper_retire(keeper, worker);
		seat->restarts = UINT32_MAX;
	}
	seat->failures = 0;
	seat->gave_up = false;
	return had;
}

static void finish_when_done(struct keeper *keeper, bool busy)
{
	uint32_t online = 0;

	for (uint32_t i = 0; i < keeper->wanted; i++) {
		online += keeper->workers[i].current && keeper->workers[i].current->online;
		busy |= keeper->workers[i].leaving != NULL;
	}
	if (!keeper->operation.verb || busy || online < keeper->wanted)
		return;
	keeper_finish_operation(keeper, EXIT_DONE, "%u worker%s online", online,
				online == 1 ? " is" : "s are");
}

void keeper_step(struct keeper *keeper)
{
	bool busy = false, renewing = false;

	if (keeper->stopping) {
		for (uint32_t i = 0; i < LB_MAX_WORKERS; i++)
			busy |= keeper->workers[i].current || keeper->workers[i].next ||
				keeper->workers[i].leaving;
		if (!busy)
			sd_event_exit(keeper->loop, keeper->exit_status);
		keeper_status(keeper, "stopping");
		return;
	}
	for (uint32_t i = 0; i < keeper->wanted; i++) {
		step_wanted(keeper, i);
		if (!renewing)
			renewing = step_renewal(keeper, i);
	}
	for (uint32_t i = keeper->wanted; i < LB_MAX_WORKERS; i++)
		busy |= step_unwanted(keeper, i);
	finish_when_done(keeper, busy || renewing);
	keeper_notify(keeper);
}

/*
 * The program comes off first, while there are sockets to take it off: once all are closed, a
 * handshake that the kernel still holds would keep it, and its maps, in memory.
 */
static void stop_all(struct keeper *keeper, bool force)
{
	struct trouble trouble;

	keeper_leave_stalls(keeper);
	if (!keeper->stopping && keeper->options.argv)
		detach_run(keeper->options.name, &trouble);
	keeper->stopping = true;
	for (uint32_t i = 0; i < LB_MAX_WORKERS; i++) {
		struct keeper_worker *seat = &keeper->workers[i];
		struct proc *procs[] = { seat->current, seat->next, seat->leaving };

		sd_event_source_disable_unref(seat->restart_timer);
		seat->restart_timer = NULL;
		keeper_close_listeners(keeper, i);
		for (size_t j = 0; j < 3; j++) {
			if (procs[j] && force)
				proc_kill(procs[j]);
			else if (procs[j])
				proc_stop(procs[j]);
		}
	}
	keeper_step(keeper);
}

void keeper_stop(struct keeper *keeper)
{
	bool again = keeper->stopping;

	if (!again)
		keeper_event(keeper, "stop", NULL, "stopping; once more ends it at once");
	keeper_say_stopping(keeper);
	stop_all(keeper, again);
}

void keeper_leave(struct keeper *keeper)
{
	if (keeper->stopping)
		return;
	if (!keeper->options.argv) {
		keeper_stop(keeper);
		return;
	}
	keeper->leaving = true;
	keeper_event(keeper, "leave", NULL, "leaving; the workers go on");
	keeper_say_stopping(keeper);
	sd_event_exit(keeper->loop, EXIT_DONE);
}

void keeper_renew_all(struct keeper *keeper)
{
	for (uint32_t i = 0; i < keeper->wanted; i++) {
		keeper->workers[i].renew = keeper->workers[i].current != NULL;
		keeper->workers[i].gave_up = false;
		keeper->workers[i].failures = 0;
	}
	keeper_step(keeper);
}
