// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl watch: keep an attached service up to date as its server's sockets come and go. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "keeper/keeper.h"

/* The addresses of a service that is attached already. */
static int addresses_of(struct cmd *cmd, struct keeper_options *options, struct addr *addrs)
{
	struct state state;
	int status = cmd_open_service(cmd, 0, STATE_READ, &state);

	if (status)
		return status;
	strcpy(options->name, state.name);
	if (options->group == LB_NO_GROUP)
		options->group = state.config->group;
	for (uint32_t i = 0; i < state.nr_listeners; i++) {
		const struct lb_listener *listener = &state.config->listeners[i];
		struct addr *addr = &addrs[options->nr_addrs++];

		*addr = (struct addr){ .proto = listener->proto,
				       .port = listener->port,
				       .nr_hosts = 1 };
		addr->hosts[0].family = listener->family;
		memcpy(addr->hosts[0].bytes, listener->addr, sizeof(listener->addr));
	}
	state_close(&state);
	return EXIT_DONE;
}

static int run(struct cmd *cmd)
{
	struct addr addrs[LB_MAX_LISTENERS];
	struct keeper_options options = { .addrs = addrs, .group = LB_NO_GROUP };
	const char *policy = cmd_value(cmd, "policy"), *why;
	int status = cmd_parse_group(cmd, &options.group);

	options.rescue = cmd_value(cmd, "rescue");
	if (!status && policy)
		status = cmd_parse_policy(cmd, policy, &options.policy);
	if (status)
		return status;
	if (!cmd->nr_args || !parse_name(cmd->args[0])) {
		status = addresses_of(cmd, &options, addrs);
	} else if (addr_parse(cmd->args[0], &addrs[0], &why)) {
		return cmd_fail(cmd, EXIT_USAGE, "%s", why);
	} else {
		addr_default_name(&addrs[0], options.name);
		options.nr_addrs = 1;
	}
	if (status)
		return status;
	if (cmd->dry_run) {
		printf("would watch %s\n", options.name);
		return EXIT_DONE;
	}
	return keeper_run(&options);
}

static const struct cmd_option options[] = {
	{ "policy", "POLICY", "how to pick a worker, if it has to be attached first" },
	{ "rescue", NULL, "move what waits at a worker that hangs to the others" },
	{ "group", "GROUP", "let workers of this group join and report load" },
	{ NULL, NULL, NULL },
};

const struct command cmd_watch = {
	.name = "watch",
	.args = "[NAME|ADDR]",
	.summary = "keep a service up to date while its server's sockets come and go",
	.details = "Attaches ADDR if nobody has. New sockets join within a second, closed ones "
		   "leave, process ids are looked up, and the program is put back if someone "
		   "replaced it.",
	.max_args = 1,
	.kind = VERB,
	.options = options,
	.run = run,
};
