// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lbctl policies: what set-policy takes. */
#include <stdio.h>

#include "cmd.h"

static int run(struct cmd *cmd)
{
	json_t *rows = json_array();

	/* none of these needs more of the kernel than lbctl does */
#define X(number, id, name, summary)                                                               \
	if (!cmd->json)                                                                            \
		printf("%-14s %s\n", name, summary);                                               \
	json_array_append_new(rows, json_pack("{s:s, s:b, s:s}", "policy", name, "available",      \
					      true, "summary", summary));
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
