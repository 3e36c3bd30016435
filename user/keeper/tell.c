// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What is said of the workers: the events that go with the plan's actions, and their words. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_json.h"
#include "base/trouble.h"
#include "host/probe.h"
#include "host/procs.h"
#include "keeper/log_end.h"
#include "keeper/log_place.h"
#include "keeper/parts.h"

#define LOG_END_LINES 10 /* that are shown of one that never came up */

static unsigned long ms(uint64_t us)
{
	return us / 1000;
}

/* --- where a worker's output is --- */

const char *tell_log_path(const struct keeper *keeper, uint32_t worker, char out[PATH_MAX])
{
	if (!keeper->options.log_dir)
		return NULL;
	log_place_path(keeper->options.log_dir, keeper->options.name, worker, out);
	return out;
}

/* How to see what a worker said before it ended, in brackets. */
static void where_to_look(const struct keeper *keeper, uint32_t worker, char *out, size_t len)
{
	char path[PATH_MAX], unit[128];

	log_place_unit(unit, sizeof(unit));
	if (tell_log_path(keeper, worker, path))
		snprintf(out, len, " (see %.400s)", path);
	else if (*unit)
		snprintf(out, len, " (see journalctl -u %s)", unit);
	else
		snprintf(out, len, " (see the output of lbctl run)");
}

/* --- from start to online --- */

void tell_started(struct keeper *keeper, const struct runner *runner)
{
	event_tell_process(keeper->log, "start", runner->worker, runner->pid, NULL, "started");
}

void tell_online(struct keeper *keeper, const struct runner *runner)
{
	event_tell_process(keeper->log, "online", runner->worker, runner->pid,
			   keeper->forked ? NULL : text_pack("{s:i}", "slot", runner->slot),
			   "is online");
}

/* After how long, in words: "10 s", "250 ms". */
static const char *in_words(uint64_t limit_ms, char out[32])
{
	if (limit_ms % 1000)
		snprintf(out, 32, "%lu ms", (unsigned long)limit_ms);
	else
		snprintf(out, 32, "%lu s", (unsigned long)limit_ms / 1000);
	return out;
}

static void tell_not_ready(struct keeper *keeper, const struct runner *runner)
{
	uint16_t port = tell_unshared_port(keeper, LB_BIND_UDP);
	char why[TELL_WHY_BYTES], advice[64] = "", time[32];

	tell_why_not_ready(keeper, runner, why);
	if (port && runner->protos != keeper->own.protos)
		snprintf(advice, sizeof(advice), "; --port udp/%u shares the UDP port that it has",
			 port);
	event_tell_process(keeper->log, "timeout", runner->worker, runner->pid, NULL,
			   "is %s after %s%s", why,
			   in_words(keeper->options.ready_timeout_ms, time), advice);
}

/* --- towards its end --- */

void tell_drain(struct keeper *keeper, const struct runner *runner, enum plan_why why)
{
	const char *traffic = own_traffic(keeper->own.protos);
	bool reads = keeper->plan.options.reads_first;

	if (why == WHY_SAID_STOPPING)
		event_tell_process(keeper->log, "stopping", runner->worker, runner->pid, NULL,
				   "says that it stops: it gets no more %s", traffic);
	if (why == WHY_HANDS_OVER)
		event_tell_process(keeper->log, "drain", runner->worker, runner->pid,
				   text_pack("{s:i, s:b}", "port", runner->alone.port, "udp",
					     runner->alone.udp),
				   "gets no more %s and ends before its successor begins: one "
				   "process can have port %s%u",
				   traffic, runner->alone.udp ? "udp/" : "", runner->alone.port);
	if (why == WHY_RENEWED || why == WHY_UNWANTED || why == WHY_CANCELLED)
		event_tell_process(keeper->log, "drain", runner->worker, runner->pid, NULL,
				   "gets no more %s, then %s%s", traffic,
				   stop_signal_name(keeper->options.stop_signal),
				   reads ? " when it has read what waits" : "");
}

void tell_signal(struct keeper *keeper, const struct runner *runner, const struct action *action)
{
	const struct process *process =
		plan_process(&keeper->plan, action->worker, action->generation);
	char time[32];

	if (action->why == WHY_NO_PING)
		event_tell_process(keeper->log, "watchdog", runner->worker, runner->pid, NULL,
				   "sent no WATCHDOG=1 for %lu ms: SIGABRT",
				   (unsigned long)keeper->options.watchdog_ms);
	if (action->why == WHY_SAID_HANGS)
		event_tell_process(keeper->log, "watchdog", runner->worker, runner->pid, NULL,
				   "sent WATCHDOG=trigger: SIGABRT");
	if (action->why == WHY_AT_WORK && process)
		event_tell_process(keeper->log, "busy", runner->worker, runner->pid,
				   text_pack("{s:i}", "connections", process->at_work),
				   "has %u connection%s to answer after %s: %s", process->at_work,
				   plural(process->at_work),
				   in_words(keeper->options.drain_timeout_ms, time),
				   stop_signal_name(action->signal));
	if (action->why == WHY_UNREAD)
		event_tell_process(
			keeper->log, "unread", runner->worker, runner->pid,
			text_pack("{s:i}", "bytes", runner->unread_bytes),
			"did not read %u byte%s within %lu ms: %s, and what is unread is lost "
			"unless it reads it now",
			runner->unread_bytes, plural(runner->unread_bytes),
			(unsigned long)keeper->options.kill_timeout_ms,
			stop_signal_name(action->signal));
}

