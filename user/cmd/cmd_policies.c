// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl policies: what set-policy takes. */
#include <stdio.h>

#include "cmd/cmd.h"
#include "lb_policies.h"
#include "service/track.h"

/* Why a policy is not to be had on this host, or NULL. */
static const char *obstacle_to(uint32_t policy)
{
	return track_is_needed(policy) ? track_obstacle() : NULL;
}

static void add_policy(const struct cmd *cmd, uint32_t policy, const char *summary, json_t *rows)
{
	const char *obstacle = obstacle_to(policy);
	json_t *row;

	if (!cmd->json) {
		printf("%-14s %s\n", policy_name(policy), summary);
		if (obstacle)
			printf("%-14s not here: %s\n", "", obstacle);
		return;
	}
	row = text_pack("{s:s, s:b, s:s}", "policy", policy_name(policy), "available", !obstacle,
			"summary", summary);
	if (obstacle)
		json_object_set_new(row, "reason", text_json(obstacle));
	json_array_append_new(rows, row);
}

static int run(struct cmd *cmd)
{
	json_t *rows = json_array();

#define X(number, id, name, summary) add_policy(cmd, number, summary, rows);
	LB_POLICIES(X)
#undef X
	if (cmd->json)
		return cmd_print_json(rows);
	json_decref(rows);
	return EXIT_DONE;
}

const struct command cmd_policies = {
	.name = "policies",
	.args = "",
	.summary = "the policies, and what each is good for",
	.kind = NOUN,
	.run = run,
};
