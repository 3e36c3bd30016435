// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * See reconcile.h. A pass goes over the workers once. Of each process it first takes the facts in:
 * what they make of its state says lifecycle.h. Then it compares the worker with what is wanted.
 */
#include "keeper/reconcile.h"

#include <signal.h>

#include "keeper/pass.h"

/* --- one worker --- */

static void start(struct pass *pass, uint32_t w, enum plan_role role)
{
	struct plan *plan = pass->plan;
	struct worker *worker = &plan->workers[w];
	struct process *process = &worker->at[role];
	struct action *action;

	if (!pass_move(pass, process, LIFE_START))
		return;
	*process = (struct process){
		.generation = ++plan->generation,
		.state = process->state,
		.version = worker->version,
		.since_us = pass->now_us,
		.started_us = pass->now_us,
	};
	worker->in_use = true;
	action = pass_emit(pass, ACTION_START, w, process);
	action->next = role == ROLE_NEXT;
	if (role == ROLE_CURRENT) {
		action->sockets_of = worker->sockets;
		worker->sockets = process->generation;
	}
	action->again = worker->failures && role == ROLE_CURRENT;
}

/* It gives its place up, for good; there is room for one that does. */
static void leave(struct pass *pass, uint32_t w, enum plan_role role, enum plan_why why)
{
	struct worker *worker = &pass->plan->workers[w];
	struct process *process = &worker->at[ROLE_LEAVING];
	struct action *action;

	*process = worker->at[role];
	worker->at[role] = (struct process){ 0 };
	if (why != WHY_HANDS_OVER && worker->sockets == process->generation)
		worker->sockets = 0;
	/* one that has said that it stops leaves already */
	if (!pass_move(pass, process, LIFE_LEAVE))
		return;
	pass_mark(pass, w, process);
	action = pass_emit(pass, ACTION_DRAIN, w, process);
	action->why = why;
	/* drained, the only one would get connections all the same */
	action->handed_on = is_handed_on(pass->plan, w, process) && pass_nobody_serves(pass->plan);
	process->drain_asked = !action->handed_on;
}

/* A version that dies a moment after it came online is to take nobody's place. */
static bool is_steady(struct pass *pass, const struct process *process)
{
	return process->state == LIFE_ONLINE &&
	       pass_is_due(pass, process->since_us + pass->plan->options.ready_after_us);
}

static void promote_next(struct worker *worker)
{
	worker->at[ROLE_CURRENT] = worker->at[ROLE_NEXT];
	worker->at[ROLE_NEXT] = (struct process){ 0 };
	worker->sockets = worker->at[ROLE_CURRENT].generation;
	worker->failures = 0;
}

/* A successor that nobody wants any more: who serves already is drained. */
static void drop_next(struct pass *pass, uint32_t w, enum plan_why why)
{
	struct worker *worker = &pass->plan->workers[w];
	struct process *next = &worker->at[ROLE_NEXT];

	if (next->state != LIFE_ONLINE)
		pass_dismiss(pass, w, next, why);
	else if (!runs(&worker->at[ROLE_LEAVING]))
		leave(pass, w, ROLE_NEXT, why);
}

/*
 * None begins beside one that has a port for itself: it would die of that. Who leaves so that the
 * next one can begin has, and a keeper that comes in between knows it by the port alone.
 */
static bool awaits_end(const struct worker *worker)
{
	const struct process *leaving = &worker->at[ROLE_LEAVING];

	return runs(leaving) && (worker->hands_over || leaving->alone);
}

static void step_wanted(struct pass *pass, uint32_t w)
{
	struct worker *worker = &pass->plan->workers[w];
	struct process *current = &worker->at[ROLE_CURRENT], *next = &worker->at[ROLE_NEXT];

	if (runs(next) && runs(current) && next->version != worker->version) {
		drop_next(pass, w, WHY_CANCELLED);
	} else if (next->state == LIFE_ONLINE && !runs(current)) {
		/* it has sockets of its own, so those of the one that ended are nobody's */
		if (pass_keeps_sockets(pass, w, current))
			return;
		promote_next(worker);
	} else if (!runs(&worker->at[ROLE_LEAVING]) && is_steady(pass, next)) {
		leave(pass, w, ROLE_CURRENT, WHY_RENEWED);
		promote_next(worker);
	}
	if (runs(next) || awaits_end(worker))
		return;
	if (current->state == LIFE_NONE ||
	    (current->state == LIFE_BACKING_OFF && pass_is_due(pass, worker->due_us)) ||
	    (current->state == LIFE_FAILED && !worker->failures) ||
	    (current->state == LIFE_FINISHED && current->version != worker->version))
		start(pass, w, ROLE_CURRENT);
}

