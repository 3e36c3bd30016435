// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See pass.h: the end of a process, and what the facts about a living one lead to. */
#include <signal.h>

#include "keeper/pass.h"

/* --- the end of a process --- */

static uint32_t most_failures(const struct plan *plan)
{
	uint32_t most = plan->options.max_restarts;

	return plan->ever_online || most < PLAN_FIRST_RESTARTS ? most : PLAN_FIRST_RESTARTS;
}

/* No wait where nobody else serves and this one had served for long. */
static uint64_t backoff_us(const struct plan *plan, uint32_t failures, uint64_t lived_us)
{
	return lived_us > PLAN_STEADY_US && pass_nobody_serves(plan) ?
		       0 :
		       plan_backoff_us(plan, failures);
}

static void release(struct pass *pass, uint32_t w, enum plan_role role, bool asked, uint64_t in_us)
{
	struct action *action =
		pass_emit(pass, ACTION_RELEASE, w, &pass->plan->workers[w].at[role]);

	action->next = role != ROLE_CURRENT;
	action->asked = asked;
	action->in_us = in_us;
}

/* No process can be started, and none ever was: there is no use in trying on. */
static void give_up_at_once(struct pass *pass, int error)
{
	struct plan_summary now;

	plan_summarise(pass->plan, &now);
	if (pass->plan->ever_ran || pass->plan->stop || now.running)
		return;
	plan_stop(pass->plan, PASS_STATUS_FAILED);
	pass->plan->end_error = error;
}

static void give_up(struct pass *pass, uint32_t w)
{
	struct process *process = &pass->plan->workers[w].at[ROLE_CURRENT];

	release(pass, w, ROLE_CURRENT, false, PLAN_NEVER);
	pass_move(pass, process, LIFE_GIVE_UP);
	/* what waits in its queue is handed on */
	pass_close(pass, w, process);
	pass_emit(pass, ACTION_TELL, w, NULL)->why = WHY_GAVE_UP;
	pass_fail(pass, WHY_GAVE_UP, w, NULL);
}

/* It need not come back, and a successor is not on its way. */
static bool is_finished(const struct plan *plan, const struct worker *worker)
{
	const struct process *process = &worker->at[ROLE_CURRENT];

	return !process->start_error && !runs(&worker->at[ROLE_NEXT]) &&
	       exit_codes_has(&plan->options.stop_exit_codes, process->status);
}

/* The operation has started it, or has told it to make new processes. */
static bool is_of_operation(const struct plan *plan, uint32_t w, const struct process *process)
{
	return plan_is_of_operation(plan, process) || renews(&plan->workers[w], process);
}

static void finish(struct pass *pass, uint32_t w)
{
	struct process *process = &pass->plan->workers[w].at[ROLE_CURRENT];
	struct action *action;

	release(pass, w, ROLE_CURRENT, false, PLAN_NEVER);
	pass_move(pass, process, LIFE_FINISH);
	pass->plan->workers[w].failures = 0;
	/* as of one that is given up */
	pass_close(pass, w, process);
	action = pass_emit(pass, ACTION_TELL, w, NULL);
	action->why = WHY_FINISHED;
	action->status = process->status;
	if (is_of_operation(pass->plan, w, process))
		pass_fail(pass, WHY_ENDED, w, process);
}

static void retry_later(struct pass *pass, uint32_t w, bool asked, uint64_t lived_us)
{
	struct worker *worker = &pass->plan->workers[w];
	struct process *process = &worker->at[ROLE_CURRENT];
	bool is_of_it = !asked && is_of_operation(pass->plan, w, process);
	enum plan_why why = process->start_error ? WHY_NO_START : WHY_ENDED;
	uint64_t in_us;

	pass_move(pass, process, LIFE_RETRY);
	in_us = asked ? 0 : backoff_us(pass->plan, worker->failures, lived_us);
	worker->due_us = pass->now_us + in_us;
	release(pass, w, ROLE_CURRENT, asked, in_us);
	if (is_of_it)
		pass_fail(pass, why, w, process);
}

/*
 * Its sockets of --listen have no use any more, unless the next one gets them. They are closed when
 * nothing new comes to them. Returns false while that is awaited.
 */
static bool let_go(struct pass *pass, uint32_t w, enum plan_role role)
{
	struct process *process = &pass->plan->workers[w].at[role];

	if (pass->plan->stop || is_handed_on(pass->plan, w, process))
		return true;
	if (!pass_keeps_sockets(pass, w, process))
		return true;
	/* an ended one takes nobody's place */
	pass_move(pass, process, LIFE_TERMINATE);
	return false;
}

