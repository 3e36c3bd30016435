// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What processes say: by their message channel, and to NOTIFY_SOCKET. */
#include <string.h>

#include "base/text_json.h"
#include "keeper/budget.h"
#include "keeper/parts.h"

/* How many, `lbctl show` says: see tick() of keeper.c. */
static void note_unheard(struct keeper *keeper, struct runner *runner)
{
	keeper->unheard[runner->worker]++;
	if (runner->flood_told)
		return;
	runner->flood_told = true;
	event_tell_process(keeper->log, "flood", runner->worker, runner->pid, NULL,
			   "says more than %u messages or %u KiB a second: what is over is dropped "
			   "(lbctl show %s --json counts them)",
			   BUDGET_MOST_MESSAGES, BUDGET_MOST_BYTES / 1024, keeper->options.name);
}

void heard_message(void *arg, struct runner *runner, const char *line, const json_t *message)
{
	struct keeper *keeper = arg;
	struct process *process = plan_process(&keeper->plan, runner->worker, runner->generation);

	/* said once more, it is nothing new; and said in a flood, it counts */
	if (process && !process->said_ready && !strcmp(line, "\"ready\"")) {
		process->said_ready = true;
		turn_mark(keeper->turn, TURN_LOOK | TURN_DECIDE);
	}
	if (!message) {
		note_unheard(keeper, runner);
		return;
	}
	event_tell(keeper->log, "message",
		   text_pack("{s:i, s:i, s:o}", "worker", runner->worker, "pid", runner->pid,
			     "message", json_deep_copy(message)),
		   "worker %u says: %s", runner->worker, line);
}

void heard_notify(void *arg, pid_t pid, const char *line)
{
	struct keeper *keeper = arg;
	struct runner *runner = runner_of_pid(&keeper->runners, keeper->options.name, pid);
	struct process *process =
		runner ? plan_process(&keeper->plan, runner->worker, runner->generation) : NULL;
	bool *said;

	if (!process)
		return;
	if (!strcmp(line, "WATCHDOG=1")) {
		process->pinged_us = turn_now(keeper->turn);
		return;
	}
	said = !strcmp(line, "READY=1")		 ? &process->said_ready :
	       !strcmp(line, "STOPPING=1")	 ? &process->said_stopping :
	       !strcmp(line, "WATCHDOG=trigger") ? &process->said_hangs :
						   NULL;
	/* said once more, it is nothing new */
	if (!said || *said)
		return;
	*said = true;
	turn_mark(keeper->turn, TURN_LOOK | TURN_DECIDE);
}
