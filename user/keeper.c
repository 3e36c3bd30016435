// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See keeper.h: the loop, the next step, and what happens when a worker ends. */
#include "keeper.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cgroup.h"
#include "cleanup.h"
#include "detach.h"
#include "trouble.h"

#define FIRST_BACKOFF_MS 100
#define MOST_BACKOFF_MS 10000
/* An exit later than this after the start does not count as a failure to start. */
#define STEADY_US 10000000ULL
#define WORDS_TEXT_BYTES (WORDS_LINE_BYTES + 16)
#define CHILDREN_MS 200 /* to wait for killed children, at most */

void keeper_event(struct keeper *keeper, const char *type, json_t *details, const char *format, ...)
{
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

static int on_restart_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	keeper_step(arg);
	return 0;
}

static bool restart_is_pending(struct keeper_worker *seat)
{
	int enabled = SD_EVENT_OFF;

	if (seat->restart_timer)
		sd_event_source_get_enabled(seat->restart_timer, &enabled);
	return enabled != SD_EVENT_OFF;
}

/* " (on stderr: ...)", or "" when it said nothing or that is not known. */
static void words_text(const struct keeper_worker *seat, char out[WORDS_TEXT_BYTES])
{
	snprintf(out, WORDS_TEXT_BYTES, *seat->words ? " (on stderr: %s)" : "%s", seat->words);
}

/* With every worker given up there is nothing left to keep. */
static void give_up_together(struct keeper *keeper)
{
	char said[WORDS_TEXT_BYTES];

	for (uint32_t i = 0; i < keeper->wanted; i++) {
		if (!keeper->workers[i].gave_up)
			return;
	}
	words_text(keeper->workers, said);
	keeper_event(keeper, "failed", NULL,
		     "no worker stays up: the command ends as soon as it is started%s%s%s", said,
		     keeper->options.log_dir ? "; its output is in " : "",
		     keeper->options.log_dir ? keeper->options.log_dir : "");
	sd_event_exit(keeper->loop, EXIT_FAILED);
}

/* What a program may do that lbctl can't serve, said at its first end in a row. */
static void explain_exit(struct keeper *keeper, const struct proc *proc, const siginfo_t *info,
			 bool left_children)
{
	uint16_t port = keeper->adopter ? adopt_unshared_port(keeper->adopter) : 0;

	if (info->si_code == CLD_EXITED && !info->si_status && left_children)
		keeper_event(keeper, "background", json_pack("{s:i}", "worker", proc->worker),
			     "worker %u went to the background, where it can't be kept and is "
			     "ended: tell it to stay in the foreground",
			     proc->worker);
	if (!port || keeper->wanted == 1 || keeper->port_explained)
		return;
	keeper->port_explained = true;
	keeper_event(keeper, "unshared", json_pack("{s:i}", "port", port),
		     "port %u is not shared, so one worker can have it: --port lists all that are "
		     "to be shared, --offset-port %u gives worker w port %u+w",
		     port, port, port);
}

static bool is_hopeless(const struct keeper *keeper, const struct keeper_worker *seat)
{
	return seat->failures > keeper->options.max_restarts;
}

/* Exponential back-off. */
static uint64_t backoff_ms(const struct keeper_worker *seat)
{
	uint64_t ms = FIRST_BACKOFF_MS;

	for (uint32_t i = 1; i < seat->failures && ms < MOST_BACKOFF_MS; i++)
		ms *= 2;
	return ms < MOST_BACKOFF_MS ? ms : MOST_BACKOFF_MS;
}

static void give_up(struct keeper *keeper, uint32_t worker)
{
	struct keeper_worker *seat = &keeper->workers[worker];

	seat->gave_up = true;
	keeper_close_listeners(keeper, worker);
	keeper_event(
		keeper, "gave-up",
		json_pack("{s:i, s:i}", "worker", worker, "failures", seat->failures),
		"worker %u ended %u time%s in a row: given up; lbctl restart %s %u tries again",
		worker, seat->failures, plural(seat->failures), keeper->options.name, worker);
	keeper_finish_operation(keeper, EXIT_FAILED, "worker %u does not stay up and was given up",
				worker);
	give_up_together(keeper);
}