static void end_current(struct pass *pass, uint32_t w, bool asked)
{
	struct plan *plan = pass->plan;
	struct worker *worker = &plan->workers[w];
	struct process *process = &worker->at[ROLE_CURRENT];
	uint64_t lived_us = pass->now_us - process->started_us;

	if (!is_wanted(plan, w)) {
		if (!let_go(pass, w, ROLE_CURRENT))
			return;
		release(pass, w, ROLE_CURRENT, asked, PLAN_NEVER);
		pass_forget(pass, w, ROLE_CURRENT);
		return;
	}
	if (!asked)
		worker->failures = lived_us > PLAN_STEADY_US ? 1 : worker->failures + 1;
	/* its sockets stay open, and nobody serves them for now: what waits there is handed on */
	if (process->start_error && !pass_nobody_serves(plan))
		pass_close(pass, w, process);
	else if (plan->options.hands_on && (!asked || runs(&worker->at[ROLE_NEXT])))
		pass_drain(pass, w, process, WHY_ENDED);
	if (!asked && is_finished(plan, worker))
		finish(pass, w);
	else if (!asked && worker->failures > most_failures(plan) && !runs(&worker->at[ROLE_NEXT]))
		give_up(pass, w);
	else
		retry_later(pass, w, asked, lived_us);
}

static void end_process(struct pass *pass, uint32_t w, enum plan_role role)
{
	struct process *process = &pass->plan->workers[w].at[role];
	int error = process->start_error;
	bool asked = pass->plan->stop || role == ROLE_LEAVING || plan_is_leaving(role, process) ||
		     (process->state == LIFE_TERMINATING && process->signal &&
		      process->signal != SIGABRT);

	if (role == ROLE_CURRENT) {
		end_current(pass, w, asked);
	} else if (let_go(pass, w, role)) {
		release(pass, w, role, asked, PLAN_NEVER);
		pass_forget(pass, w, role);
		if (role == ROLE_NEXT && is_wanted(pass->plan, w) && !asked)
			pass_fail(pass, error ? WHY_NO_START : WHY_ENDED, w, NULL);
	} else {
		return;
	}
	if (error)
		give_up_at_once(pass, error);
}

/* --- one process --- */

/*
 * A socket of --listen takes connections from its beginning, and what comes before its process
 * accepts waits for that. One version is waited for once, if it waits in a way that is not seen.
 */
static bool may_accept(struct pass *pass, const struct process *process)
{
	struct plan *plan = pass->plan;
	uint64_t grace_us = PLAN_UNSEEN_TIMES * plan->options.ready_after_us;

	if (!plan_awaits_accept(plan, process))
		return true;
	if (grace_us > plan->options.ready_timeout_us / 2)
		grace_us = plan->options.ready_timeout_us / 2;
	if (!pass_is_due(pass, process->started_us + grace_us))
		return false;
	plan->unseen = process->version + 1;
	return true;
}

static void become_ready(struct pass *pass, uint32_t w, struct process *process)
{
	if (!process->executed || (pass->plan->options.wait_ready && !process->said_ready) ||
	    !may_accept(pass, process))
		return;
	if (pass_move(pass, process, LIFE_IS_READY))
		pass_mark(pass, w, process);
}

static void become_online(struct pass *pass, uint32_t w, struct process *process)
{
	if (!process->registered || process->said_stopping || !pass_move(pass, process, LIFE_IS_IN))
		return;
	pass->plan->ever_online = true;
	process->pinged_us = pass->now_us;
	pass_emit(pass, ACTION_ADMIT, w, process);
	pass_mark(pass, w, process);
}

/* A current one goes on, as it may be slow; one that was taken over had its time before. */
static void check_ready_timeout(struct pass *pass, uint32_t w, enum plan_role role)
{
	struct process *process = &pass->plan->workers[w].at[role];

	if (process->told ||
	    !pass_is_due(pass, process->started_us + pass->plan->options.ready_timeout_us))
		return;
	process->told = true;
	pass_emit(pass, ACTION_TELL, w, process)->why = WHY_NOT_READY;
	if (role == ROLE_NEXT || process->taken_over)
		pass_dismiss(pass, w, process, WHY_NOT_READY);
	pass_fail(pass, WHY_NOT_READY, w, process);
}

static void check_stopping(struct pass *pass, uint32_t w, struct process *process)
{
	if (!process->said_stopping || !pass_move(pass, process, LIFE_LEAVE))
		return;
	pass_mark(pass, w, process);
	pass_emit(pass, ACTION_DRAIN, w, process)->why = WHY_SAID_STOPPING;
}

