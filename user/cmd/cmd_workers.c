// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lbctl set-weight, set-limit, drain, resume: change a worker's row, then publish a table that
 * follows it. If the table can't be built the rows go back to what they were.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "cmd/cmd.h"
#include "cmd/help_text.h"
#include "cmd/progress.h"
#include "cmd/view.h"
#include "keeper/control_client.h"
#include "lb_pick.h"
#include "service/service.h"
#include "service/wake_listeners.h"

int cmd_parse_worker(const struct cmd *cmd, const char *text, uint32_t *worker)
{
	char usage[HELP_USAGE_BYTES];

	if (!parse_worker(text, worker))
		return EXIT_DONE;
	if (!parse_name(text) && cmd->nr_args == cmd->command->min_args)
		return cmd_fail(cmd, EXIT_USAGE, "which worker? usage: lbctl %s %s",
				cmd->command->name, help_usage(cmd->command, usage));
	return cmd_fail(cmd, EXIT_USAGE, "%.40s: not a worker; a worker is a number or all", text);
}

static int check_worker(const struct cmd *cmd, const struct state *state, uint32_t worker)
{
	uint32_t workers = service_workers(state);

	if (worker == LB_ALL_WORKERS || worker < workers)
		return EXIT_DONE;
	if (!workers)
		return cmd_fail(cmd, EXIT_NOT_FOUND, "no worker %u; %s has none", worker,
				state->name);
	return cmd_fail(cmd, EXIT_NOT_FOUND, "no worker %u; %s has 0 to %u", worker, state->name,
			workers - 1);
}

/* What to make of one slot. */
typedef void (*change_fn)(struct lb_worker *row, uint32_t value);

static void change_weight(struct lb_worker *row, uint32_t weight)
{
	row->weight = weight;
	row->inverse_weight = lb_inverse_weight(weight);
}

static void change_limit(struct lb_worker *row, uint32_t limit)
{
	__atomic_store_n(&row->limit, limit, __ATOMIC_SEQ_CST);
}

static void change_drain(struct lb_worker *row, uint32_t unused)
{
	(void)unused;
	if (row->state == LB_SLOT_UP)
		__atomic_store_n(&row->state, LB_SLOT_DRAINING, __ATOMIC_RELEASE);
}

static void change_resume(struct lb_worker *row, uint32_t unused)
{
	(void)unused;
	if (row->state == LB_SLOT_DRAINING)
		__atomic_store_n(&row->state, LB_SLOT_UP, __ATOMIC_RELEASE);
}

/* What changes of a row, as it was. */
static void put_back(struct lb_worker *row, const struct lb_worker *before)
{
	row->state = before->state;
	row->weight = before->weight;
	row->inverse_weight = before->inverse_weight;
	row->limit = before->limit;
}

static void add_figure(json_t *changes, const char *key, const struct lb_worker *row,
		       uint32_t before, uint32_t now)
{
	if (before != now)
		control_add_change(changes, key,
				   text_pack("{s:i, s:i, s:i}", "worker", row->worker, key, now,
					     "before", before),
				   "worker %u has %s %u (had %u)", row->worker, key, now, before);
}

static void add_state(json_t *changes, const struct lb_worker *row, uint32_t before)
{
	bool drained = row->state == LB_SLOT_DRAINING;

	if (before != row->state)
		control_add_change(changes, drained ? "drain" : "resume",
				   text_pack("{s:i, s:i}", "worker", row->worker, "pid", row->pid),
				   drained ? "worker %u (pid %u) is drained" :
					     "worker %u (pid %u) takes its share again",
				   row->worker, row->pid);
}

/* Of a worker's two slots the first tells. */
static bool is_told(const struct state *state, uint32_t slot)
{
	for (uint32_t i = 0; i < slot; i++) {
		if (service_slot_of(state, i, state_worker(state, slot)->worker))
			return true;
	}
	return false;
}