static void step_unwanted(struct pass *pass, uint32_t w)
{
	struct worker *worker = &pass->plan->workers[w];
	struct process *current = &worker->at[ROLE_CURRENT], *next = &worker->at[ROLE_NEXT],
		       *leaving = &worker->at[ROLE_LEAVING];

	if (runs(next))
		drop_next(pass, w, WHY_UNWANTED);
	if (runs(current) && !runs(leaving))
		leave(pass, w, ROLE_CURRENT, WHY_UNWANTED);
	else if (!runs(current) && pass_keeps_sockets(pass, w, current))
		return;
	else if (!runs(current))
		pass_forget(pass, w, ROLE_CURRENT);
	worker->failures = 0;
	if (!worker->in_use || runs(current) || runs(next) || runs(leaving))
		return;
	/* of --listen: who crashed has left them for one that does not come any more */
	pass_emit(pass, ACTION_CLOSE, w, NULL);
	pass_emit(pass, ACTION_RETIRE, w, NULL);
	worker->sockets = 0;
	worker->in_use = false;
}

/* While it has something to answer it is drained first, as far as that goes without a service. */
static void end_stopping(struct pass *pass, uint32_t w, struct process *process)
{
	if (process->at_work && pass_move(pass, process, LIFE_LEAVE))
		pass_mark(pass, w, process);
	if (process->state == LIFE_DRAINING && !process->drained_us)
		process->drained_us = pass->now_us;
	if (!pass_awaits_answers(pass, process))
		pass_terminate(pass, w, process, pass->plan->options.stop_signal,
			       process->at_work ? WHY_AT_WORK : WHY_STOP);
}

static void step_stopping(struct pass *pass, uint32_t w)
{
	struct plan *plan = pass->plan;
	struct worker *worker = &plan->workers[w];
	bool may_end = plan->unsteered || plan->stop == PLAN_STOPS_AT_ONCE;

	if (worker->in_use && may_end) {
		pass_emit(pass, ACTION_CLOSE, w, NULL);
		worker->in_use = false;
	}
	for (int role = 0; role < ROLES; role++) {
		struct process *process = &worker->at[role];

		if (!runs(process))
			pass_forget(pass, w, role);
		else if (may_end)
			end_stopping(pass, w, process);
		if (runs(process) && plan->stop == PLAN_STOPS_AT_ONCE &&
		    process->signal != SIGKILL) {
			pass_emit(pass, ACTION_KILL, w, process)->why = WHY_STOP;
			process->signal = SIGKILL;
		}
	}
}

static void step_worker(struct pass *pass, uint32_t w)
{
	for (int role = 0; role < ROLES; role++)
		pass_take_facts(pass, w, role);
	if (pass->plan->stop)
		step_stopping(pass, w);
	else if (w < pass->plan->wanted)
		step_wanted(pass, w);
	else
		step_unwanted(pass, w);
}

/* --- all workers --- */

static bool has_room(const struct pass *pass)
{
	return pass->count + PLAN_LEAST_ACTIONS <= pass->max;
}

/* Until the process that follows one that had to end first is steady, or nobody waits for it. */
static bool is_handing_over(struct pass *pass, struct worker *worker)
{
	const struct process *current = &worker->at[ROLE_CURRENT];

	if (!worker->hands_over || current->state == LIFE_NONE)
		return worker->hands_over;
	worker->hands_over = !current->told &&
			     (current->state == LIFE_STARTING || current->state == LIFE_READY ||
			      (current->state == LIFE_ONLINE && !is_steady(pass, current)));
	return worker->hands_over;
}

static bool needs_successor(const struct worker *worker)
{
	const struct process *current = &worker->at[ROLE_CURRENT];

	return runs(current) && current->state != LIFE_TERMINATING &&
	       current->version != worker->version && !runs(&worker->at[ROLE_NEXT]) &&
	       !runs(&worker->at[ROLE_LEAVING]);
}

/* It serves on while it makes others of its own. One that is not online may not know the signal. */
static void renew_itself(struct pass *pass, uint32_t w)
{
	struct worker *worker = &pass->plan->workers[w];
	struct process *process = &worker->at[ROLE_CURRENT];

	if (process->state != LIFE_ONLINE || renews(worker, process))
		return;
	process->renews = worker->version;
	process->renew_us = pass->now_us;
	process->renewed = false;
	pass_emit(pass, ACTION_RENEW, w, process)->signal = pass->plan->options.reload_signal;
}

/*
 * Rolling: so many new processes at a time, one unless a reload was asked for more, and the next
 * only when one of these is steady. Nobody serves in the place of one that has to end first, so of
 * these there is one at a time, always.
 */
static void renew(struct pass *pass)
{
	struct plan *plan = pass->plan;
	uint32_t most = plan->operation.parallel ? plan->operation.parallel : 1, on_their_way = 0;
	bool one_hands_over = false;

	for (uint32_t w = 0; w < plan->wanted; w++) {
		bool hands_over = is_handing_over(pass, &plan->workers[w]);

		on_their_way += hands_over || runs(&plan->workers[w].at[ROLE_NEXT]);
		one_hands_over |= hands_over;
	}
	for (uint32_t w = 0; w < plan->wanted && on_their_way < most && has_room(pass); w++) {
		struct worker *worker = &plan->workers[w];
		bool alone = worker->at[ROLE_CURRENT].alone;

		if (!needs_successor(worker) || (alone && one_hands_over))
			continue;
		if (plan->options.reload_signal) {
			renew_itself(pass, w);
			continue;
		}
		worker->hands_over = alone;
		one_hands_over |= alone;
		on_their_way++;
		if (alone)
			leave(pass, w, ROLE_CURRENT, WHY_HANDS_OVER);
		else
			start(pass, w, ROLE_NEXT);
	}
}

