// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Does what the plan says. Nothing here decides, and nothing waits. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text_json.h"
#include "base/trouble.h"
#include "keeper/parts.h"
#include "keeper/run_files.h"

static struct runner *runner_of(const struct keeper *keeper, const struct action *action)
{
	return runner_find(&keeper->runners, action->worker, action->generation);
}

static struct process *process_of(struct keeper *keeper, const struct action *action)
{
	return plan_process(&keeper->plan, action->worker, action->generation);
}

static void fail_start(struct keeper *keeper, const struct action *action, int err)
{
	struct process *process = process_of(keeper, action);

	if (process)
		process->start_error = err;
}

/* Nobody else counts them, so it takes no lock. */
void execute_count_restart(const struct keeper *keeper, uint32_t worker)
{
	const struct state *state = pins_state(keeper->pins);

	for (uint32_t slot = 0; state && slot < state_used_slots(state); slot++) {
		struct lb_worker *row = state_worker(state, slot);

		if (row->worker == worker)
			__atomic_fetch_add(&row->restarts, 1, __ATOMIC_RELAXED);
	}
}

/* Is what it was given out of use, or about to be, as the process before it has ended? */
static bool is_given_drained(const struct keeper *keeper, const struct action *action)
{
	const struct state *state = pins_state(keeper->pins);
	int slot = -1;

	if (state)
		slot = listeners_slot(keeper->listeners, state, action->worker, action->generation);
	return slot >= 0 && (state_worker(state, slot)->state == LB_SLOT_DRAINING ||
			     changes_drain(keeper->changes, slot));
}

static void do_start(struct keeper *keeper, const struct action *action)
{
	const struct keeper_options *options = &keeper->options;
	char notify[RUN_FILES_PATH_BYTES], log[PATH_MAX];
	struct spawn_spec spec = {
		.argv = options->argv,
		.service = options->name,
		.worker = action->worker,
		.workers = keeper->plan.wanted,
		.log_path = tell_log_path(keeper, action->worker, log),
		.nr_listen_fds = options->nr_listens,
		.user = options->user,
		.no_new_privileges = options->no_new_privileges,
		.watchdog_ms = options->watchdog_ms,
		.parent_death_signal = options->with_controller ? options->stop_signal : 0,
		.instance_var = options->instance_var,
		.cwd = *options->cwd ? options->cwd : NULL,
		.needs_cwd = options->needs_cwd,
		.env_file = options->env_file,
		.environment = environments_of(keeper->environments, action->version),
		.forks = options->forks,
		.node_package = options->node_package,
	};
	int err = listeners_give(keeper->listeners, action->worker, action->sockets_of,
				 action->generation);
	struct runner *runner = NULL;

	if (keeper->forked && action->next)
		forked_renew(keeper->forked, pins_state(keeper->pins), NULL);
	run_files_path(options->name, "notify", notify);
	spec.notify_path = keeper->notify ? notify : NULL;
	spec.listen_fds = listeners_fds(keeper->listeners, action->worker, action->generation);
	if (!err)
		runner = runner_start(&keeper->runners, &spec, action->generation);
	if (runner)
		runner->given_drained = is_given_drained(keeper, action);
	else
		fail_start(keeper, action, err ? err : -ENOMEM);
	if (action->again && !keeper->forked)
		execute_count_restart(keeper, action->worker);
	if (options->nr_listens)
		turn_mark(keeper->turn, TURN_LOOK);
}

static void change_slot(struct keeper *keeper, enum change_kind kind, const struct runner *runner)
{
	const struct change change = {
		.kind = kind,
		.which = runner->slot,
		.worker = runner->worker,
		.generation = runner->generation,
	};

	changes_add(keeper->changes, &change);
}

/*
 * Has a process before it left it a slot that is drained? What somebody has drained since it began
 * stays so. Of an earlier keeper's it is not known since when it is.
 */
static bool gets_drained(const struct keeper *keeper, const struct action *action,
			 const struct runner *runner)
{
	if (runner->taken_over)
		return keeper->options.nr_listens && !action->was_online;
	return runner->given_drained;
}

