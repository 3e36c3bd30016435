// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl rescue: move what waits at a worker to the others, by hand. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "cmd/cmd.h"
#include "keeper/control_client.h"
#include "lb_pick.h"
#include "service/rescue.h"
#include "service/service.h"

static int parse_which(const struct cmd *cmd, uint32_t *worker)
{
	int status = cmd_parse_worker(cmd, cmd->args[cmd->nr_args - 1], worker);

	if (!status && *worker == LB_ALL_WORKERS)
		return cmd_fail(cmd, EXIT_USAGE, "all: not a worker; a worker is a number here");
	return status;
}

static int status_of(enum rescue_result result)
{
	switch (result) {
	case RESCUE_DONE:
	case RESCUE_NOTHING_WAITS:
		return EXIT_DONE;
	case RESCUE_KERNEL:
	case RESCUE_NOT_PERMITTED:
		return EXIT_NOT_ABLE;
	default:
		return EXIT_FAILED;
	}
}

static enum rescue_result rescue_slot(const struct state *state, uint32_t slot)
{
	pid_t pid = rescue_start(state->name, slot, control_keeper(state->name), NULL);
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return RESCUE_FAILED;
	return rescue_end(state->name, status);
}

static bool is_open(const struct state *state, uint32_t slot, uint32_t worker)
{
	uint32_t row = state_worker(state, slot)->state;

	return state_worker(state, slot)->worker == worker && lb_slot_is_open(row);
}

/* A worker has two open slots while it is reloaded. */
static int rescue_worker(const struct cmd *cmd, const struct state *state, uint32_t worker,
			 uint64_t *migrated)
{
	enum rescue_result result;
	uint32_t slots = 0;

	*migrated = 0;
	for (uint32_t slot = 0; slot < state_used_slots(state); slot++) {
		uint64_t before = state_stats(state, slot)->migrated_out;

		if (!is_open(state, slot, worker))
			continue;
		slots++;
		if (cmd->dry_run)
			continue;
		result = rescue_slot(state, slot);
		*migrated += state_stats(state, slot)->migrated_out - before;
		if (status_of(result))
			return cmd_fail(cmd, status_of(result), "%s", rescue_text(result));
	}
	if (!slots)
		return cmd_fail(cmd, EXIT_NOT_FOUND,
				"no worker %u of %s has a socket; lbctl show %s lists them", worker,
				state->name, state->name);
	return EXIT_DONE;
}

static int run(struct cmd *cmd)
{
	struct state state;
	uint32_t worker;
	uint64_t migrated;
	int status;

	status = parse_which(cmd, &worker);
	if (!status)
		status = cmd_open_service(cmd, 1, STATE_READ, &state);
	if (status)
		return status;
	status = rescue_worker(cmd, &state, worker, &migrated);
	if (!status && cmd->json)
		status = cmd_print_json(text_pack("{s:s, s:i, s:I, s:b}", "service", state.name,
						  "worker", worker, "migrated",
						  (json_int_t)migrated, "dry_run", cmd->dry_run));
	else if (!status && cmd->dry_run)
		printf("would move what waits at worker %u of %s\n", worker, state.name);
	else if (!status)
		printf("%s: %lu waiting connections of worker %u migrated to others\n", state.name,
		       (unsigned long)migrated, worker);
	state_close(&state);
	return status;
}

const struct command cmd_rescue = {
	.name = "rescue",
	.args = "[NAME] WORKER",
	.summary = "move the connections that wait at a worker to the others",
	.details = "For a worker that hangs; see WORKERS THAT HANG in lbctl(8). Connections that "
		   "it has accepted stay. It gets a new one after a second, and more when it "
		   "accepts that.",
	.min_args = 1,
	.max_args = 2,
	.kind = VERB,
	.run = run,
};