/* The service's keeper tells those who follow its events what has changed. */
static void tell_changes(const struct state *state, const struct lb_worker *before)
{
	json_t *changes = json_array();

	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		const struct lb_worker *row = state_worker(state, slot);

		if (row->state == LB_SLOT_FREE)
			continue;
		add_state(changes, row, before[slot].state);
		if (is_told(state, slot))
			continue;
		add_figure(changes, "weight", row, before[slot].weight, row->weight);
		add_figure(changes, "limit", row, before[slot].limit, row->limit);
	}
	control_tell(state->name, changes);
}

static int change_workers(const struct cmd *cmd, struct state *state, uint32_t worker,
			  change_fn change, uint32_t value)
{
	uint32_t used = state_used_slots(state);
	_cleanup_free_ struct lb_worker *before = calloc(used + 1, sizeof(*before));
	int status;

	if (!before)
		return cmd_fail(cmd, EXIT_FAILED, "out of memory");
	for (uint32_t slot = 0; slot < used; slot++) {
		before[slot] = state_worker_copy(state, slot);
		if (worker == LB_ALL_WORKERS || service_slot_of(state, slot, worker))
			change(state_worker(state, slot), value);
	}
	/* Published also when nothing changed: an lbctl that was killed may have left it undone. */
	status = cmd_publish(cmd, state, lb_word_policy(state->config->word));
	for (uint32_t slot = 0; status && slot < used; slot++)
		put_back(state_worker(state, slot), &before[slot]);
	if (!status)
		tell_changes(state, before);
	return status;
}

/* Opens the service, checks the worker, changes it. The caller closes the state after 0. */
static int apply(struct cmd *cmd, int needed, uint32_t worker, change_fn change, uint32_t value,
		 struct state *state)
{
	int status = cmd_open_service(cmd, needed, cmd->dry_run ? STATE_READ : STATE_LOCK, state);

	if (status)
		return status;
	status = check_worker(cmd, state, worker);
	/* to lift one is always fine */
	if (!status && change == change_limit && value)
		status = cmd_check_limit(cmd, state);
	if (!status && !cmd->dry_run)
		status = change_workers(cmd, state, worker, change, value);
	if (status)
		state_close(state);
	return status;
}

static void worker_text(uint32_t worker, char out[24])
{
	if (worker == LB_ALL_WORKERS)
		strcpy(out, "all workers");
	else
		snprintf(out, 24, "worker %u", worker);
}

static json_t *worker_json(uint32_t worker)
{
	return worker == LB_ALL_WORKERS ? text_json("all") : json_integer(worker);
}

/* A figure of a worker's: what set-weight and set-limit set, by the name that JSON has for it. */
static int set_figure(struct cmd *cmd, const char *key, uint32_t worker, uint32_t value,
		      change_fn change)
{
	struct state state;
	char who[24];
	int status = apply(cmd, 2, worker, change, value, &state);

	if (status)
		return status;
	worker_text(worker, who);
	if (cmd->json)
		status = cmd_print_json(text_pack("{s:s, s:o, s:i, s:b}", "service", state.name,
						  "worker", worker_json(worker), key, value,
						  "dry_run", cmd->dry_run));
	else
		printf("%s%s: %s %s %s %u\n", cmd->dry_run ? "would set " : "", state.name, who,
		       worker == LB_ALL_WORKERS ? "have" : "has", key, value);
	state_close(&state);
	return status;
}

static int run_set_weight(struct cmd *cmd)
{
	const char *which = cmd->args[cmd->nr_args - 2], *text = cmd->args[cmd->nr_args - 1];
	uint32_t worker, weight;
	int status = cmd_parse_worker(cmd, which, &worker);

	if (status)
		return status;
	if (parse_weight(text, &weight))
		return cmd_fail(cmd, EXIT_USAGE,
				"%.40s: not a weight; a weight is 1 to %d (to give a worker "
				"nothing: lbctl drain)",
				text, LB_MAX_WEIGHT);
	return set_figure(cmd, "weight", worker, weight, change_weight);
}