static void do_admit(struct keeper *keeper, const struct action *action)
{
	const struct state *state = pins_state(keeper->pins);
	struct runner *runner = runner_of(keeper, action);

	if (!runner)
		return;
	runner->was_online = true;
	if (state && runner->slot >= 0 && gets_drained(keeper, action, runner))
		change_slot(keeper, CHANGE_RESUME, runner);
	tell_online(keeper, runner);
}

static bool drain_slots(struct keeper *keeper, const struct runner *runner)
{
	if (!pins_state(keeper->pins))
		return false;
	if (keeper->forked)
		return forked_drain(keeper->forked, runner, keeper->changes);
	if (runner->slot < 0)
		return false;
	change_slot(keeper, CHANGE_DRAIN, runner);
	return true;
}

static void drain_now(struct keeper *keeper, struct process *process, const struct runner *runner)
{
	if (runner && drain_slots(keeper, runner))
		return;
	if (process) {
		process->drained = true;
		turn_mark(keeper->turn, TURN_DECIDE);
	}
}

/*
 * What is in no slot gets nothing, unless a child is about to give it one: it knows the process as
 * that was when the child began. Those that begin later do not give it any.
 */
static void drain_process(struct keeper *keeper, struct process *process, struct runner *runner)
{
	if (runner && (keeper->forked || runner->slot < 0))
		runner->to_drain = changes_giving(keeper->changes);
	if (!runner || !runner->to_drain)
		drain_now(keeper, process, runner);
}

void execute_late_drains(struct keeper *keeper)
{
	for (uint32_t w = 0; w < keeper->plan.used; w++) {
		struct runner *runner = keeper->runners.of[w];

		for (; runner; runner = runner->next) {
			struct process *process =
				plan_process(&keeper->plan, w, runner->generation);

			if (!runner->to_drain ||
			    changes_giving(keeper->changes) == runner->to_drain)
				continue;
			runner->to_drain = 0;
			drain_now(keeper, process, runner);
		}
	}
}

static void do_drain(struct keeper *keeper, const struct action *action)
{
	struct runner *runner = runner_of(keeper, action);

	if (runner)
		tell_drain(keeper, runner, action->why);
	if (!action->handed_on)
		drain_process(keeper, process_of(keeper, action), runner);
}

static void do_signal(struct keeper *keeper, const struct action *action)
{
	const struct runner *runner = runner_of(keeper, action);

	if (!runner)
		return;
	tell_signal(keeper, runner, action);
	if (runner_signal(runner, action->signal, keeper->options.kill_mode) == -EPERM)
		event_tell_process(keeper->log, "trouble", runner->worker, runner->pid, NULL,
				   "may not be sent %s: CAP_KILL is missing; SIGKILL after %lu ms",
				   stop_signal_name(action->signal),
				   (unsigned long)keeper->options.kill_timeout_ms);
}

/* Its own processes are to be others; the signal is for the main process alone. */
static void do_renew(struct keeper *keeper, const struct action *action)
{
	const struct runner *runner = runner_of(keeper, action);

	if (!runner)
		return;
	if (keeper->forked)
		forked_renew(keeper->forked, pins_state(keeper->pins), runner);
	event_tell_process(keeper->log, "signal", runner->worker, runner->pid,
			   text_pack("{s:i}", "signal", action->signal), "gets %s",
			   stop_signal_name(action->signal));
	runner_signal_alone(runner, action->signal);
}

/* What can't be killed would be waited for without end. */
static void do_kill(struct keeper *keeper, const struct action *action, int told)
{
	struct runner *runner = runner_of(keeper, action);
	struct process *process = process_of(keeper, action);
	int err;

	if (!runner)
		return;
	if (action->why == WHY_TOO_LONG)
		tell_kill(keeper, runner, told);
	err = runner_kill(runner);
	if (!err)
		return;
	event_tell_process(keeper->log, "trouble", runner->worker, runner->pid, NULL,
			   "can't be killed: %s%s", strerror(-err),
			   err == -EPERM ? "; CAP_KILL is missing" : "");
	if (process)
		process->unkillable = true;
	keeper->plan.end_status = EXIT_NOT_ABLE;
	turn_mark(keeper->turn, TURN_DECIDE);
}