/* Nobody waits for one that was given up, is not ready in time, or says that it stops. */
static bool is_settled(struct pass *pass, uint32_t w)
{
	const struct plan *plan = pass->plan;
	const struct worker *worker = &plan->workers[w];
	const struct process *current = &worker->at[ROLE_CURRENT];

	if (w >= plan->wanted)
		return !worker->in_use;
	if (runs(&worker->at[ROLE_NEXT]) || runs(&worker->at[ROLE_LEAVING]))
		return false;
	if (current->state == LIFE_FAILED)
		return worker->failures;
	if (current->version != worker->version)
		return false;
	if (current->state == LIFE_ONLINE && plan_is_of_operation(plan, current))
		return is_steady(pass, current);
	return current->state == LIFE_ONLINE || current->state == LIFE_DRAINING ||
	       current->state == LIFE_FINISHED || current->told;
}

/* Returns whether one can't be ended, which an operation would wait for without end. */
static bool is_stuck(const struct plan *plan, uint32_t w)
{
	const struct worker *worker = &plan->workers[w];

	for (int role = 0; role < ROLES; role++) {
		if (runs(&worker->at[role]) && worker->at[role].unkillable)
			return true;
	}
	return false;
}

static void finish_when_done(struct pass *pass)
{
	const struct plan *plan = pass->plan;
	bool one = plan->operation.verb == PLAN_RESTART;
	uint32_t first = one ? plan->operation.worker : 0;
	uint32_t end = one && first < plan->wanted ? first + 1 : plan->used;

	if (plan->operation.verb == PLAN_NO_VERB)
		return;
	for (uint32_t w = first; w < end; w++) {
		if (is_stuck(plan, w)) {
			pass_fail(pass, WHY_TOO_LONG, w, NULL);
			return;
		}
		if (!is_settled(pass, w))
			return;
	}
	pass_finish(pass, WHY_DONE, 0, NULL);
}

/* Nothing comes of it any more unless somebody asks for it. */
static bool is_over(const struct worker *worker)
{
	const struct process *current = &worker->at[ROLE_CURRENT];

	if (current->state == LIFE_FINISHED)
		return current->version == worker->version;
	return current->state == LIFE_FAILED && worker->failures && !runs(&worker->at[ROLE_NEXT]);
}

static void stop_when_all_are_over(struct pass *pass)
{
	struct plan *plan = pass->plan;
	bool failed = false;

	for (uint32_t w = 0; w < plan->wanted; w++) {
		if (!is_over(&plan->workers[w]))
			return;
		failed |= plan->workers[w].at[ROLE_CURRENT].state == LIFE_FAILED;
	}
	pass_emit(pass, ACTION_TELL, 0, NULL)->why = failed ? WHY_ALL_FAILED : WHY_ALL_FINISHED;
	plan_stop(plan, failed ? PASS_STATUS_FAILED : 0);
}

static void end_when_empty(struct pass *pass)
{
	const struct plan *plan = pass->plan;

	for (uint32_t w = 0; w < plan->used; w++) {
		for (int role = 0; role < ROLES; role++) {
			if (runs(&plan->workers[w].at[role]) &&
			    !plan->workers[w].at[role].unkillable)
				return;
		}
	}
	if (plan->unsteered || plan->stop == PLAN_STOPS_AT_ONCE)
		pass_emit(pass, ACTION_END, 0, NULL);
}

/* When we were stopped ourselves, it is not the workers that were late. */
static void forgive_our_own_sleep(struct plan *plan, uint64_t now_us)
{
	uint64_t period_us = plan->options.watchdog_us;

	if (!period_us || plan->next_us == PLAN_NEVER || now_us < plan->next_us + period_us)
		return;
	for (uint32_t w = 0; w < plan->used; w++) {
		for (int role = 0; role < ROLES; role++)
			plan->workers[w].at[role].pinged_us = now_us;
	}
}

size_t reconcile(struct plan *plan, uint64_t now_us, struct action *actions, size_t max)
{
	struct pass pass = {
		.plan = plan,
		.now_us = now_us,
		.next_us = PLAN_NEVER,
		.actions = actions,
		.max = max,
	};

	forgive_our_own_sleep(plan, now_us);
	for (uint32_t w = 0; w < plan->used && has_room(&pass); w++)
		step_worker(&pass, w);
	if (!plan->stop && has_room(&pass)) {
		renew(&pass);
		stop_when_all_are_over(&pass);
		if (!pass.count && !plan->changing)
			finish_when_done(&pass);
	} else if (plan->stop && has_room(&pass)) {
		pass_finish(&pass, WHY_STOP, 0, NULL);
		end_when_empty(&pass);
	}
	plan->next_us = pass.next_us;
	return pass.count;
}
