// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What clients of the control socket ask the keeper for. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/stop_signal.h"
#include "base/text_json.h"
#include "base/trouble.h"
#include "keeper/parts.h"
#include "keeper/port_rules.h"
#include "keeper/worker_requests.h"

/* Nothing new is begun while all ends. */
static bool goes_on(const struct keeper *keeper, struct client *client)
{
	if (!keeper->plan.stop)
		return true;
	control_reply(client, EXIT_FAILED, "the service stops");
	return false;
}

static void do_scale(void *arg, struct client *client, const json_t *request, int *passed)
{
	json_int_t workers = json_integer_value(json_object_get(request, "workers"));
	json_int_t by = json_integer_value(json_object_get(request, "by"));
	struct keeper *keeper = arg;
	struct operation before;
	char text[96];
	char why[PORT_RULES_BYTES + RENEW_BYTES];

	(void)passed;
	/* more or fewer than there are to be now */
	if (by >= -LB_MAX_WORKERS && by <= LB_MAX_WORKERS && by)
		workers = keeper->plan.wanted + by;
	if (workers < 1 || workers > LB_MAX_WORKERS) {
		snprintf(text, sizeof(text), "a service has 1 to %d workers, and this one %u",
			 LB_MAX_WORKERS, keeper->plan.wanted);
		control_reply(client, EXIT_USAGE, text);
		return;
	}
	if (keeper->forked) {
		snprintf(why, sizeof(why),
			 "%s makes its workers itself, so their number is its own setting: change "
			 "that, and lbctl reload %s; or lbctl signal %s all TTIN, if it knows that",
			 keeper->options.argv[0], keeper->options.name, keeper->options.name);
		control_reply(client, EXIT_USAGE, why);
		return;
	}
	if (port_rules_check(&keeper->options.rules, workers, why)) {
		control_reply(client, EXIT_USAGE, why);
		return;
	}
	if (!goes_on(keeper, client))
		return;
	before = plan_scale(&keeper->plan, workers, control_client_id(client));
	execute_begun(keeper, &before);
}

/* How many workers a reload may replace at a time, one if that is not said; 0 = no such number. */
static uint32_t parallel_of(const struct plan *plan, const json_t *request)
{
	const json_t *number = json_object_get(request, "parallel");
	const json_t *percent = json_object_get(request, "percent");
	json_int_t of = json_integer_value(number), share = json_integer_value(percent);

	if (percent)
		return share >= 1 && share <= 100 ? plan_percent(plan, share) : 0;
	if (number)
		return of >= 1 && of <= LB_MAX_WORKERS ? of : 0;
	return 1;
}

/* false: it was answered why not. */
static bool renew(struct keeper *keeper, struct client *client, const json_t *request,
		  uint32_t worker)
{
	uint32_t parallel = parallel_of(&keeper->plan, request);
	char why[RENEW_BYTES];

	if (!parallel) {
		control_reply(client, EXIT_USAGE,
			      "a reload replaces 1 to 1024 workers at a time, or 1 to 100 percent "
			      "of them");
		return false;
	}
	if (!goes_on(keeper, client))
		return false;
	if (renew_begin(keeper, worker, parallel, control_client_id(client), why))
		return true;
	control_reply(client, EXIT_FAILED, why);
	return false;
}

static void do_reload(void *arg, struct client *client, const json_t *request, int *passed)
{
	(void)passed;
	renew(arg, client, request, LB_ALL_WORKERS);
}

/* The lowest version that some worker may still be started with, whatever comes of a reload. */
static uint32_t oldest_version(const struct plan *plan)
{
	uint32_t oldest = plan->version;

	for (uint32_t w = 0; w < plan->wanted; w++) {
		const struct worker *worker = &plan->workers[w];
		const struct process *current = &worker->at[ROLE_CURRENT];

		if (worker->version < oldest)
			oldest = worker->version;
		if (lifecycle_runs(current->state) && current->version < oldest)
			oldest = current->version;
	}
	return oldest;
}

/* As reload, with another environment for the new version. Nothing is started before the turn. */
static void do_reload_env(void *arg, struct client *client, const json_t *request, int *passed)
{
	const json_t *variables = json_object_get(request, "environment");
	struct keeper *keeper = arg;
	uint32_t oldest = oldest_version(&keeper->plan);

	(void)passed;
	if (keeper->options.reload_signal)
		control_reply(client, EXIT_USAGE,
			      "--update-env is for a new main process, and by --reload-signal the "
			      "one that there is goes on with its environment");
	else if (environments_check(variables))
		control_reply(client, EXIT_USAGE, "an environment is texts NAME=VALUE");
	else if (renew(keeper, client, request, LB_ALL_WORKERS) &&
		 environments_add(&keeper->environments, keeper->plan.version, oldest, variables))
		event_tell(keeper->log, "trouble", NULL,
			   "no memory for another environment: the new processes have the old one");
}

