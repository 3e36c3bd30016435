// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The end of a worker: what is told of it, when it is started again, and when no more. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/trouble.h"
#include "host/cgroup.h"
#include "keeper/keeper.h"

#define FIRST_BACKOFF_MS 100
#define MOST_BACKOFF_MS 10000
/* An exit later than this after the start does not count as a failure to start. */
#define STEADY_US 10000000ULL
#define WORDS_TEXT_BYTES (WORDS_LINE_BYTES + 16)
#define CHILDREN_MS 200 /* to wait for killed children, at most */

static int on_restart_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	keeper_step(arg);
	return 0;
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
	const char *udp = "";
	uint16_t port = 0;

	if (keeper->bindhooks)
		port = bindhook_unshared_port(keeper->bindhooks, LB_BIND_TCP);
	/* one that got online can do without the port: a client's, say */
	if (!port && keeper->bindhooks && !proc->online) {
		port = bindhook_unshared_port(keeper->bindhooks, LB_BIND_UDP);
		udp = "udp/";
	}
	if (info->si_code == CLD_EXITED && !info->si_status && left_children)
		keeper_event(keeper, "background", json_pack("{s:i}", "worker", proc->worker),
			     "worker %u went to the background, where it can't be kept and is "
			     "ended: tell it to stay in the foreground",
			     proc->worker);
	if (!port || keeper->wanted == 1 || keeper->port_explained)
		return;
	keeper->port_explained = true;
	keeper_event(keeper, "unshared", json_pack("{s:i, s:b}", "port", port, "udp", *udp != 0),
		     "port %s%u is not shared, so one worker can have it: --port lists all that "
		     "are to be shared (%s%u, say), --offset-port %s%u gives worker w port %u+w",
		     udp, port, udp, port, udp, port, port);
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

void keeper_plan_restart(struct keeper *keeper, uint32_t worker)
{
	struct keeper_worker *seat = &keeper->workers[worker];

	if (is_hopeless(keeper, seat)) {
		give_up(keeper, worker);
		return;
	}
	keeper_set_timer(keeper, &seat->restart_timer, backoff_ms(seat), on_restart_timer, keeper);
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
void keeper_stop_renewal(struct keeper *keeper)
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
	keeper_stop_renewal(keeper);
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
		keeper_plan_restart(keeper, worker);
	proc_free(proc);
	keeper_sync(keeper);
	keeper_step(keeper);
}