static void plan_restart(struct keeper *keeper, uint32_t worker)
{
	struct keeper_worker *seat = &keeper->workers[worker];

	if (is_hopeless(keeper, seat)) {
		give_up(keeper, worker);
		return;
	}
	sd_event_source_disable_unref(seat->restart_timer);
	seat->restart_timer = NULL;
	sd_event_add_time_relative(keeper->loop, &seat->restart_timer, CLOCK_MONOTONIC,
				   backoff_ms(seat) * 1000, 0, on_restart_timer, keeper);
}

static void describe_exit(const siginfo_t *info, char *out, size_t len)
{
	if (!info->si_pid)
		snprintf(out, len, "ended");
	else if (info->si_code == CLD_EXITED)
		snprintf(out, len, "exited with status %d", info->si_status);
	else
		snprintf(out, len, "killed by SIG%s",
			 sigabbrev_np(info->si_status) ? sigabbrev_np(info->si_status) : "?");
}

/* The status or the signal; neither of a process that another lbctl started. */
static json_t *exit_json(const struct proc *proc, const siginfo_t *info, const char *how)
{
	bool known = info->si_pid, exited = info->si_code == CLD_EXITED;

	return json_pack("{s:i, s:i, s:s, s:o, s:o}", "worker", proc->worker, "pid",
			 proc->process.pid, "how", how, "status",
			 known && exited ? json_integer(info->si_status) : json_null(), "signal",
			 known && !exited ? json_string(how + strlen("killed by ")) : json_null());
}

static void forget(struct keeper_worker *seat, const struct proc *proc)
{
	if (seat->current == proc)
		seat->current = NULL;
	if (seat->next == proc)
		seat->next = NULL;
	if (seat->leaving == proc)
		seat->leaving = NULL;
}

static void tell_exit(struct keeper *keeper, const struct proc *proc, const siginfo_t *info,
		      const char *how, bool restart)
{
	const struct keeper_worker *seat = &keeper->workers[proc->worker];
	bool unasked = !proc->stopping && !keeper->stopping;
	json_t *details = exit_json(proc, info, how);
	struct keeper_account account;
	char cost[160], next[48] = "", said[WORDS_TEXT_BYTES] = "";

	keeper_account(keeper, proc->worker, proc->slot, &account);
	keeper_account_text(&account, unasked, cost, sizeof(cost));
	keeper_account_json(&account, details);
	keeper_account_free(&account);
	if (restart)
		snprintf(next, sizeof(next), "; restart in %lu ms",
			 (unsigned long)backoff_ms(seat));
	if (unasked && !proc->online)
		words_text(seat, said);
	json_object_set_new(details, "stderr", *said ? json_string(seat->words) : json_null());
	json_object_set_new(details, "unasked", json_boolean(unasked));
	json_object_set_new(details, "restart_ms",
			    restart ? json_integer(backoff_ms(seat)) : json_null());
	keeper_event(keeper, "exit", details, "worker %u (pid %d) %s%s%s%s%s", proc->worker,
		     proc->process.pid, how, said, *cost ? ": " : "", cost, next);
}

/* Children that it left behind hold its sockets; what that costs shows when they are gone. */
static void end_children(const struct proc *proc)
{
	const struct timespec nap = { .tv_nsec = 5 * 1000 * 1000 };

	if (!cgroup_count(proc->cgroup_fd))
		return;
	cgroup_kill(proc->cgroup_fd);
	for (int waited_ms = 0; waited_ms < CHILDREN_MS && cgroup_count(proc->cgroup_fd);
	     waited_ms += 5)
		nanosleep(&nap, NULL);
}

/* The first new process that fails ends a reload: the old ones go on. */
static void stop_renewal(struct keeper *keeper)
{
	for (uint32_t i = 0; i < keeper->wanted; i++)
		keeper->workers[i].renew = false;
}