void tell_kill(struct keeper *keeper, const struct runner *runner, int told)
{
	event_tell_process(keeper->log, "kill", runner->worker, runner->pid, NULL,
			   "did not end within %lu ms of %s: SIGKILL",
			   (unsigned long)keeper->options.kill_timeout_ms, stop_signal_name(told));
}

/* --- its end --- */

static void describe_end(const struct runner *runner, char *out, size_t len)
{
	const siginfo_t *info = &runner->how;
	pid_t tracer = runner->lives_on ? procs_tracer(runner->pid) : 0;

	if (tracer > 0)
		snprintf(out, len, "killed, but process %d traces it and keeps it alive", tracer);
	else if (runner->lives_on)
		snprintf(out, len, "killed, but it waits in the kernel and does not end");
	else if (!info->si_pid)
		snprintf(out, len, "ended");
	else if (info->si_code == CLD_EXITED)
		snprintf(out, len, "exited with status %d", info->si_status);
	else
		snprintf(out, len, "killed by SIG%s",
			 sigabbrev_np(info->si_status) ? sigabbrev_np(info->si_status) : "?");
}

/* The status or the signal; neither of a process that another lbctl started. */
static json_t *end_json(const struct runner *runner, const char *how)
{
	bool known = runner->how.si_pid, exited = runner->how.si_code == CLD_EXITED;

	return text_pack("{s:s, s:o, s:o}", "how", how, "status",
			 known && exited ? json_integer(runner->how.si_status) : json_null(),
			 "signal",
			 known && !exited ? text_json(how + strlen("killed by ")) : json_null());
}

static void add_toll(struct keeper *keeper, const struct loss *loss)
{
	keeper->toll.ended++;
	keeper->toll.counted &= loss->known && loss->counted;
	keeper->toll.lost += loss->lost;
}

static void tell_exit(struct keeper *keeper, const struct runner *runner,
		      const struct action *action, const char *how)
{
	uint64_t waiting = listeners_waiting(keeper->listeners, runner->worker, runner->generation);
	bool unasked = !action->asked, restart = unasked && action->in_us != PLAN_NEVER;
	json_t *details = end_json(runner, how);
	char cost[160], next[48] = "";
	struct loss loss;

	losses_take(keeper->losses, pins_state(keeper->pins), runner->slot, waiting, &loss);
	if (!unasked && !keeper->forked)
		add_toll(keeper, &loss);
	loss_text(&loss, unasked, cost, sizeof(cost));
	loss_json(&loss, details);
	loss_free(&loss);
	if (restart)
		snprintf(next, sizeof(next), "; restart in %lu ms", ms(action->in_us));
	json_object_set_new(details, "unasked", json_boolean(unasked));
	json_object_set_new(details, "restart_ms",
			    restart ? json_integer(ms(action->in_us)) : json_null());
	event_tell_process(keeper->log, "exit", runner->worker, runner->pid, details, "%s%s%s%s",
			   how, *cost ? ": " : "", cost, next);
}

/* Who it is that a plan's worker stands for. */
static const char *who(const struct keeper *keeper, uint32_t worker, char out[24])
{
	if (keeper->forked)
		strcpy(out, "main process");
	else
		snprintf(out, 24, "worker %u", worker);
	return out;
}

static void tell_no_start(struct keeper *keeper, const struct action *action, int err)
{
	const char *is_new = action->next ? "new " : "";
	char why[512], whose[24];

	tell_start_trouble(keeper, err, why, sizeof(why));
	snprintf(keeper->last_end.how, sizeof(keeper->last_end.how), "can't be started: %s", why);
	/* what fails from the start is said once, by keeper_run() */
	if (keeper->plan.ever_ran)
		event_tell(keeper->log, "no-start", text_pack("{s:i}", "worker", action->worker),
			   "%s%s can't be started: %s", is_new, who(keeper, action->worker, whose),
			   why);
}

