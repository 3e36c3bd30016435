// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl set-policy: switch how a service picks, while it runs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/suggest.h"
#include "cmd/cmd.h"
#include "keeper/control_client.h"
#include "lb_pick.h"
#include "service/service.h"
#include "service/steer.h"
#include "service/track.h"

int cmd_parse_policy(const struct cmd *cmd, const char *text, uint32_t *policy)
{
	const char *const *names, *nearest;
	size_t n;

	if (!parse_policy(text, policy))
		return EXIT_DONE;
	names = policy_names(&n);
	nearest = suggest(text, names, n);
	if (nearest)
		return cmd_fail(cmd, EXIT_USAGE,
				"%.40s: no such policy (did you mean \"%s\"? lbctl policies shows "
				"all)",
				text, nearest);
	return cmd_fail(cmd, EXIT_USAGE, "%.40s: no such policy; lbctl policies shows all", text);
}

int cmd_publish(const struct cmd *cmd, struct state *state, uint32_t policy)
{
	int err = steer_publish(state, policy);

	if (err == -E2BIG)
		return cmd_fail(cmd, EXIT_FAILED,
				"the weights would add up to more than %u; set smaller ones",
				LB_MAX_SCHEDULE);
	return err ? cmd_fail(cmd, EXIT_FAILED, "%s", strerror(-err)) : EXIT_DONE;
}

static void tell(const struct state *state, uint32_t policy, uint32_t before)
{
	json_t *changes = json_array();

	control_add_change(changes, "policy",
			   text_pack("{s:s, s:s}", "policy", policy_name(policy), "before",
				     policy_name(before)),
			   "policy %s (was %s)", policy_name(policy), policy_name(before));
	control_tell(state->name, changes);
}

static int run(struct cmd *cmd)
{
	struct state state;
	uint32_t policy, before;
	int status;

	status = cmd_parse_policy(cmd, cmd->args[cmd->nr_args - 1], &policy);
	if (!status)
		status = cmd_open_service(cmd, 1, cmd->dry_run ? STATE_READ : STATE_LOCK, &state);
	if (status)
		return status;
	before = lb_word_policy(state.config->word);
	if (track_is_needed(policy) && service_counts(&state) && !track_is_on(&state))
		status = cmd_fail(cmd, EXIT_NOT_ABLE,
				  "%s needs the kernel to count connections, and for %s it does "
				  "not; lbctl attach again, lbctl doctor shows what it takes",
				  policy_name(policy), state.name);
	if (!status && !cmd->dry_run)
		status = cmd_publish(cmd, &state, policy);
	if (!status && !cmd->dry_run && policy != before)
		tell(&state, policy, before);
	if (!status && cmd->json)
		status = cmd_print_json(text_pack("{s:s, s:s, s:s, s:b}", "service", state.name,
						  "policy", policy_name(policy), "before",
						  policy_name(before), "dry_run", cmd->dry_run));
	else if (!status)
		printf("%s%s: policy %s (was %s)\n", cmd->dry_run ? "would set " : "", state.name,
		       policy_name(policy), policy_name(before));
	state_close(&state);
	return status;
}

const struct command cmd_set_policy = {
	.name = "set-policy",
	.args = "[NAME] POLICY",
	.summary = "switch how a service picks a worker, while it runs",
	.details = "lbctl policies lists them. No connection that begins after the return is "
		   "decided by the old one.",
	.min_args = 1,
	.max_args = 2,
	.kind = VERB,
	.run = run,
};