static void check_watchdog(struct pass *pass, uint32_t w, struct process *process)
{
	uint64_t period_us = pass->plan->options.watchdog_us;
	bool silent = period_us && process->pinged_us && process->state != LIFE_STARTING &&
		      process->state != LIFE_READY &&
		      pass_is_due(pass, process->pinged_us + period_us);

	if ((!silent && !process->said_hangs) || process->state == LIFE_TERMINATING)
		return;
	pass_emit(pass, ACTION_DRAIN, w, process)->why = WHY_NO_PING;
	pass_terminate(pass, w, process, SIGABRT,
		       process->said_hangs ? WHY_SAID_HANGS : WHY_NO_PING);
}

/* Who has not made new processes in time goes on with those that it has. */
static void check_renewed(struct pass *pass, uint32_t w, struct process *process)
{
	struct worker *worker = &pass->plan->workers[w];

	if (process->state != LIFE_ONLINE || !renews(worker, process))
		return;
	if (process->renewed)
		process->version = worker->version;
	else if (pass_is_due(pass, process->renew_us + pass->plan->options.ready_timeout_us))
		pass_fail(pass, WHY_NOT_RENEWED, w, process);
}

/* Of UDP: has it read all, and answered? */
static bool has_read(struct pass *pass, const struct process *process, enum plan_why *why)
{
	uint64_t most_us = pass->plan->options.kill_timeout_us;

	if (process->read_us && pass_is_due(pass, process->read_us + PLAN_ANSWER_US))
		return true;
	if (!pass_is_due(pass, process->drained_us + most_us))
		return false;
	*why = WHY_UNREAD;
	return true;
}

/* Its service can't be changed for so long? Then it ends as it is. */
static void check_drained(struct pass *pass, uint32_t w, struct process *process)
{
	const struct plan_options *options = &pass->plan->options;
	enum plan_why why = WHY_DRAINED;
	bool over;

	/* the keeper that marked it may have been killed before; or nobody follows it any more */
	if (!is_handed_on(pass->plan, w, process))
		pass_drain(pass, w, process, WHY_NONE);
	if (process->drained && !process->drained_us)
		process->drained_us = pass->now_us;
	if (process->drained_us && pass_awaits_answers(pass, process))
		over = false;
	else if (!process->drain_asked)
		over = true;
	else if (!process->drained_us)
		over = pass_is_due(pass, process->since_us + options->kill_timeout_us);
	else if (!options->reads_first)
		over = pass_is_due(pass, process->drained_us + PLAN_HANDSHAKES_US);
	else
		over = has_read(pass, process, &why);
	if (!over)
		return;
	/* who waits there is handed on as soon as it closes them as well */
	if (!is_handed_on(pass->plan, w, process))
		pass_close(pass, w, process);
	pass_terminate(pass, w, process, options->stop_signal,
		       process->at_work && why == WHY_DRAINED ? WHY_AT_WORK : why);
}

/* A shell or npm in front ends at once and hands nothing on: the server behind it is told now. */
static void check_rest(struct pass *pass, uint32_t w, struct process *process)
{
	if (!pass->plan->options.tells_rest || !process->main_ended || process->rest_told ||
	    process->signal == SIGKILL)
		return;
	process->rest_told = true;
	pass_emit(pass, ACTION_SIGNAL_REST, w, process)->signal = process->signal;
}

static void check_kill_timeout(struct pass *pass, uint32_t w, struct process *process)
{
	struct action *action;

	if (process->signal == SIGKILL ||
	    !pass_is_due(pass, process->since_us + pass->plan->options.kill_timeout_us))
		return;
	action = pass_emit(pass, ACTION_KILL, w, process);
	action->why = WHY_TOO_LONG;
	action->signal = process->signal;
	process->signal = SIGKILL;
}

void pass_take_facts(struct pass *pass, uint32_t w, enum plan_role role)
{
	struct process *process = &pass->plan->workers[w].at[role];

	if (!runs(process))
		return;
	if (process->executed)
		pass->plan->ever_ran = true;
	if (process->exited || process->start_error) {
		end_process(pass, w, role);
		return;
	}
	if (process->state == LIFE_STARTING)
		become_ready(pass, w, process);
	if (process->state == LIFE_READY)
		become_online(pass, w, process);
	if (process->state == LIFE_STARTING || process->state == LIFE_READY)
		check_ready_timeout(pass, w, role);
	if (role == ROLE_CURRENT) {
		check_stopping(pass, w, process);
		check_renewed(pass, w, process);
	}
	if (!plan_is_leaving(role, process))
		check_watchdog(pass, w, process);
	if (plan_is_leaving(role, process) && !pass->plan->stop)
		check_drained(pass, w, process);
	if (process->state == LIFE_TERMINATING) {
		check_rest(pass, w, process);
		check_kill_timeout(pass, w, process);
	}
}
