// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl detach: give a service's groups back to the kernel. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd/cmd.h"
#include "keeper/leftovers.h"
#include "service/detach.h"

static int detach_one(struct cmd *cmd, const char *name, json_t *done)
{
	struct trouble trouble;
	struct state state;
	int status = EXIT_DONE;

	snprintf(cmd->object, sizeof(cmd->object), "%s", name);
	if (!cmd->dry_run) {
		status = detach_run(name, &trouble);
		if (!status)
			leftovers_sweep(name);
	} else {
		int err = state_open(&state, name, STATE_READ);

		if (!err)
			state_close(&state);
		else if (err != -ESTALE && err != -EUCLEAN)
			status = state_trouble(&trouble, name, err);
	}
	if (status)
		return cmd_trouble(cmd, &trouble);
	if (done)
		json_array_append_new(done, json_string(name));
	else
		printf("%s %s: the kernel's hash spreads its connections%s\n",
		       cmd->dry_run ? "would detach" : "detached", name,
		       cmd->dry_run ? " then" : " again");
	return EXIT_DONE;
}

static int detach_all(struct cmd *cmd, json_t *done)
{
	_cleanup_free_ char(*names)[LB_NAME_MAX + 1] = NULL;
	struct trouble trouble;
	int status = EXIT_DONE, one, err;
	size_t n = 0;

	err = state_names(&names, &n);
	if (err && err != -ENODEV) {
		state_trouble(&trouble, "", err);
		return cmd_trouble(cmd, &trouble);
	}
	for (size_t i = 0; i < n; i++) {
		one = detach_one(cmd, names[i], done);
		/* gone meanwhile is what was asked for */
		if (one && one != EXIT_NOT_FOUND)
			status = one;
	}
	return status;
}

static int run(struct cmd *cmd)
{
	json_t *done = cmd->json ? json_array() : NULL;
	char name[LB_NAME_MAX + 1];
	int status;

	if (cmd_value(cmd, "all") && cmd->nr_args)
		return cmd_fail(cmd, EXIT_USAGE, "give a name or --all, not both");
	if (cmd_value(cmd, "all")) {
		status = detach_all(cmd, done);
	} else {
		status = cmd_take_name(cmd, 0, name);
		if (!status)
			status = detach_one(cmd, name, done);
	}
	if (!cmd->json)
		return status;
	if (status) {
		json_decref(done);
		return status;
	}
	return cmd_print_json(json_pack("{s:o, s:b}", "detached", done, "dry_run", cmd->dry_run));
}

static const struct cmd_option options[] = {
	{ "all", NULL, "every service" },
	{ NULL, NULL, NULL },
};

const struct command cmd_detach = {
	.name = "detach",
	.args = "[NAME|--all]",
	.summary = "give a service's groups back to the kernel and remove all it has",
	.details = "Works on services that are broken or of another version, too.",
	.max_args = 1,
	.kind = VERB,
	.options = options,
	.run = run,
};