static int run_set_limit(struct cmd *cmd)
{
	const char *which = cmd->args[cmd->nr_args - 2], *text = cmd->args[cmd->nr_args - 1];
	uint64_t limit;
	uint32_t worker;
	int status = cmd_parse_worker(cmd, which, &worker);

	if (status)
		return status;
	if (parse_u64(text, 0, LB_MAX_LIMIT, &limit))
		return cmd_fail(cmd, EXIT_USAGE,
				"%.40s: not a limit; a limit is 1 to %d connections, 0 lifts it",
				text, LB_MAX_LIMIT);
	return set_figure(cmd, "limit", worker, limit, change_limit);
}

/* Connections that the workers still have, waiting ones included; -1 when that can't be seen. */
static int64_t busy_connections(const struct state *state, uint32_t worker)
{
	struct view view;
	int64_t busy = 0;

	if (view_load(state, &view))
		return -1;
	for (uint32_t i = 0; i < view.nr_workers; i++) {
		if (worker == LB_ALL_WORKERS || i == worker)
			busy += view.workers[i].live + view.workers[i].queued +
				view.workers[i].half_open;
	}
	if (view.sockets_error)
		busy = -1;
	view_free(&view);
	return busy;
}

/* "3 connections are still open": what drain --wait waits for; UDP has no connections. */
static void busy_text(const struct state *state, int64_t busy, char out[64])
{
	const char *unit = service_counts(state) ? "connection" : "byte";
	const char *how = service_counts(state) ? "open" : "unread";

	if (busy > 0)
		snprintf(out, 64, "%ld %s%s still %s", (long)busy, unit,
			 busy == 1 ? " is" : "s are", how);
	else if (!busy)
		snprintf(out, 64, "nothing is %s there", how);
	else
		*out = '\0';
}

static uint64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

/* Returns an exit status, with *waited_ms how long it took. */
static int wait_until_idle(const struct cmd *cmd, const struct state *state, uint32_t worker,
			   uint64_t seconds, uint64_t *waited_ms)
{
	const struct timespec nap = { .tv_nsec = 100 * 1000 * 1000 };
	uint64_t start_ms = clock_ms();
	struct progress progress;
	char text[64];
	char what[sizeof(text) + LB_NAME_MAX + 8];
	int64_t busy;

	worker_text(worker, text);
	snprintf(what, sizeof(what), "%s of %s", text, state->name);
	progress_begin(&progress, cmd, what);
	for (;;) {
		busy = busy_connections(state, worker);
		*waited_ms = clock_ms() - start_ms;
		busy_text(state, busy, text);
		if (busy <= 0 || *waited_ms >= seconds * 1000)
			break;
		progress_say(&progress, text);
		nanosleep(&nap, NULL);
	}
	progress_end(&progress);
	if (!busy)
		return EXIT_DONE;
	if (busy < 0)
		return cmd_fail(cmd, EXIT_NOT_ABLE,
				"drained, but its connections can't be counted; run as root");
	return cmd_fail(cmd, EXIT_FAILED,
			"drained, but after %lu s %s; wait on, or end them in the server",
			(unsigned long)seconds, text);
}

/* Nobody is left to draw: then a drained worker is as good as any other. */
static bool hash_decides(const struct state *state)
{
	return !lb_word_length(state->config->word);
}