void tell_end(struct keeper *keeper, const struct runner *runner, const struct action *action)
{
	if (!runner || runner->start_error) {
		tell_no_start(keeper, action, runner ? runner->start_error : -ENOMEM);
		return;
	}
	keeper->last_end.was_online = runner->was_online;
	describe_end(runner, keeper->last_end.how, sizeof(keeper->last_end.how));
	tell_exit(keeper, runner, action, keeper->last_end.how);
	if (!action->asked && !action->next && keeper->plan.workers[action->worker].failures == 1)
		tell_explain_end(keeper, runner, action);
}

/* --- what the plan says of a worker, or of all --- */

/* With --log-dir nobody has seen it yet. */
static void print_log_end(struct keeper *keeper, uint32_t worker)
{
	char path[PATH_MAX], text[LOG_END_BYTES], *rest, *line;

	if (!tell_log_path(keeper, worker, path))
		return;
	log_end_read(path, text);
	rest = text + (log_end_lines(text, LOG_END_LINES) - text);
	while ((line = strsep(&rest, "\n"))) {
		if (*line)
			event_log_print(keeper->log, "| %s", line);
	}
}

/* Not where all end in the same turn; a main process that is not to be started again is all. */
static void put_restart(const struct keeper *keeper, uint32_t worker, const char *does,
			char out[128])
{
	*out = '\0';
	if (!keeper->plan.stop)
		snprintf(out, 128, "; lbctl restart %s %u %s", keeper->options.name, worker, does);
}

void tell_why(struct keeper *keeper, const struct action *action)
{
	const struct runner *runner =
		runner_find(&keeper->runners, action->worker, action->generation);
	uint32_t failures = keeper->plan.workers[action->worker].failures;
	char where[512], whose[24], restart[128];

	who(keeper, action->worker, whose);
	where_to_look(keeper, action->worker, where, sizeof(where));
	if (action->why == WHY_NOT_READY && runner)
		tell_not_ready(keeper, runner);
	if (action->why == WHY_GAVE_UP) {
		put_restart(keeper, action->worker, "tries again", restart);
		event_tell(keeper->log, "gave-up",
			   text_pack("{s:i, s:i}", "worker", action->worker, "failures", failures),
			   "%s ended %u time%s in a row: given up%s", whose, failures,
			   plural(failures), restart);
	}
	if (action->why == WHY_FINISHED) {
		put_restart(keeper, action->worker, "starts it", restart);
		event_tell(
			keeper->log, "finished",
			text_pack("{s:i, s:i}", "worker", action->worker, "status", action->status),
			"%s ended with status %d of --stop-exit-codes: it is not started again%s",
			whose, action->status, restart);
	}
	if (action->why == WHY_ALL_FINISHED)
		event_tell(keeper->log, "all-finished", NULL,
			   "all workers ended as --stop-exit-codes allows: the service ends");
	if (action->why == WHY_ALL_FAILED) {
		event_tell(keeper->log, "failed", NULL,
			   "no worker stays up: the command ends as soon as it is started%s",
			   where);
		print_log_end(keeper, action->worker);
	}
}

/* --- the end of an operation --- */

const char *tell_progress(const struct keeper *keeper, const struct action *action, char *out,
			  size_t len)
{
	uint32_t wanted = keeper->plan.wanted;
	struct plan_summary now;
	int n;

	plan_summarise(&keeper->plan, &now);
	if (action->operation.verb == PLAN_SCALE) {
		snprintf(out, len, "%u of %u workers are online", now.online, wanted);
	} else if (keeper->forked) {
		snprintf(out, len, "the old main process %s", action->old ? "goes on" : "is gone");
	} else if (action->operation.verb == PLAN_RESTART) {
		snprintf(out, len, "worker %u %s", action->operation.worker,
			 action->old	 ? "goes on with its old process" :
			 action->renewed ? "has its new process" :
					   "has none for now");
	} else {
		n = snprintf(out, len, "%u of %u workers still run the old version", action->old,
			     wanted);
		if (action->renewed)
			snprintf(out + n, len - n, ", %u the new one", action->renewed);
	}
	return out;
}

/* Of a new version that failed. */
static void failed_text(const struct keeper *keeper, const struct action *action, char *out,
			size_t len)
{
	bool never_ran = action->why == WHY_NO_START;
	const char *when = keeper->last_end.was_online || never_ran ? "" : " before it was ready";
	const char *is_new = action->operation.verb == PLAN_SCALE ? "" : "new ";
	char where[512], left[128], whose[24];

	/* one that makes its workers itself is the same as before */
	if (keeper->options.reload_signal)
		is_new = "";
	where_to_look(keeper, action->worker, where, sizeof(where));
	if (never_ran)
		*where = '\0';
	snprintf(out, len, "%s%s %s%s; %s%s", is_new, who(keeper, action->worker, whose),
		 keeper->last_end.how, when, tell_progress(keeper, action, left, sizeof(left)),
		 where);
}