static void fail_renewal(struct keeper *keeper, uint32_t worker, const char *how)
{
	char said[WORDS_TEXT_BYTES];

	words_text(&keeper->workers[worker], said);
	keeper_finish_operation(keeper, EXIT_FAILED,
				"new worker %u %s before it was ready; %u of %u workers still run "
				"the old version%s",
				worker, how, keeper->wanted - worker, keeper->wanted, said);
	stop_renewal(keeper);
}

void keeper_proc_exited(struct proc *proc, const siginfo_t *info)
{
	struct keeper *keeper = proc->keeper;
	uint32_t worker = proc->worker;
	struct keeper_worker *seat = &keeper->workers[worker];
	bool was_next = seat->next == proc, was_current = seat->current == proc;
	bool unasked = !proc->stopping && !keeper->stopping;
	bool left_children = cgroup_count(proc->cgroup_fd) > 0;
	uint64_t now = 0;
	char how[64];

	sd_event_now(keeper->loop, CLOCK_MONOTONIC, &now);
	describe_exit(info, how, sizeof(how));
	end_children(proc);
	if (!proc->online)
		words_get(keeper->words, proc->cgroup, seat->words);
	if (was_current && unasked)
		seat->failures = now - proc->started > STEADY_US ? 1 : seat->failures + 1;
	if (was_current && keeper->options.nr_listens && unasked)
		keeper_drain(keeper, proc);
	tell_exit(keeper, proc, info, how, was_current && unasked && !is_hopeless(keeper, seat));
	if (was_current && unasked && seat->failures == 1)
		explain_exit(keeper, proc, info, left_children);
	forget(seat, proc);
	if (was_next)
		fail_renewal(keeper, worker, how);
	if (was_current && unasked)
		plan_restart(keeper, worker);
	proc_free(proc);
	keeper_sync(keeper);
	keeper_step(keeper);
}

static void step_online(struct keeper *keeper, struct proc *proc)
{
	if (!proc || proc->online || proc->slot < 0 || proc->says_stopping ||
	    (keeper->options.wait_ready && !proc->said_ready))
		return;
	proc->online = true;
	keeper->was_online = true;
	sd_event_source_disable_unref(proc->timer);
	proc->timer = NULL;
	keeper_begin_watchdog(proc);
	words_end(keeper->words, proc->cgroup);
	keeper->workers[proc->worker].words[0] = '\0';
	keeper_resume(keeper, proc);
	keeper_event(keeper, "online",
		     json_pack("{s:i, s:i, s:i}", "worker", proc->worker, "pid", proc->process.pid,
			       "slot", proc->slot),
		     "worker %u (pid %d) is online", proc->worker, proc->process.pid);
}

static void leave(struct keeper *keeper, struct keeper_worker *seat)
{
	struct proc *proc = seat->current;

	/* with --listen old and new process share the socket: nothing to drain */
	if (!keeper->options.nr_listens)
		keeper_drain(keeper, proc);
	keeper_event(keeper, "drain",
		     json_pack("{s:i, s:i}", "worker", proc->worker, "pid", proc->process.pid),
		     "worker %u (pid %d) gets no more connections, then SIGTERM", proc->worker,
		     proc->process.pid);
	seat->current = NULL;
	seat->leaving = proc;
	proc_stop(proc);
}

/* The sockets of --listen are there before the process and pass from one to the next. */
static void inherit_slot(const struct keeper *keeper, struct proc *next, const struct proc *current)
{
	if (keeper->options.nr_listens && next && current)
		next->slot = current->slot;
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
		stop_renewal(keeper);
		return;
	}
	/* what waits in its queue is handed on, if there is someone to take it */
	if (!keeper_nothing_runs(keeper))
		keeper_close_listeners(keeper, worker);
	seat->failures++;
	plan_restart(keeper, worker);
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
		leave(keeper, seat);
		seat->current = seat->next;
		seat->next = NULL;
		seat->renew = false;
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
		keeper_drain(keeper, seat->current);
		keeper_close_listeners(keeper, worker);
		leave(keeper, seat);
	}
	if (!had && seat->restarts != UINT32_MAX) {
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
