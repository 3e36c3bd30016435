// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* --max-memory: a worker that has more is replaced, as by lbctl restart. */
#include "base/text_json.h"
#include "host/usage.h"
#include "keeper/outgrown.h"
#include "keeper/parts.h"

static void tell_size(struct keeper *keeper, const struct runner *runner)
{
	event_tell_process(keeper->log, "memory", runner->worker, runner->pid,
			   text_pack("{s:I, s:I}", "bytes", (json_int_t)runner->memory_bytes,
				     "limit", (json_int_t)keeper->options.max_memory),
			   "has %lu KiB of memory, more than the %lu KiB of --max-memory: a new "
			   "process is to take its place",
			   (unsigned long)runner->memory_bytes / 1024,
			   (unsigned long)keeper->options.max_memory / 1024);
}

/* What lasts is told once of each process. */
static void replace(struct keeper *keeper, struct runner *runner)
{
	bool told = runner->memory_told;
	char why[RENEW_BYTES];

	runner->memory_told = true;
	if (!told)
		tell_size(keeper, runner);
	if (!renew_begin(keeper, runner->worker, 1, 0, why) && !told)
		event_tell_process(keeper->log, "trouble", runner->worker, runner->pid, NULL,
				   "is not replaced: %s", why);
}

static void look_at(const struct keeper *keeper, struct runner *runner, struct process *process,
		    uint64_t now_us)
{
	runner->memory_bytes = usage_memory_of_cgroup(runner->cgroup_fd);
	if (runner->memory_bytes <= keeper->options.max_memory)
		process->over_us = 0;
	else if (!process->over_us)
		process->over_us = now_us;
}

void memory_look(struct keeper *keeper)
{
	uint64_t now_us = turn_now(keeper->turn);

	for (uint32_t w = 0; keeper->options.max_memory && w < keeper->plan.wanted; w++) {
		struct process *process = &keeper->workers[w].at[ROLE_CURRENT];
		struct runner *runner = runner_find(&keeper->runners, w, process->generation);

		if (!runner || process->state != LIFE_ONLINE)
			continue;
		look_at(keeper, runner, process, now_us);
		if (outgrown_is_due(&keeper->plan, w, now_us))
			replace(keeper, runner);
	}
}