static void do_release(struct keeper *keeper, const struct action *action)
{
	struct runner *runner = runner_of(keeper, action);

	tell_end(keeper, runner, action);
	if (runner)
		runner_free(runner);
}

static void execute_one(struct keeper *keeper, const struct action *action)
{
	const struct runner *runner = runner_of(keeper, action);

	switch (action->kind) {
	case ACTION_START:
		do_start(keeper, action);
		break;
	case ACTION_MARK:
		if (runner)
			runner_mark(runner, action->state);
		/* its sockets of --listen may have their slots now */
		if (keeper->options.nr_listens && action->state == LIFE_READY)
			turn_mark(keeper->turn, TURN_LOOK);
		break;
	case ACTION_ADMIT:
		do_admit(keeper, action);
		break;
	case ACTION_DRAIN:
		do_drain(keeper, action);
		break;
	case ACTION_CLOSE:
		listeners_close(keeper->listeners, action->worker, action->generation);
		break;
	case ACTION_SIGNAL:
		do_signal(keeper, action);
		break;
	case ACTION_RENEW:
		do_renew(keeper, action);
		break;
	case ACTION_SIGNAL_REST:
		if (runner)
			runner_signal_rest(runner, action->signal);
		break;
	case ACTION_KILL:
		do_kill(keeper, action, action->signal);
		break;
	case ACTION_RELEASE:
		do_release(keeper, action);
		break;
	case ACTION_RETIRE:
		/* where each socket is a worker, that number may be another's */
		if (keeper->forked)
			break;
		changes_add(keeper->changes,
			    &(struct change){ .kind = CHANGE_RETIRE, .which = action->worker });
		break;
	case ACTION_TELL:
		tell_why(keeper, action);
		break;
	case ACTION_FINISH:
		if (keeper->forked)
			forked_settle(keeper->forked);
		tell_finish(keeper, action);
		break;
	case ACTION_END:
		sd_event_exit(keeper->loop, keeper->plan.end_status);
		break;
	}
}

void execute(struct keeper *keeper, const struct action *actions, size_t n)
{
	uint32_t starts = 0;

	for (size_t i = 0; i < n; i++)
		starts += actions[i].kind == ACTION_START;
	listeners_expect(keeper->listeners, starts);
	for (size_t i = 0; i < n; i++)
		execute_one(keeper, &actions[i]);
	listeners_expect(keeper->listeners, 0);
}

static void finish_replaced(struct keeper *keeper, const struct operation *operation)
{
	const struct action action = {
		.kind = ACTION_FINISH,
		.why = WHY_REPLACED,
		.operation = *operation,
	};

	if (operation->verb != PLAN_NO_VERB)
		tell_finish(keeper, &action);
}

/* Whom it is about; 0 = a program that makes its workers itself does as it likes. */
static uint32_t operation_workers(const struct keeper *keeper)
{
	if (keeper->forked)
		return 0;
	return keeper->plan.operation.verb == PLAN_RESTART ? 1 : keeper->plan.wanted;
}

void execute_begun(struct keeper *keeper, const struct operation *before)
{
	uint32_t parallel = keeper->plan.operation.parallel;
	const char *verb = plan_verb_name(keeper->plan.operation.verb);
	struct plan_summary now;

	finish_replaced(keeper, before);
	plan_summarise(&keeper->plan, &now);
	memset(&keeper->toll, 0, sizeof(keeper->toll));
	keeper->toll.counted = true;
	event_tell(keeper->log, "begin",
		   text_pack("{s:s, s:i, s:i, s:o*}", "verb", verb, "workers",
			     operation_workers(keeper), "online", now.online, "parallel",
			     parallel ? json_integer(parallel) : NULL),
		   "%s begins", verb);
	turn_mark(keeper->turn, TURN_DECIDE);
}
