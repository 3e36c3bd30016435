// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* See reconcile_pass.h. */
#include "reconcile_pass.h"

#include <signal.h>

struct plan plan;
struct worker workers[PASS_WORKERS];
struct action actions[64];
size_t nr_actions;
uint64_t now_us;

const struct plan_options pass_options = {
	.ready_timeout_us = 3600000000,
	.kill_timeout_us = 5000000,
	.stop_signal = SIGTERM,
	.restart_delay_us = PLAN_FIRST_BACKOFF_US,
	.max_restarts = 16,
};

void pass(void)
{
	nr_actions = reconcile(&plan, now_us, actions, ARRAY_SIZE(actions));
}

void pass_after(uint64_t us)
{
	now_us += us;
	pass();
}

const struct action *asked(enum action_kind kind, uint32_t worker)
{
	for (size_t i = 0; i < nr_actions; i++) {
		if (actions[i].kind == kind && actions[i].worker == worker)
			return &actions[i];
	}
	return NULL;
}

struct process *current(uint32_t worker)
{
	return &workers[worker].at[ROLE_CURRENT];
}

struct process *next(uint32_t worker)
{
	return &workers[worker].at[ROLE_NEXT];
}

struct process *leaving(uint32_t worker)
{
	return &workers[worker].at[ROLE_LEAVING];
}

void come_up(struct process *process)
{
	process->executed = true;
	process->accepts = true;
	process->registered = true;
}

/* Processes were asked for, and are there or not yet. */
void begin_starting(const struct plan_options *options, uint32_t wanted)
{
	now_us = 1000000;
	plan_init(&plan, options, workers, PASS_WORKERS, wanted);
	pass();
}

void begin(const struct plan_options *options, uint32_t wanted)
{
	begin_starting(options, wanted);
	for (uint32_t w = 0; w < wanted; w++)
		come_up(current(w));
	pass_after(1);
	for (uint32_t w = 0; w < wanted; w++)
		check("state", "at the beginning", current(w)->state, LIFE_ONLINE);
}