static void late_text(const struct keeper *keeper, const struct action *action, char *out,
		      size_t len)
{
	const struct process *current = &keeper->plan.workers[action->worker].at[ROLE_CURRENT];
	const struct runner *runner =
		runner_find(&keeper->runners, action->worker, action->generation);
	bool goes_on = current->generation == action->generation;
	char why[TELL_WHY_BYTES] = "not ready", time[32], left[128], whose[24];

	if (runner)
		tell_why_not_ready(keeper, runner, why);
	in_words(keeper->options.ready_timeout_ms, time);
	who(keeper, action->worker, whose);
	if (goes_on)
		snprintf(out, len, "%s is %s after %s; it goes on", whose, why, time);
	else
		snprintf(out, len, "new %s is %s after %s, and ends; %s", whose, why, time,
			 tell_progress(keeper, action, left, sizeof(left)));
}

static void not_renewed_text(const struct keeper *keeper, char *out, size_t len)
{
	char time[32];

	snprintf(out, len,
		 "%s has the same workers as before %s after %s: --reload-signal names another, "
		 "and without it a new main process takes the old one's place",
		 keeper->options.argv[0], in_words(keeper->options.ready_timeout_ms, time),
		 stop_signal_name(keeper->options.reload_signal));
}

/* How many there are, or were replaced, and what that cost. */
static void done_text(const struct keeper *keeper, const struct operation *operation, char *out,
		      size_t len)
{
	uint32_t replaced = operation->verb == PLAN_RESTART ? 1 : keeper->plan.wanted;
	struct plan_summary now;
	char cost[64] = "";

	if (keeper->forked)
		replaced = forks_workers(keeper);
	plan_summarise(&keeper->plan, &now);
	if (keeper->toll.ended && keeper->toll.counted)
		snprintf(cost, sizeof(cost), ", %lu connection%s lost",
			 (unsigned long)keeper->toll.lost, plural(keeper->toll.lost));
	if (operation->verb == PLAN_SCALE || now.online < keeper->plan.wanted)
		snprintf(out, len, "%u worker%s online%s", now.online,
			 now.online == 1 ? " is" : "s are", cost);
	else
		snprintf(out, len, "%u worker%s replaced%s", replaced, plural(replaced), cost);
}

static int finish_text(const struct keeper *keeper, const struct action *action, char *out,
		       size_t len)
{
	char left[128], whose[24];

	switch (action->why) {
	case WHY_DONE:
		done_text(keeper, &action->operation, out, len);
		return EXIT_DONE;
	case WHY_NOT_READY:
		late_text(keeper, action, out, len);
		break;
	case WHY_NOT_RENEWED:
		not_renewed_text(keeper, out, len);
		break;
	case WHY_GAVE_UP:
		snprintf(out, len, "%s does not stay up and was given up",
			 who(keeper, action->worker, whose));
		break;
	case WHY_CANCELLED:
		snprintf(out, len, "cancelled; %s",
			 tell_progress(keeper, action, left, sizeof(left)));
		break;
	case WHY_REPLACED:
		snprintf(out, len, "another operation takes its place");
		break;
	case WHY_STOP:
		snprintf(out, len, "the service stops");
		break;
	case WHY_TOO_LONG:
		snprintf(out, len, "a process of %s can't be killed",
			 who(keeper, action->worker, whose));
		break;
	default:
		failed_text(keeper, action, out, len);
	}
	return EXIT_FAILED;
}

static json_t *toll_json(const struct keeper *keeper)
{
	return keeper->toll.counted ? json_integer(keeper->toll.lost) : json_null();
}

void tell_finish(struct keeper *keeper, const struct action *action)
{
	const char *verb = plan_verb_name(action->operation.verb);
	char text[1536], log[PATH_MAX];
	struct client *client;
	json_t *reply;
	int status = finish_text(keeper, action, text, sizeof(text));

	event_tell(keeper->log, verb,
		   text_pack("{s:i, s:o}", "status", status, "lost", toll_json(keeper)),
		   "%s %s: %s", verb, status ? "failed" : "done", text);
	client = control_find(keeper->control, action->operation.client);
	if (!client)
		return;
	reply = text_pack("{s:i, s:s, s:o}", "status", status, "text", text, "lost",
			  toll_json(keeper));
	/* who asked opens it, so a path that is not UTF-8 is not named */
	if (status && tell_log_path(keeper, action->worker, log))
		json_object_set_new(reply, "log", text_json_exact(log));
	control_reply_with(client, reply, -1);
}

void tell_trouble(struct keeper *keeper, const char *text)
{
	bool again = text && !strcmp(keeper->trouble, text);

	snprintf(keeper->trouble, sizeof(keeper->trouble), "%s", text ? text : "");
	if (text && !again)
		event_tell(keeper->log, "trouble", NULL, "%s", text);
}