static void reply_no_worker(const struct keeper *keeper, struct client *client, const json_t *which)
{
	char text[128];

	snprintf(text, sizeof(text), "no worker %lld; %s has 0 to %u",
		 (long long)json_integer_value(which), keeper->options.name,
		 keeper->plan.wanted - 1);
	control_reply(client, EXIT_NOT_FOUND, text);
}

static void do_restart(void *arg, struct client *client, const json_t *request, int *passed)
{
	const json_t *which = json_object_get(request, "worker");
	json_int_t worker = json_integer_value(which);
	struct keeper *keeper = arg;

	(void)passed;
	if (keeper->forked) {
		control_reply(client, EXIT_USAGE,
			      "its program makes the workers itself: lbctl signal sends one a "
			      "signal, and the program starts another if it ends of that");
		return;
	}
	if (!json_is_integer(which) || worker < 0 || worker >= keeper->plan.wanted) {
		reply_no_worker(keeper, client, which);
		return;
	}
	renew(keeper, client, request, worker);
}

static void do_cancel(void *arg, struct client *client, const json_t *request, int *passed)
{
	struct keeper *keeper = arg;
	/* counted before: afterwards they run what they are to run */
	struct action action = {
		.kind = ACTION_FINISH,
		.why = WHY_CANCELLED,
		.old = plan_count_old(&keeper->plan),
		.renewed = plan_count_renewed(&keeper->plan),
	};
	char left[128], text[160];

	(void)request;
	(void)passed;
	if (!goes_on(keeper, client))
		return;
	action.operation = plan_cancel(&keeper->plan);
	if (action.operation.verb == PLAN_NO_VERB) {
		control_reply(client, EXIT_DONE, "no scale, reload or restart is going on");
		return;
	}
	if (keeper->forked)
		forked_settle(keeper->forked);
	tell_finish(keeper, &action);
	snprintf(text, sizeof(text), "%s cancelled; %s", plan_verb_name(action.operation.verb),
		 tell_progress(keeper, &action, left, sizeof(left)));
	control_reply(client, EXIT_DONE, text);
	turn_mark(keeper->turn, TURN_DECIDE);
}

static void do_stop(void *arg, struct client *client, const json_t *request, int *passed)
{
	(void)request;
	(void)passed;
	control_await_end(client);
	keeper_stop(arg, EXIT_DONE);
}

static void do_events(void *arg, struct client *client, const json_t *request, int *passed)
{
	(void)arg;
	(void)request;
	(void)passed;
	control_reply(client, EXIT_DONE, "subscribed");
	control_subscribe(client);
}

/* What commands change by themselves; who may ask us may say so. */
static const char *const told_changes[] = { "policy", "weight", "limit",  "drain",
					    "resume", "set",	"rescued" };

static void tell_change(struct keeper *keeper, const json_t *change)
{
	const char *type = json_string_value(json_object_get(change, "type"));
	const char *text = json_string_value(json_object_get(change, "text"));
	const json_t *details = json_object_get(change, "details");

	for (size_t i = 0; type && text && i < sizeof(told_changes) / sizeof(told_changes[0]);
	     i++) {
		if (!strcmp(type, told_changes[i]))
			event_tell(keeper->log, type,
				   json_is_object(details) ? json_deep_copy(details) : NULL, "%s",
				   text);
	}
}

static void do_changed(void *arg, struct client *client, const json_t *request, int *passed)
{
	const json_t *changes = json_object_get(request, "changes");
	struct keeper *keeper = arg;

	(void)passed;
	for (size_t i = 0; i < json_array_size(changes); i++)
		tell_change(keeper, json_array_get(changes, i));
	stall_watch_check(keeper->stalls);
	holder_tell(keeper->holder);
	control_reply(client, EXIT_DONE, "told");
}

static bool send_to(struct keeper *keeper, uint32_t worker, const char *line)
{
	const struct process *process = &keeper->plan.workers[worker].at[ROLE_CURRENT];
	const struct runner *runner = runner_find(&keeper->runners, worker, process->generation);

	return runner && !channel_send(runner->channel, line);
}

static void do_send(void *arg, struct client *client, const json_t *request, int *passed)
{
	const json_t *which = json_object_get(request, "worker");
	const json_t *message = json_object_get(request, "message");
	_cleanup_free_ char *line = message ? json_dumps(message, JSON_COMPACT | JSON_ENCODE_ANY) :
					      NULL;
	struct keeper *keeper = arg;
	uint32_t sent = 0, failed = 0;
	char text[96];

	(void)passed;
	if (!line || (keeper->forked && json_is_integer(which))) {
		control_reply(client, EXIT_USAGE,
			      line ? "only its main process has a channel: send to all" :
				     "there is no message to send");
		return;
	}
	for (uint32_t w = 0; w < keeper->plan.wanted; w++) {
		if (json_is_integer(which) && json_integer_value(which) != w)
			continue;
		if (send_to(keeper, w, line))
			sent++;
		else
			failed++;
	}
	snprintf(text, sizeof(text), "sent to %u worker%s%s", sent, plural(sent),
		 failed ? "; others do not read their messages" : "");
	if (sent || failed)
		control_reply(client, failed ? EXIT_FAILED : EXIT_DONE, text);
	else
		reply_no_worker(keeper, client, which);
}

