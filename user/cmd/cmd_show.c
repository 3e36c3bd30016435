// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl show: one service, worker by worker. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/show_json.h"
#include "cmd/show_text.h"
#include "cmd/view.h"

static int run(struct cmd *cmd)
{
	bool wide = cmd_value(cmd, "wide");
	struct state state;
	struct view view;
	int status, err;

	status = cmd_open_service(cmd, 0, STATE_READ, &state);
	if (status)
		return status;
	err = view_load(&state, &view);
	state_close(&state);
	if (err)
		return cmd_fail(cmd, EXIT_FAILED, "can't read its maps: %s", strerror(-err));
	if (cmd->json || wide)
		view_load_usage(&view);
	if (cmd->json)
		status = cmd_print_json(show_json(&view));
	else
		show_text(stdout, &view, wide);
	view_free(&view);
	return status;
}

static const struct cmd_option options[] = {
	{ "wide", NULL, "all columns, however long the lines get" },
	{ NULL, NULL, NULL },
};

const struct command cmd_show = {
	.name = "show",
	.args = "[NAME]",
	.summary = "one service, worker by worker (also: status)",
	.max_args = 1,
	.kind = NOUN,
	.options = options,
	.run = run,
};