/* The change, and with drain what it still has: `waited_ms` -1 where nobody waited. */
static int print_state(const struct cmd *cmd, const struct state *state, uint32_t worker,
		       const char *what, int64_t waited_ms)
{
	bool drains = cmd->command->options;
	int64_t busy = drains ? busy_connections(state, worker) : -1;
	char who[24], left[64];
	json_t *json;

	worker_text(worker, who);
	busy_text(state, busy, left);
	if (cmd->json) {
		json = text_pack("{s:s, s:o, s:s, s:b}", "service", state->name, "worker",
				 worker_json(worker), "state", what, "dry_run", cmd->dry_run);
		if (drains)
			json_object_set_new(json, "left",
					    busy < 0 ? json_null() : json_integer(busy));
		if (waited_ms >= 0)
			json_object_set_new(json, "waited_ms", json_integer(waited_ms));
		return cmd_print_json(json);
	}
	printf("%s: %s %s", state->name, who, what);
	if (waited_ms >= 0)
		printf(", and empty after %.1f s", waited_ms / 1000.0);
	else if (*left)
		printf("; %s", left);
	puts(hash_decides(state) ? "; the kernel's hash decides now, and may still pick it" : "");
	return EXIT_DONE;
}

static int run_state(struct cmd *cmd, change_fn change, const char *done, const char *would)
{
	const char *wait = cmd_value(cmd, "wait");
	uint64_t seconds = 0, waited_ms = 0;
	bool waits = wait && !cmd->dry_run;
	struct state state;
	uint32_t worker;
	int status;

	status = cmd_parse_worker(cmd, cmd->args[cmd->nr_args - 1], &worker);
	if (status)
		return status;
	if (wait && parse_u64(wait, 0, 86400, &seconds))
		return cmd_fail(cmd, EXIT_USAGE,
				"--wait %.20s: not a number of seconds up to 86400", wait);
	status = apply(cmd, 1, worker, change, 0, &state);
	if (status)
		return status;
	/* what is changed is changed: nobody is to wait for those who wait */
	state_unlock(&state);
	/* its next connection would wake who sleeps on what migrated there: none comes now */
	if (change == change_drain && !cmd->dry_run)
		wake_listeners(&state, 2);
	if (waits)
		status = wait_until_idle(cmd, &state, worker, seconds, &waited_ms);
	if (!status)
		status = print_state(cmd, &state, worker, cmd->dry_run && !cmd->json ? would : done,
				     waits ? (int64_t)waited_ms : -1);
	state_close(&state);
	return status;
}

static int run_drain(struct cmd *cmd)
{
	return run_state(cmd, change_drain, "draining", "would be drained");
}

static int run_resume(struct cmd *cmd)
{
	return run_state(cmd, change_resume, "up", "would be resumed");
}

static const struct cmd_option drain_options[] = {
	{ "wait", "SEC", "return when it has no connection left; fail after SEC seconds" },
	{ NULL, NULL, NULL },
};

const struct command cmd_set_weight = {
	.name = "set-weight",
	.args = "[NAME] WORKER WEIGHT",
	.summary = "give a worker a larger or smaller share (1 to 256, default 1)",
	.min_args = 2,
	.max_args = 3,
	.kind = VERB,
	.run = run_set_weight,
};

const struct command cmd_set_limit = {
	.name = "set-limit",
	.args = "[NAME] WORKER LIMIT",
	.summary = "give a worker a limit of connections of its own (0 = any number)",
	.details = "At its limit a worker gets a new connection only when all are at theirs. `set "
		   "limit=N` is for all workers, and for those that come later.",
	.min_args = 2,
	.max_args = 3,
	.kind = VERB,
	.run = run_set_limit,
};

const struct command cmd_drain = {
	.name = "drain",
	.args = "[NAME] WORKER",
	.summary = "give a worker no new connection; those it has go on",
	.details =
		"WORKER is a number or all. After the return no new connection goes there, unless no "
		"worker is up.",
	.min_args = 1,
	.max_args = 2,
	.kind = VERB,
	.options = drain_options,
	.run = run_drain,
};

const struct command cmd_resume = {
	.name = "resume",
	.args = "[NAME] WORKER",
	.summary = "give a drained worker connections again",
	.min_args = 1,
	.max_args = 2,
	.kind = VERB,
	.run = run_resume,
};