/* Sends a signal to the process of one worker that has one. Returns 0 or -errno. */
static int signal_one(struct keeper *keeper, uint32_t worker, int number)
{
	const struct process *process = &keeper->plan.workers[worker].at[ROLE_CURRENT];
	const struct runner *runner = runner_find(&keeper->runners, worker, process->generation);
	int err = runner ? runner_signal_alone(runner, number) : -ESRCH;

	if (!err)
		event_tell_process(keeper->log, "signal", worker, runner->pid,
				   text_pack("{s:i}", "signal", number), "gets %s",
				   stop_signal_name(number));
	return err;
}

/* Of --forks: the process that has the worker's socket. */
static void signal_forked(struct keeper *keeper, struct client *client, json_int_t worker,
			  int number)
{
	pid_t pid = worker >= 0 && worker < LB_MAX_WORKERS ? forks_pid(keeper, worker) : 0;
	int err = spawn_signal(pid, false, keeper->runners.user, number);

	if (err) {
		control_reply(client, err == -EPERM ? EXIT_NOT_ABLE : EXIT_NOT_FOUND,
			      err == -EPERM ? "its keeper may not: CAP_KILL is missing" :
					      "no such worker, or it has no process now");
		return;
	}
	event_tell_worker(keeper->log, "signal", worker, pid, text_pack("{s:i}", "signal", number),
			  "gets %s", stop_signal_name(number));
	control_reply(client, EXIT_DONE, "sent to 1 worker");
}

static void do_signal(void *arg, struct client *client, const json_t *request, int *passed)
{
	const json_t *which = json_object_get(request, "worker");
	json_int_t number = json_integer_value(json_object_get(request, "signal"));
	struct keeper *keeper = arg;
	uint32_t sent = 0;
	int err = -ENOENT, one;
	char text[96];

	(void)passed;
	if (number < 1 || number > SIGRTMAX) {
		control_reply(client, EXIT_USAGE, "not a signal");
		return;
	}
	if (keeper->forked && json_is_integer(which)) {
		signal_forked(keeper, client, json_integer_value(which), number);
		return;
	}
	for (uint32_t w = 0; w < keeper->plan.wanted; w++) {
		if (json_is_integer(which) && json_integer_value(which) != w)
			continue;
		one = signal_one(keeper, w, number);
		sent += !one;
		err = one ? one : err == -ENOENT ? 0 : err;
	}
	if (err == -ENOENT) {
		reply_no_worker(keeper, client, which);
		return;
	}
	if (sent)
		snprintf(text, sizeof(text), "sent to %u worker%s%s", sent, plural(sent),
			 err ? "; others have no process now" : "");
	else if (err == -EPERM)
		snprintf(text, sizeof(text), "its keeper may not: CAP_KILL is missing");
	else
		snprintf(text, sizeof(text), "it has no process now");
	control_reply(client,
		      sent	    ? EXIT_DONE :
		      err == -EPERM ? EXIT_NOT_ABLE :
				      EXIT_NOT_FOUND,
		      text);
}

/* Is anybody there? And how many workers are there to be? */
static void do_hello(void *arg, struct client *client, const json_t *request, int *passed)
{
	const struct keeper *keeper = arg;

	(void)request;
	(void)passed;
	control_reply_with(client,
			   text_pack("{s:i, s:s, s:i}", "status", EXIT_DONE, "text",
				     "lbctl " LBCTL_VERSION, "workers", keeper->plan.wanted),
			   -1);
}

const struct control_verb request_verbs[] = {
	{ "scale", false, ADMIT_OPERATOR, do_scale },
	{ "reload", false, ADMIT_OPERATOR, do_reload },
	{ "reload-env", false, ADMIT_OWNER, do_reload_env },
	{ "restart", false, ADMIT_OPERATOR, do_restart },
	{ "cancel", false, ADMIT_OPERATOR, do_cancel },
	{ "stop", true, ADMIT_OPERATOR, do_stop },
	{ "events", true, ADMIT_OPERATOR, do_events },
	{ "send", false, ADMIT_OPERATOR, do_send },
	{ "signal", false, ADMIT_OPERATOR, do_signal },
	{ "hello", true, ADMIT_WORKER, do_hello },
	{ "join", true, ADMIT_WORKER, worker_request_join },
	{ "load", true, ADMIT_WORKER, worker_request_load },
	{ "heartbeat", true, ADMIT_WORKER, worker_request_heartbeat },
	{ "changed", true, ADMIT_OPERATOR, do_changed },
	{ NULL, false, ADMIT_NOBODY, NULL },
};
